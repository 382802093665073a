"""What the pages of flows and runs say about a run, and the addresses of the errors that a count counts."""

from typing import Any

from django import template
from django.template import Context
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from apps.accounts.selectors import person
from apps.console.context import Preferences
from apps.console.markup import markup
from apps.console.selectors.run_words import canceled_text, started_by_text
from apps.console.wording import count_text, countdown_text, duration_text
from apps.core.clock import wall_now
from apps.runs.models import Run, RunLog
from apps.runs.statuses import RunStatus

register = template.Library()
MINUS = "\N{MINUS SIGN}"
LONGEST_HEADING = 40  # characters
SMALLEST_RATE = 0.05  # milliseconds a record; what is below would be shown as 0


@register.filter
def started_by(run: Run) -> str:
    """`schedule`, `Mara Lindqvist`, `retry, Mara Lindqvist`"""
    return started_by_text(run)


@register.filter
def canceled_by(run: Run) -> str:
    """The name of whoever canceled a run; "" for nobody."""
    return canceled_text(run)


@register.filter
def heading(line: RunLog) -> str:
    """What happened, of a line that is about no record and says it in a few words before a colon; else ""."""
    before, colon, _ = line.text.partition(": ")
    return before if colon and not line.key and "\n" not in before and len(before) <= LONGEST_HEADING else ""


@register.filter
def detail(line: RunLog) -> str:
    """The rest of the line."""
    return line.text.removeprefix(f"{heading(line)}: ") if heading(line) else line.text


@register.simple_tag
def change(number: float) -> SafeString:
    """`+12`, a minus sign and `3`; `0` in grey."""
    if not number:
        return markup('<span class="zero">{}</span>', 0)
    return markup("{}{}", "+" if number > 0 else MINUS, count_text(abs(number)))


@register.simple_tag
def change_of_time(seconds: float) -> SafeString:
    """`+1 min 5 s`, or with a minus sign."""
    return markup("{}{}", "+" if seconds >= 0 else MINUS, duration_text(abs(seconds)))


@register.filter
def milliseconds(number: int) -> str:
    """A number of milliseconds as a duration: `6 min 40 s`."""
    return duration_text(number / 1000)


@register.simple_tag
def ms_per_record(number: float | None) -> SafeString:
    """A rate for a cell: `408`, `3.1`, `< 0.1`; `n/a` where there was no record or no time was taken."""
    if not number:
        return markup('<span class="dimmer">{}</span>', "n/a")
    return markup("{}", "< 0.1" if number < SMALLEST_RATE else count_text(number))


@register.filter
def name_of(member: Any) -> str:
    """A member's name; "" for nobody."""
    return person(member)


@register.simple_tag(takes_context=True)
def next_run(context: Context, run: Run, words: bool = True) -> SafeString | str:
    """`waits: attempt 2 of 4 at 15:04:31`, with a countdown; the day too if it is another. "" for one that does not.

    Without `words` it begins with the time.
    """
    if run.status != RunStatus.RETRYING or run.not_before is None:
        return ""
    prefs, now = context.get("prefs") or Preferences(), context.get("now") or wall_now()
    local = run.not_before.astimezone(prefs.zone)
    is_today = local.date() == now.astimezone(prefs.zone).date()
    return markup(
        '{}at <span class="num">{}</span> (<time datetime="{}" data-at>{}</time>)',
        f"{run.wait_reason} " if words else "",
        f"{local:%H:%M:%S}" if is_today else prefs.moment(local, now),
        local.isoformat(timespec="seconds"),
        countdown_text(local, now),
    )


@register.simple_tag
def run_errors_url(run: Run, state: str = "all", **filters: Any) -> str:
    """The list of exactly those errors of a run: by step, unit (`record`, `units`), state and reason."""
    return f"{reverse('console:error-list')}?{urlencode({'run': run.pk, 'state': state, **filters})}"
