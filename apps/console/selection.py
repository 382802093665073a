"""Which errors an act means: those that are ticked, or all that match the filter of a list as it was shown.

A form carries the list's filter as `query` and where the list began as `upto`, so that errors which came (or were
resolved) after the page was read are not swept in.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, QueryDict

from apps.accounts.models import Member
from apps.accounts.permissions import ACTS, Act
from apps.console.access import Reach, may_do, member_of, reach_of, roles_of
from apps.console.selectors.error_filters import RESOLVED, ErrorFilter, filter_of, matching
from apps.console.selectors.error_places import Place
from apps.console.selectors.errors import STATES, ErrorPage, errors_in, order_of
from apps.console.views.reading import reader_of
from apps.core.ids import LARGEST_KEY
from apps.errors.models import Error
from apps.errors.querysets import ErrorQuerySet

MOST_TICKED = 1_000
LONGEST_QUERY = 4_000


@dataclass(frozen=True)
class Selection:
    """`ids` are the ticked ones; with `is_all` they are not looked at."""

    ids: tuple[int, ...] = ()
    is_all: bool = False
    query: str = ""
    upto: str = ""

    @property
    def state(self) -> str:
        """The state of the errors on the list that the selection was made on."""
        state = QueryDict(self.query).get("state", "open")
        return state if state in STATES else "open"

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The hidden fields of a form that means the same errors."""
        rest = [("query", self.query), ("upto", self.upto)]
        return [("all", "1"), *rest] if self.is_all else [*(("error", str(key)) for key in self.ids), *rest]


def selection_of(given: QueryDict) -> Selection:
    """What a form or an address names. Raises Http404 if it names nothing."""
    ids = tuple(dict.fromkeys(_key(text) for text in given.getlist("error")[:MOST_TICKED]))
    chosen = Selection(ids, bool(given.get("all")), given.get("query", "")[:LONGEST_QUERY], given.get("upto", "")[:40])
    if not chosen.is_all and not chosen.ids:
        raise Http404("No error is named.")
    return chosen


def _key(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    if not 0 < number <= LARGEST_KEY:
        raise Http404("There is no such error.")
    return number


def selected_errors(request: HttpRequest, chosen: Selection, act: Act) -> ErrorQuerySet:
    """The errors, within reach and where the member may do this. Raises Http404 and PermissionDenied."""
    reach = reach_of(request)
    rows = _all_that_match(request, reach, chosen) if chosen.is_all else _ticked(reach, chosen)
    return where_allowed(request, rows, act)


def _ticked(reach: Reach, chosen: Selection) -> ErrorQuerySet:
    rows = Error.objects.of(reach.account_id).filter(pk__in=chosen.ids, **reach.where("flow__integration"))
    if not rows.exists():
        raise Http404("There is nothing here for you.")
    return rows


def _all_that_match(request: HttpRequest, reach: Reach, chosen: Selection) -> ErrorQuerySet:
    query = QueryDict(chosen.query)
    zone, now = reader_of(request)
    return up_to(listed_errors(reach, member_of(request), query, zone, now), chosen.state, chosen.upto)


def listed_errors(reach: Reach, member: Member, query: QueryDict, zone: ZoneInfo, now: datetime) -> ErrorQuerySet:
    """The errors on the account's list at this query: state, place and filters."""
    state = query.get("state", "open")
    rows = errors_in(reach, state if state in STATES else "open").filter(**reach.where("flow__integration"))
    return matching(Place.of(query).narrowed(rows), filter_of(member, query, zone, now))


def where_allowed(request: HttpRequest, rows: ErrorQuerySet, act: Act) -> ErrorQuerySet:
    """Those of the errors to which this member may do it. Raises PermissionDenied where that is nowhere."""
    if may_do(request, act):
        return rows
    allowed = [] if member_of(request).role else [key for key in roles_of(request) if may_do(request, act, key)]
    if not allowed:
        raise PermissionDenied(f"Your role does not allow this here: it takes the role {ACTS[act].label}.")
    return rows.filter(flow__integration__in=allowed)


# --- where a list began ----------------------------------------------------------------------------------------------
def list_query(request: HttpRequest, state: str, wanted: ErrorFilter, **place: int) -> str:
    """The filters of the list on screen as a query of the account's list, with relative times made absolute."""
    query = request.GET.copy()
    for name in ("page", "top", "format", "view", "range", f"{RESOLVED}range"):
        query.pop(name, None)
    for prefix, span in (("", wanted.span), (RESOLVED, wanted.resolved)):
        if span.since is not None:
            query[f"{prefix}from"] = span.since.isoformat(timespec="seconds")
        if span.until is not None:
            query[f"{prefix}to"] = span.until.isoformat(timespec="seconds")
    query["state"] = state
    for name, key in place.items():
        query[name] = str(key)
    return query.urlencode()


def top_of(rows: ErrorQuerySet, wanted: ErrorFilter, page: ErrorPage, state: str) -> str:
    """Where the list begins: an id, or a moment where it is ordered by that. A query only if newer pages exist."""
    if not page.rows:
        return ""
    first = page.rows[0]
    if page.newer:
        first = matching(rows, wanted).only("pk", "resolved_at").order_by(*order_of(state))[0]
    return first.resolved_at.isoformat() if state == "resolved" and first.resolved_at else str(first.pk)


def up_to(rows: ErrorQuerySet, state: str, top: str) -> ErrorQuerySet:
    """Only what the list held when it began there; what names no place holds nothing."""
    if state != "resolved":
        return rows.filter(pk__lte=_key(top))
    try:
        return rows.filter(resolved_at__lte=datetime.fromisoformat(top))
    except ValueError as error:
        raise Http404("There is no such place in the list.") from error
