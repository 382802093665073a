"""Lists of errors, a page at a time, never counted beyond a bound; the choices of their filters; one error in full."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from django.db.models import Q, Sum
from django.db.models.functions import Left

from apps.accounts.models import Member
from apps.console.access import Reach
from apps.console.json_view import CodeView, code_view, value_view
from apps.console.selectors.error_filters import ErrorFilter, matching, matching_causes
from apps.core.pagination import Cursor, keyset_page
from apps.errors.models import Cause, Error, RetryData, RetryItem, RuleHit, StepState
from apps.errors.querysets import CauseQuerySet, ErrorQuerySet
from apps.errors.rules.naming import hits_of, resolvers_of
from apps.errors.states import ErrorState, ErrorUnit, Reason
from apps.runs.models import Capture

PAGE_SIZE = 50
MOST_COUNTED = 500
MOST_CAUSES = 200
MOST_CODES = 20
"""A menu of more is not read; others are chosen from the page of their root cause."""
SHOWN_MESSAGE = 400  # characters of a message in a list
MOST_HISTORY = 20
STATES = ("open", "resolved", "retrying", "all")
RESOLVED_ORDER = ("-resolved_at", "-id")
NEWEST_FIRST = ("-id",)
SHOWN_WITH = ("cause", "step", "flow")


@dataclass(frozen=True)
class ErrorPage:
    """One page of a list. `matches` is None where it was not counted, `is_more` says that it stopped at the bound."""

    rows: Sequence[Error]
    newer: str
    older: str
    matches: int | None = None
    is_more: bool = False


def errors_in(reach: Reach, state: str) -> ErrorQuerySet:
    """The account's errors within reach, in a state: `open`, `resolved`, `retrying` or `all`."""
    rows = Error.objects.of(reach.account_id)
    if state == "open":
        return rows.open()
    if state == "resolved":
        return rows.resolved()
    return rows.retrying() if state == "retrying" else rows


def causes_in(reach: Reach) -> CauseQuerySet:
    """The account's root causes within reach."""
    return Cause.objects.of(reach.account_id).filter(**reach.where("flow__integration"))


def order_of(state: str) -> tuple[str, ...]:
    return RESOLVED_ORDER if state == "resolved" else NEWEST_FIRST


def cursor_at(error: Error, state: str) -> str:
    """The place in a list at which this error is the first one."""
    values = (error.resolved_at, error.pk + 1) if state == "resolved" else (error.pk + 1,)
    return Cursor(values).encode()


def error_page(
    rows: ErrorQuerySet,
    wanted: ErrorFilter,
    state: str,
    *,
    cursor: str,
    is_counted: bool,
    causes: CauseQuerySet | None = None,
) -> ErrorPage:
    """One query, and one if counted: by the kept counts of `causes`, those of `rows`, where the filters are about them.
    Its rows have no people yet (`name_people`).

    Raises BadCursorError for a cursor of another list.
    """
    found = matching(rows, wanted)
    order = order_of(state)
    shown = found.annotate(short_message=Left("message", SHOWN_MESSAGE)).defer("message", "effects")
    page = keyset_page(shown.select_related(*SHOWN_WITH), cursor=cursor, size=PAGE_SIZE, order=order)
    shown_page = ErrorPage(page.rows, page.previous_cursor, page.next_cursor)
    if not is_counted:
        return shown_page
    counting = matching_causes(causes, wanted) if causes is not None and state == "open" else None
    # the newest errors of a tag are the first in its index, in whichever order the list is
    ordered = found.order_by(*(NEWEST_FIRST if wanted.tag is not None else order))
    return _counted(shown_page, ordered, counting, has_words=bool(wanted.words))


def name_people(rows: Sequence[Error], known: Sequence[Member]) -> None:
    """Who has these errors, and who or which rule resolved them. Not joined: PostgreSQL took five times as long to plan
    a list of nine tables as to read it. One query if somebody is not among those `known`, as who has left."""
    name_rules(rows)
    people = {member.pk: member for member in known}
    keys = {key for row in rows for key in (row.assignee_id, row.resolved_by_id) if key is not None} - set(people)
    if keys:
        people |= Member.objects.of(rows[0].account_id).select_related("user").in_bulk(keys)
    for row in rows:
        if row.assignee_id in people:
            row.assignee = people[row.assignee_id]
        if row.resolved_by_id in people:
            row.resolved_by = people[row.resolved_by_id]


def name_rules(rows: Sequence[Error]) -> None:
    """Which rules resolved them; no query where none did."""
    ruled = [row for row in rows if row.reason == Reason.RULE]
    found = resolvers_of(ruled[0].account_id, [row.pk for row in ruled]) if ruled else {}
    for row in ruled:
        row.ruled_by = str(found.get(row.pk, ""))


def _counted(page: ErrorPage, found: ErrorQuerySet, counting: CauseQuerySet | None, *, has_words: bool) -> ErrorPage:
    """How many match, where that is cheap to tell: counting on for the words of a search would read the whole list.

    `counting`: root causes whose open errors are all that match.
    """
    if not page.newer and not page.older:
        return replace(page, matches=len(page.rows))
    if counting is not None:
        return replace(page, matches=counting.open_total())
    if has_words:
        return replace(page, matches=len(page.rows), is_more=True)
    matches = found[: MOST_COUNTED + 1].count()  # in order, or the planner reads all that match before it stops
    return replace(page, matches=min(matches, MOST_COUNTED), is_more=matches > MOST_COUNTED)


# --- choices of the filters ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Choice:
    """One value of a filter and the open errors that have it."""

    value: str
    open_errors: int


@dataclass(frozen=True)
class Choices:
    classes: Sequence[Choice] = ()
    sources: Sequence[Choice] = ()
    codes: Sequence[Choice] = ()


def choices_of(causes: CauseQuerySet) -> Choices:
    """Classes, sources and codes of the newest of these root causes; one query."""
    facts = list(causes.newest_first().values_list("classification", "source", "code", "open_errors")[:MOST_CAUSES])
    classes, sources, codes = ([(str(row[place]), int(row[3])) for row in facts] for place in range(3))
    return Choices(_choices(classes), _choices(sources), _choices(codes)[:MOST_CODES])


def _choices(pairs: Sequence[tuple[str, int]]) -> list[Choice]:
    sums: dict[str, int] = {}
    for value, count in pairs:
        sums[value] = sums.get(value, 0) + count
    found = [Choice(value, count) for value, count in sums.items() if value]
    return sorted(found, key=lambda choice: (-choice.open_errors, choice.value))


# --- who has open errors ---------------------------------------------------------------------------------------------
class OpenStep(NamedTuple):
    """A step with open errors. Of hundreds of steps whole objects take most of a page's time."""

    pk: int
    name: str
    kind: str
    connection_kind: str | None
    flow_id: int
    flow_name: str
    integration: str  # its slug
    integration_name: str
    open_errors: int


def open_steps(reach: Reach) -> list[OpenStep]:
    """The kept counts of all steps with open errors, most first; one query."""
    rows = StepState.objects.of(reach.account_id).filter(open_errors__gt=0, **reach.where("flow__integration"))
    found = rows.order_by("-open_errors", "step_id").values_list(
        "step_id", "step__name", "step__kind", "step__connection__kind",
        "flow_id", "flow__name", "flow__integration__slug", "flow__integration__name", "open_errors",
    )  # fmt: skip
    return [OpenStep(*facts) for facts in found]


def open_total(reach: Reach) -> int:
    rows = StepState.objects.of(reach.account_id).filter(**reach.where("flow__integration"))
    return rows.aggregate(total=Sum("open_errors"))["total"] or 0


# --- one error -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ErrorDetail:
    """An error in full. What a tab shows is read when it is asked for, one query each."""

    error: Error

    @cached_property
    def retry_data(self) -> RetryData | None:
        rows = RetryData.objects.of(self.error.account_id).filter(error=self.error)
        found: RetryData | None = rows.select_related("from_step").first()
        return found

    @cached_property
    def capture(self) -> Capture | None:
        if self.error.capture_id is None:
            return None
        found: Capture | None = Capture.objects.of(self.error.account_id).filter(pk=self.error.capture_id).first()
        return found

    @cached_property
    def history(self) -> list[Error]:
        return same_record(self.error)

    @cached_property
    def rules(self) -> list[RuleHit]:
        return list(hits_of(self.error)[:MOST_HISTORY])

    @cached_property
    def attempts(self) -> list[RetryItem]:
        rows = RetryItem.objects.of(self.error.account_id).filter(error=self.error)
        return list(rows.select_related("run", "member__user").order_by("-id")[:MOST_HISTORY])

    @property
    def is_open(self) -> bool:
        return self.error.state == ErrorState.OPEN and self.error.retry_run_id is None

    @property
    def same_cause(self) -> int:
        """How many other open errors have the same root cause."""
        return max(self.error.cause.open_errors - int(self.is_open), 0)

    @property
    def field(self) -> str:
        return str(self.error.effects.get("field", ""))

    @property
    def place(self) -> str:
        return str(self.error.effects.get("place", ""))

    @property
    def trace(self) -> str:
        return str(self.error.effects.get("trace", ""))

    @property
    def page_no(self) -> int | None:
        return None if self.error.page_seq is None else self.error.page_seq + 1

    @property
    def record_no(self) -> int | None:
        return None if self.error.ordinal is None else self.error.ordinal + 1

    @cached_property
    def record(self) -> CodeView | None:
        """None for what never had a record, or whose data was purged."""
        data = self.retry_data
        return code_view(bytes(data.record), field=self.field) if data is not None and data.record is not None else None

    @cached_property
    def window(self) -> CodeView | None:
        data = self.retry_data
        return value_view(data.window) if data is not None and data.window else None

    @property
    def is_unit(self) -> bool:
        return bool(self.error.unit != ErrorUnit.RECORD)

    @cached_property
    def request(self) -> CodeView | None:
        return value_view(self.capture.request) if self.capture is not None and self.capture.request else None

    @cached_property
    def response(self) -> CodeView | None:
        return value_view(self.capture.response) if self.capture is not None and self.capture.response else None


def same_record(error: Error) -> list[Error]:
    """Newest first: what failed at this step under the same trace key, and what an error was resolved by."""
    linked = Q(pk__in=[pk for pk in (error.pk, error.previous_error_id, error.resolved_error_id) if pk])
    if error.key_hash is not None:
        linked |= Q(account=error.account_id, key_hash=error.key_hash, step=error.step_id)
    rows = Error.objects.of(error.account_id).filter(linked, flow=error.flow_id)
    found = rows.annotate(short_message=Left("message", SHOWN_MESSAGE)).defer("message", "effects")
    errors: list[Error] = list(found.select_related("run", "resolved_by__user").newest_first()[:MOST_HISTORY])
    name_rules(errors)
    return errors
