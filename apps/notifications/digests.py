"""What a window tells: new, resolved and open errors by integration and flow, once for all who are told the same.

The number of queries does not depend on how many errors or subscriptions there are: the notices are counted by flow
and window, everything else is arithmetic over these counts.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Q, Sum, Window
from django.db.models.functions import RowNumber

from apps.core.bulk import in_array
from apps.core.clock import database_now
from apps.errors.models import Assignment, StepState
from apps.errors.states import ErrorState
from apps.notifications.holding import Held, hold, holding_of
from apps.notifications.messages import NewMessage, write_messages
from apps.notifications.models import DigestWindow, MessageKind, Notice
from apps.notifications.querysets import ACTIVE_ASSIGNEE
from apps.notifications.takers import Environs, Place, Scope, Taker, environs_of, scope_of

DETAILED = 10
"""So many errors of a flow are told in full; of the others their number."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The errors of a flow that were told as new in one window, and as resolved in another one (None: not yet)."""

    flow: int
    new: int
    resolved: int | None
    errors: int
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """What a taker is told of one flow; `since`: errors of windows up to this one are none of his."""

    flow: int
    since: int


@dataclass
class News:
    """What is told of one flow."""

    new: int = 0
    resolved: int = 0
    new_ids: list[int] = field(default_factory=list)
    resolved_ids: list[int] = field(default_factory=list)

    def add(self, cell: Cell, since: int, after: int) -> None:
        """`after`: the last window that was told."""
        if cell.new > max(since, after):
            if cell.resolved is None:  # what was resolved before its first mail is never told
                self.new += cell.errors
                self.new_ids += cell.ids
        elif cell.new > since and cell.resolved is not None and cell.resolved > after:
            self.resolved += cell.errors
            self.resolved_ids += cell.ids


# --- one window ------------------------------------------------------------------------------------------------------
def write_digests(window: DigestWindow, before: datetime) -> int:
    """Write the deliveries of a window that has just ended; those held back are kept for a later one."""
    environs = environs_of(window.account_id, window.environment)
    takers = digest_takers(environs)
    assigned = waiting_assignments(window)
    members = {taker.member for taker in takers if taker.member} | set(assigned)
    holding = holding_of(window, members, before)
    takers = {taker: subs for taker, subs in takers.items() if taker.member not in holding.kept}
    first = holding.first_window(taker.member for taker in takers)
    cells = cells_of(window, first) if takers else []
    told = Told(window, environs, open_by_flow(window.account_id), cells, holding.told)
    count = write_messages(window.account_id, told.messages(takers, assigned, holding))
    end_assignments(window, assigned, holding.kept)
    hold(window, holding, before)
    return count


def digest_takers(environs: Environs) -> dict[Taker, list[tuple[Scope, int]]]:
    """Who takes digests, with the scopes and the windows at which the subscriptions began."""
    found: dict[Taker, list[tuple[Scope, int]]] = defaultdict(list)
    for subscription in environs.subscriptions:
        if subscription.errors:
            found[environs.taker_of(subscription)].append((scope_of(subscription), subscription.since_window))
    return dict(found)


def cells_of(window: DigestWindow, after: int) -> list[Cell]:
    """The notices told in windows after this one, counted; with the newest errors of each."""
    group = [F("flow_id"), F("new_window"), F("resolved_window")]
    rows = (
        Notice.objects.of(window.account_id)
        .filter(Q(new_window__gt=after) | Q(resolved_window__gt=after), environment=window.environment)
        .annotate(
            errors=Window(Count("*"), partition_by=group),
            place=Window(RowNumber(), partition_by=group, order_by=F("error_id").desc()),
        )
        .filter(place__lte=DETAILED)
    )
    found: dict[tuple[int, int, int | None], list[tuple[int, int]]] = defaultdict(list)
    for flow, new, resolved, count, error in rows.values_list(
        "flow_id", "new_window", "resolved_window", "errors", "error_id"
    ):
        found[flow, new, resolved].append((count, error))
    return [
        Cell(flow, new, resolved, group[0][0], tuple(sorted((error for _, error in group), reverse=True)))
        for (flow, new, resolved), group in found.items()
    ]


def open_by_flow(account: int) -> dict[int, int]:
    sums = StepState.objects.of(account).order_by().values_list("flow_id").annotate(total=Sum("open_errors"))
    return {flow: total for flow, total in sums if total}


@dataclass
class Told:
    """Puts what a window tells together, once for all takers of the same flows."""

    window: DigestWindow
    environs: Environs
    opened: Mapping[int, int]
    cells: Sequence[Cell]
    told: Mapping[int, Held]

    def messages(
        self, takers: Mapping[Taker, list[tuple[Scope, int]]], assigned: Mapping[int, list["Given"]], holding: Any
    ) -> list[NewMessage]:
        made: dict[Any, NewMessage] = {}
        begun = min((cell.new for cell in self.cells), default=0)
        everyone = {taker.member: taker for taker in takers if taker.member}
        silent = [Taker(member) for member in assigned if member not in everyone and member not in holding.kept]
        for taker in [*takers, *silent]:
            shares = frozenset((scope, since if since >= begun else 0) for scope, since in takers.get(taker, []))
            held = self.told.get(taker.member)
            key = (shares, taker.visible, held.window if held else None)
            if key not in made:
                made[key] = NewMessage(MessageKind.DIGEST, self.window.environment, self.facts(shares, taker, held))
            given = assigned.get(taker.member, []) if taker.member else []
            if made[key].facts["new"] or made[key].facts["resolved"] or given:
                own = {"assigned": [one.facts() for one in given[:DETAILED]], "assigned_count": len(given)}
                made[key].give(taker, own if given else {})
        return [message for message in made.values() if message.takers]

    def facts(self, shares: Iterable[tuple[Scope, int]], taker: Taker, held: Held | None) -> dict[str, Any]:
        after = held.window if held else self.window.number - 1
        covered: dict[int, int] = {}
        for scope, since in shares:
            for flow in self.environs.flows_of(scope, taker.visible):
                covered[flow] = min(since, covered.get(flow, since))
        news: dict[int, News] = defaultdict(News)
        for cell in self.cells:
            if cell.flow in covered:
                news[cell.flow].add(cell, covered[cell.flow], after)
        flows = [self._flow(place, news[flow]) for flow, place in self.environs.places.items() if flow in news]
        flows = [flow for flow in flows if flow["new"] or flow["resolved"]]
        return {
            "new": sum(flow["new"] for flow in flows),
            "resolved": sum(flow["resolved"] for flow in flows),
            "open": sum(self.opened.get(flow, 0) for flow in covered),
            "windows": self.window.number - after,
            "until": self.window.ended_at,
            "flows": flows,
        }

    def _flow(self, place: Place, news: News) -> dict[str, Any]:
        return {
            "id": place.flow,
            "name": place.name,
            "integration": place.integration_name,
            "slug": place.slug,
            "new": news.new,
            "resolved": news.resolved,
            "open": self.opened.get(place.flow, 0),
            "new_ids": sorted(news.new_ids, reverse=True)[:DETAILED],
            "resolved_ids": sorted(news.resolved_ids, reverse=True)[:DETAILED],
        }


# --- what others gave to a member ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Given:
    """An error or a root cause that somebody gave to the member and nobody has mailed yet."""

    row: int
    error: int | None
    cause: int | None

    def facts(self) -> dict[str, int | None]:
        return {"error": self.error, "cause": self.cause}


def waiting_assignments(window: DigestWindow) -> dict[int, list[Given]]:
    """Assignee -> what is still open and still his, the newest first. Who does not want to hear of it is left out."""
    of_error = Q(
        error__assignee=F("assignee"),
        error__state=ErrorState.OPEN,
        error__flow__integration__environment=window.environment,
    )
    of_cause = Q(cause__assignee=F("assignee"), cause__flow__integration__environment=window.environment)
    unwanted = Q(assignee__mail_preference__assigned=False)
    rows = Assignment.objects.of(window.account_id).filter(of_error | of_cause, ACTIVE_ASSIGNEE, mailed_at__isnull=True)
    found: dict[int, list[Given]] = defaultdict(list)
    for assignee, *given in rows.exclude(unwanted).order_by("-pk").values_list("assignee", "pk", "error", "cause"):
        found[assignee].append(Given(*given))
    return dict(found)


def end_assignments(window: DigestWindow, assigned: Mapping[int, list[Given]], kept: Iterable[int]) -> None:
    """They are mailed once; those of members whose digests are held back wait."""
    waiting = set(kept)
    told = [given.row for member, group in assigned.items() if member not in waiting for given in group]
    if told:
        condition, params = in_array("id", told)
        rows = Assignment.objects.of(window.account_id).extra(where=[condition], params=params)  # noqa: S610 (a constant)
        rows.update(mailed_at=database_now())
