"""What the pages of errors say about acts and attempts."""

import re
from datetime import timedelta
from typing import Any

from django import template
from django.template import Context
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from apps.console.addresses import fits_a_path
from apps.console.context import Preferences
from apps.console.markup import markup
from apps.console.selectors.retry_runs import result_of
from apps.console.templatetags.ui import icon
from apps.console.wording import countdown_text
from apps.core.clock import wall_now
from apps.errors.journey import Event
from apps.errors.models import KEY_SHOWN, Error, RetryItem
from apps.errors.rule_models import HitState
from apps.errors.schedule import MOST_ATTEMPTS, OFFSETS_S
from apps.errors.states import ItemState

register = template.Library()
ACT = re.compile(r"act-(\d+)(-undo)?", re.ASCII)


@register.filter
def act_of(message: Any) -> dict[str, Any] | None:
    """The act that a message tells of: its id, and whether it can be undone; None for any other message."""
    found = ACT.fullmatch(getattr(message, "extra_tags", None) or "")
    return {"id": int(found[1]), "can_be_undone": bool(found[2])} if found else None


OUTCOME_WORDS = {
    "retried": "Went through",
    "retry_failed": "Failed again",
    "succeeded": "Not sent",
    "skipped": "Not sent",
}
STATE_WORDS = {ItemState.WAITING.value: "Waiting", ItemState.CANCELED.value: "Canceled before it was sent"}


RESULT_LOOKS = {
    "success": ("ok", "circle-check"),
    "failed": ("err", "octagon-x"),
    "skipped": ("idle", "circle-slash"),
    "waiting": ("idle", "clock"),
    "canceled": ("idle", "circle-minus"),
}


@register.filter
def outcome_words(item: RetryItem) -> str:
    """What came of one error in one retry: `Went through`, `Failed again`, `Not sent`, `Waiting`, `Canceled ...`."""
    return attempt_words(item.state, item.outcome)


def attempt_words(state: str, outcome: str) -> str:
    return OUTCOME_WORDS.get(outcome) or STATE_WORDS.get(state, str(ItemState(state).label))


@register.filter
def retry_words(event: Event) -> str:
    """The same of an attempt in the journey of a record."""
    return attempt_words(event.word, event.text)


@register.filter
def rule_words(event: Event) -> str:
    """What a rule did: `Acted`, or why it did nothing."""
    return str(HitState(event.word).label)


@register.filter
def retry_role(event: Event) -> str:
    """The class of its icon."""
    return f"{RESULT_LOOKS[result_of(event.word, event.text)][0]}t"


@register.simple_tag
def record_url(error: Error) -> str:
    """The journey of the record that failed; of a key that no address holds it is named by the error."""
    if len(error.key) < KEY_SHOWN and fits_a_path(error.key):
        return reverse("console:record", args=[error.key])
    return f"{reverse('console:search')}?{urlencode({'error': error.pk})}"


@register.simple_tag
def record_link(error: Error) -> SafeString:
    """Its trace key, which leads to the journey; most lists have one in each row."""
    if error.key_hash is None:
        return markup('<span class="dimmer">{}</span>', "none")
    return markup('<a class="mono" href="{}">{}</a>', record_url(error), error.key)


@register.simple_tag
def key_url(key: str) -> str:
    """The journey of the record with this trace key, which is given in full."""
    if fits_a_path(key):
        return reverse("console:record", args=[key])
    return f"{reverse('console:search')}?{urlencode({'key': key})}"


@register.simple_tag
def item_result(item: RetryItem) -> SafeString:
    """The same with its icon and color."""
    role, symbol = RESULT_LOOKS[result_of(item.state, item.outcome)]
    return markup('<span class="st {}">{}{}</span>', role, icon(symbol), outcome_words(item))


@register.simple_tag(takes_context=True)
def next_attempt(context: Context, error: Error) -> SafeString | str:
    """`attempt 2 of 4 at 15:04:31`, with a countdown beside it; "" for an error that is not tried again by itself."""
    if error.next_attempt_at is None:
        return ""
    prefs, now = context.get("prefs") or Preferences(), context.get("now") or wall_now()
    local = error.next_attempt_at.astimezone(prefs.zone)
    return markup(
        'attempt <span class="num">{} of {} at {}</span> (<time datetime="{}" data-at>{}</time>)',
        error.attempts + 1, MOST_ATTEMPTS, f"{local:%H:%M:%S}", local.isoformat(timespec="seconds"),
        countdown_text(local, now),
    )  # fmt: skip


@register.filter
def attempt_plan(error: Error) -> list[dict[str, Any]]:
    """The four moments of the schedule: which attempts are over, and which one is next."""
    return [
        {
            "number": number,
            "at": error.next_attempt_at if number == error.attempts + 1 else error.occurred_at + timedelta(seconds=s),
            "is_over": number <= error.attempts,
            "is_next": number == error.attempts + 1,
        }
        for number, s in enumerate(OFFSETS_S, start=1)
    ]
