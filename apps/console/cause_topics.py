"""The live topics of root causes: the lines of their list with the counts of its tabs, and the facts of one cause."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from django.http import Http404, HttpRequest
from django.template.loader import render_to_string

from apps.console.access import reach_of
from apps.console.addresses import CauseId
from apps.console.context import preferences_of
from apps.console.live import Told, nothing, topic
from apps.console.loaded import cause_of
from apps.console.selectors.causes import PAGE_SIZE, TABS, cause_rows, has_news, tab_counts
from apps.console.selectors.pulse import pulse_of
from apps.console.sharing import shared
from apps.core.clock import wall_now


def causes_topic(tab: str, causes: Iterable[int], read_at: datetime | None) -> str:
    """`read_at`: what comes into the tab after it is new; None where the list is narrowed, so that nobody can tell."""
    moment = round(read_at.timestamp() * 1000) if read_at else 0
    return f"causes:{tab}.{moment}.{'-'.join(map(str, causes))}"


def cause_topic(cause_id: int) -> str:
    return f"cause:{cause_id}"


@topic("causes", shared=True)
def causes_told(request: HttpRequest, key: str) -> Told:
    """The key is `<tab>.<millisecond of the reading>.<causes>`."""
    tab, moment, ids = _parsed(key)
    reach = reach_of(request)

    def fragments(since: str) -> Iterator[str]:
        yield shared(request, ("cause lines", *ids), lambda: _lines(request, ids))
        if moment and has_news(reach, tab, ids, since=_moment(moment), now=wall_now()):
            yield render_to_string("cause/_live_new.html")

    return Told(pulse_of(request).dashboard_version, fragments, nothing)


def _lines(request: HttpRequest, ids: list[int]) -> str:
    """The same whenever the page was read."""
    reach, now = reach_of(request), wall_now()
    context = {
        "rows": cause_rows(reach, ids, now=now),
        "counts": tab_counts(reach, now),
        "prefs": preferences_of(request),
    }
    return render_to_string("cause/_live_rows.html", context, request)


def _parsed(key: str) -> tuple[str, int, list[int]]:
    """Raises Http404 for a key that is malformed."""
    tab, _, rest = key.partition(".")
    moment, _, ids = rest.partition(".")
    numbers = [moment, *filter(None, ids.split("-"))]
    if tab not in TABS or not all(number.isascii() and number.isdigit() and len(number) < 15 for number in numbers):
        raise Http404("This live topic is malformed.")
    read_at, *causes = map(int, numbers)
    return tab, min(read_at, LATEST_MS), causes[:PAGE_SIZE]


LATEST_MS = 4_000_000_000_000


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


@topic("cause", shared=True)
def cause_told(request: HttpRequest, key: str) -> Told:
    detail = cause_of(request, _id_in(key))
    due, tried, retrying = detail.retries

    def fragments(since: str) -> Iterator[str]:
        context = {
            "detail": detail,
            "cause": detail.cause,
            "has_new_errors": total_in(since) != str(detail.total_errors),
            "prefs": preferences_of(request),
        }
        yield render_to_string("cause/_live.html", context, request)

    facts = (
        detail.total_errors,
        detail.open_errors,
        detail.state,
        round(due.timestamp()) if due else 0,
        tried,
        retrying,
    )
    return Told(".".join(map(str, facts)), fragments, total_in)


def total_in(version: str) -> str:
    return version.partition(".")[0]


def _id_in(text: str) -> int:
    """0, which no cause has, for what is no id."""
    try:
        return CauseId().to_python(text)
    except ValueError:
        return 0
