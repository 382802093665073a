"""Errors as the API tells them. A page has up to a thousand: rows become answers with no models between."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Max, Q, QuerySet, Sum
from django.http import HttpRequest

from apps.accounts.models import Account, Member
from apps.accounts.reach import Reach
from apps.api.filters import Asked, Filters, filtered
from apps.api.moments import days_later, written
from apps.api.paging import limit_of
from apps.api.queries import choice, many, moment, number, text, wire
from apps.core.ids import Kind, retry_data_key, wire_id
from apps.core.pagination import NEWEST_FIRST, keyset_page
from apps.engine.records import key_hash
from apps.errors.models import Cause, Error, ErrorTag, RuleRevision, StepState
from apps.errors.querysets import RESOLVED, RETRYING, ErrorQuerySet
from apps.errors.rules.naming import resolvers_of
from apps.errors.states import Classification, ErrorState, Reason
from apps.flows.models import Flow, Integration

SAME_MILLISECOND = timedelta(microseconds=999)
"""What an answer leaves out of a time; so a time that was answered names its own error."""

RESOLVED_ORDER = ("-resolved_at", "-id")
RESOLVED_PART = "~"  # a cursor that begins with this lies behind the retrying ones

PAGES = (
    number("limit", "How many at most; 1,000 unless told.", 1),
    text("page", "Where the page begins; nextPageURL names it.", 300),
)
STATE = choice("state", "Which errors; the open ones unless told.", ("open", "retrying", "resolved"))

COLUMNS = (
    "id", "occurred_at", "message", "key", "run_id", "cause_id", "capture_id", "has_notes", "attempts", "assignee_id",
    "state", "retry_run_id", "resolved_at", "reason", "resolved_by_id", "keep", "retry_data__error_id",
    "retry_data__purged_at",
)  # fmt: skip
# looked up once: a page has a thousand of them
ERROR_ID, RUN_ID, OPEN = Kind.ERROR.pattern, Kind.RUN.pattern, ErrorState.OPEN.value


@dataclass(frozen=True)
class ErrorPage:
    """One page of a list of errors, rendered; a blank address: there is no next page."""

    rows: list[dict[str, Any]]
    next_page: str


# --- what is asked for -----------------------------------------------------------------------------------------------
class CountFilters(Filters):
    """What open errors are counted by."""

    occurredAt_gte = Asked(moment("occurredAt_gte", "Only errors that occurred then or later."), "occurred_at", "gte")
    occurredAt_lte = Asked(moment("occurredAt_lte", "Only errors that occurred then or earlier."), method="until")
    source = Asked(text("source", "Only errors of this source, such as application or mapping.", 32), "cause__source")

    def until(self, rows: ErrorQuerySet, name: str, value: datetime) -> ErrorQuerySet:
        return rows.filter(occurred_at__lte=value + SAME_MILLISECOND)


class StepFilters(CountFilters):
    """What the errors of one step are narrowed by."""

    classification = Asked(
        choice("classification", "Only errors of this class.", Classification.values), "cause__classification"
    )
    code = Asked(text("code", "Only errors with this code.", 128), "cause__code")
    traceKey = Asked(text("traceKey", "Only errors of the record with this trace key.", 4000), method="of_key")
    q = Asked(text("q", "Only errors whose message or trace key holds all of these words.", 500), method="with_words")

    def of_key(self, rows: ErrorQuerySet, name: str, value: str) -> ErrorQuerySet:
        hashed = key_hash(value)
        return rows if hashed is None else rows.with_key(hashed)

    def with_words(self, rows: ErrorQuerySet, name: str, value: str) -> ErrorQuerySet:
        return rows.search(value)


class InboxFilters(StepFilters):
    """What the errors of the account are narrowed by."""

    _integrationId = Asked(
        wire("_integrationId", "Only errors of this integration.", Kind.INTEGRATION), "flow__integration"
    )
    _flowId = Asked(wire("_flowId", "Only errors of this flow.", Kind.FLOW), "flow")
    _expOrImpId = Asked(wire("_expOrImpId", "Only errors of this step.", Kind.STEP), "step")
    _flowJobId = Asked(wire("_flowJobId", "Only errors of this run.", Kind.RUN), "run")
    _rootCauseId = Asked(
        wire("_rootCauseId", "Only errors of this root cause and of those merged into it.", Kind.CAUSE),
        method="of_cause",
    )
    errorIds = Asked(many(wire("errorIds", "Only these errors.", Kind.ERROR)), "pk", "in")

    def of_cause(self, rows: ErrorQuerySet, name: str, value: int) -> ErrorQuerySet:
        """By ids, so that the index of causes answers."""
        merged = Cause.objects.of(self.account).filter(merged_into=value)
        return rows.filter(cause__in=[value, *merged.values_list("pk", flat=True)])


def in_state(rows: ErrorQuerySet, state: str) -> ErrorQuerySet:
    return {"open": rows.open, "retrying": rows.retrying, "resolved": rows.resolved}[state]()


def within(reach: Reach) -> ErrorQuerySet:
    """All errors that somebody sees."""
    return Error.objects.of(reach.account_id).filter(**reach.where("flow__integration"))


# --- pages -----------------------------------------------------------------------------------------------------------
def newest_page(request: HttpRequest, account: Account, rows: ErrorQuerySet, asked: Mapping[str, Any]) -> ErrorPage:
    """Newest first by id, so that what arrives while a client pages is on no page of it; two queries."""
    page = keyset_page(facts_of(rows), cursor=asked.get("page", ""), size=limit_of(asked), order=NEWEST_FIRST)
    return ErrorPage(rendered(account, page.rows), next_address(request, page.next_cursor))


def settled_page(request: HttpRequest, account: Account, rows: ErrorQuerySet, asked: Mapping[str, Any]) -> ErrorPage:
    """First those that a retry has, then the resolved ones, the latest first."""
    cursor, size = asked.get("page", ""), limit_of(asked)
    found: list[Any] = []
    if not cursor.startswith(RESOLVED_PART):
        retried = keyset_page(facts_of(rows.filter(RETRYING)), cursor=cursor, size=size, order=NEWEST_FIRST)
        if retried.next_cursor:
            return ErrorPage(rendered(account, retried.rows), next_address(request, retried.next_cursor))
        found, cursor = retried.rows, RESOLVED_PART
    if len(found) == size:
        return ErrorPage(rendered(account, found), next_address(request, RESOLVED_PART))
    settled = facts_of(rows.filter(RESOLVED, retry_run__isnull=True, resolved_at__isnull=False))
    place = cursor.removeprefix(RESOLVED_PART)
    page = keyset_page(settled, cursor=place, size=size - len(found), order=RESOLVED_ORDER)
    following = f"{RESOLVED_PART}{page.next_cursor}" if page.next_cursor else ""
    return ErrorPage(rendered(account, [*found, *page.rows]), next_address(request, following))


def next_address(request: HttpRequest, cursor: str) -> str:
    """The path and query of the next page; "" without a cursor."""
    if not cursor:
        return ""
    kept = [(name, value) for name, values in request.GET.lists() for value in values if name.lower() != "page"]
    return f"{request.path}?{urlencode([*kept, ('page', cursor)])}"


# --- rendering -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Shared:
    """What errors of a page have in common with each other, by id: read, and written for the wire, once for all."""

    causes: Mapping[int, dict[str, Any]]
    emails: Mapping[int, str]
    tags: Mapping[int, Sequence[str]]
    rules: Mapping[int, RuleRevision]
    days_kept: int


def facts_of(rows: ErrorQuerySet) -> "QuerySet[Any]":
    """What an answer is rendered from, as named tuples."""
    found: QuerySet[Any] = rows.values_list(*COLUMNS, named=True)
    return found


def rendered(account: Account, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """The answers of these rows. A query for their causes, one for people, tags and rules if they have any."""
    shared = Shared(
        causes_of(account.pk, {row.cause_id for row in rows}),
        emails_of(account.pk, {key for row in rows for key in (row.assignee_id, row.resolved_by_id) if key}),
        tags_of(account.pk, [row.id for row in rows if row.has_notes]),
        resolvers_of(account, [row.id for row in rows if row.reason == Reason.RULE]),
        account.retention_days,
    )
    return [answer_of(row, shared) for row in rows if row.cause_id in shared.causes]


def causes_of(account_id: int, causes: Collection[int]) -> dict[int, dict[str, Any]]:
    """What errors tell of their root cause and its step."""
    if not causes:
        return {}
    rows = Cause.objects.of(account_id).filter(pk__among=list(causes)).order_by()
    facts = ("merged_into_id", "source", "code", "classification", "classified_by_id", "flow_id", "step_id")
    found = rows.values_list("pk", *facts, "step__position")
    return {
        key: {
            "source": source,
            "code": code,
            "oIndex": str(position),
            "_flowId": wire_id(Kind.FLOW, flow),
            "_expOrImpId": wire_id(Kind.STEP, step),
            "_rootCauseId": wire_id(Kind.CAUSE, head or key),
            "classification": classification,
            "classifiedBy": "rule" if classifier is None else "user",
        }
        for key, head, source, code, classification, classifier, flow, step, position in found
    }


def emails_of(account_id: int, members: Collection[int]) -> dict[int, str]:
    if not members:
        return {}
    return dict(Member.objects.of(account_id).filter(pk__among=list(members)).values_list("pk", "user__email"))


def tags_of(account_id: int, errors: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    if errors:
        rows = ErrorTag.objects.of(account_id).filter(error__pk__among=errors).order_by("tag_id")
        for error, tag in rows.values_list("error_id", "tag_id"):
            found[error].append(wire_id(Kind.TAG, tag))
    return found


def answer_of(row: Any, shared: Shared) -> dict[str, Any]:
    """One error; names that may be absent are left out where there is nothing to tell."""
    (
        key, occurred, message, trace_key, run, cause, capture, has_notes, attempts, assignee,
        state, retry_run, _, _, _, keep, data, purged_at,
    ) = row  # fmt: skip
    is_retriable = data is not None and purged_at is None
    occurred_at = written(occurred)
    found: dict[str, Any] = {
        "errorId": ERROR_ID % key,
        "occurredAt": occurred_at,
        "message": message,
        "traceKey": trace_key,
        **shared.causes[cause],
        "_flowJobId": RUN_ID % run,
        "purgeAt": None if keep else days_later(occurred_at, shared.days_kept),
        "retriable": is_retriable,
        "attempts": attempts,
    }
    if is_retriable:
        found["retryDataKey"] = retry_data_key(key)
    if capture is not None:
        found["reqAndResKey"] = wire_id(Kind.CAPTURE, capture)
    if assignee is not None and (email := shared.emails.get(assignee)):
        found["assignedTo"] = email
    if has_notes and (tags := shared.tags.get(key)):
        found["tagIds"] = tags
    if retry_run is None and state == OPEN:
        found["status"] = "open"
    else:
        found |= settled_facts(row, shared)
    return found


def settled_facts(row: Any, shared: Shared) -> dict[str, Any]:
    """Of an error that is resolved or that a retry has: how, when and by whom."""
    if row.retry_run_id is not None:
        return {"status": "retrying", "_retryJobId": wire_id(Kind.RUN, row.retry_run_id)}
    return {
        "status": "resolved",
        "resolvedAt": written(row.resolved_at),
        "resolvedReason": row.reason,
        "resolvedBy": shared.emails.get(row.resolved_by_id) or str(shared.rules.get(row.id, "auto")),
    }


# --- counts ----------------------------------------------------------------------------------------------------------
def open_by_step(flow: Flow) -> "QuerySet[StepState]":
    """The kept counts of a flow's steps, in their order; removed ones as long as they have open errors."""
    rows = StepState.objects.of(flow.account_id).filter(flow=flow)
    present = Q(step__removed_at__isnull=True) | Q(open_errors__gt=0)
    return rows.filter(present).order_by("step__position", "step_id")


def open_by_flow(integration: Integration, asked: Mapping[str, Any]) -> "QuerySet[Any]":
    """(flow_id, open errors, when the last one occurred) of an integration's flows: kept counts unless filtered."""
    if not asked:
        kept: QuerySet[Any] = StepState.objects.of(integration.account_id).filter(integration=integration)
        counted = kept.values("flow_id").annotate(open=Sum("open_errors"), last=Max("last_error_at"))
    else:
        rows = Error.objects.of(integration.account_id).filter(flow__integration=integration).open()
        found: QuerySet[Any] = filtered(CountFilters, rows, asked, integration.account_id)
        counted = found.order_by().values("flow_id").annotate(open=Count("pk"), last=Max("occurred_at"))
    return counted.order_by("flow_id")
