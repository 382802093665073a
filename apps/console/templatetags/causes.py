"""Parts of the pages of root causes: the pattern with its varying parts as chips, and values of records."""

import json
from typing import Any

from django import template
from django.template import Context
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from apps.console.json_view import visible
from apps.console.markup import escaped, markup
from apps.console.selectors.causes import CauseRow
from apps.console.templatetags.ui import icon
from apps.console.wording import count_text
from apps.errors.changes import MISSING
from apps.errors.fingerprint import VARYING

register = template.Library()
SHOWN_VALUE = 120


CHIP = markup("<mark>{}<span class='vh'>a part that varies</span></mark>", VARYING)


@register.filter
def pattern(text: str) -> SafeString:
    """The message of a cause; what varies is a grey chip."""
    return SafeString(CHIP.join(map(escaped, visible(text).split(VARYING))))


@register.filter
def plain_pattern(text: str) -> str:
    """The same for titles and labels."""
    return visible(text)


@register.filter
def as_json(value: Any) -> SafeString:
    """One value of a record as JSON; nothing where there is none."""
    if value is MISSING:
        return markup('<span class="dimmer">{}</span>', "nothing")
    text = visible(json.dumps(value, ensure_ascii=False))
    shown = text if len(text) <= SHOWN_VALUE else text[:SHOWN_VALUE] + VARYING
    return markup('<code class="mono">{}</code>', shown)


@register.simple_tag
def cause_query(cause_id: int) -> str:
    """The filter of the list of a cause's open errors, for forms that act on all of them."""
    return urlencode({"cause": str(cause_id), "state": "open"})


# --- acts on all open errors of a cause ------------------------------------------------------------------------------
ACT = (
    '<form method="post" action="{}"><input type="hidden" name="csrfmiddlewaretoken" value="{}">'
    '<input type="hidden" name="all" value="1"><input type="hidden" name="query" value="{}">'
    '<input type="hidden" name="upto" value="{}"><input type="hidden" name="next" value="{}">'
    "<button{}>{}{}</button></form>"
)


@register.simple_tag(takes_context=True)
def cause_act(
    context: Context,
    act: str,
    cause_id: int,
    upto: int,
    word: str,
    number: int = 0,
    cls: str = "",
    icon_name: str = "",
) -> SafeString:
    """A button for all open errors of a cause up to one; `act` is `errors-retry` or another that takes a filter."""
    return markup(
        ACT,
        reverse(f"console:{act}"),
        context.get("csrf_token", ""),
        cause_query(cause_id),
        upto,
        context["request"].get_full_path(),
        markup(' class="{}"', cls) if cls else "",
        icon(icon_name, "i-12"),
        f"{word} {count_text(number)}" if number else word,
    )


MORE = (
    '<span class="row tight nowrapflex spread">{}<details class="menu"><summary class="btn s icon" '
    'aria-label="More for this root cause">{}</summary><div class="pop">{}<a href="{}">{}Edit the data of all</a>'
    '<a href="{}">{}Merge with others</a></div></details></span>'
)


@register.simple_tag(takes_context=True)
def cause_acts(context: Context, row: CauseRow) -> SafeString:
    """What a line of the list offers: to retry, and a menu of the rest."""
    pk, upto = row.cause.pk, row.newest
    word, number = ("Retry now", 0) if row.next_attempt_at else ("Retry", row.open_errors)
    editing = urlencode({"all": "1", "upto": str(upto), "query": cause_query(pk)})
    return markup(
        MORE,
        cause_act(context, "errors-retry", pk, upto, word, number, "btn s", "rotate-cw"),
        icon("ellipsis", "i-14"),
        cause_act(context, "errors-resolve", pk, upto, "Resolve", row.open_errors, icon_name="check"),
        f"{reverse('console:errors-edit')}?{editing}",
        icon("pencil", "i-12"),
        reverse("console:cause-merging", args=[pk]),
        icon("layers", "i-12"),
    )
