"""Our additions: errors of the whole account, acts on all that match, root causes, a record's journey."""

from typing import Any

from django.db.models import Count
from django.http import Http404
from django.urls import path
from rest_framework.response import Response

from apps.accounts.permissions import Act
from apps.accounts.tokens import Scope
from apps.api.acts import begin_retry, finished
from apps.api.caller import one
from apps.api.failures import NOT_FOUND, bad_query, invalid
from apps.api.filters import filtered, parameters_of
from apps.api.operations import ApiView, operation
from apps.api.paging import Listed, limit_of, next_link
from apps.api.queries import ENVIRONMENT, read_body, refuse_unknown, text
from apps.api.selectors.causes import CAUSE_FILTERS, Group, groups_of, heads
from apps.api.selectors.errors import (
    PAGES,
    STATE,
    InboxFilters,
    in_state,
    newest_page,
    next_address,
    within,
)
from apps.api.serializers.errors import OpenErrorsAnswer
from apps.api.serializers.inbox import ActAnswer, FilterBody, JourneyAnswer, PlanAnswer, RootCauseAnswer
from apps.api.views.errors import answered
from apps.core.ids import Kind, parse_wire_id
from apps.core.pagination import keyset_page
from apps.engine.records import key_hash
from apps.errors.journey import Event, EventKind, find_record, journey_of
from apps.errors.models import BulkAct, BulkItem, Cause
from apps.errors.querysets import ErrorQuerySet
from apps.errors.services import ActPlan, act_plan, resolve_errors
from apps.errors.states import BulkKind

INBOX_FILTERS = parameters_of(InboxFilters)
CAUSE_ORDER = ("-last_seen_at", "-id")


class Inbox(ApiView):
    @operation(query=(STATE, *INBOX_FILTERS, *PAGES), answer=OpenErrorsAnswer, scope=Scope.ERRORS)
    def get(self, request: Any) -> Response:
        """The errors of the whole account, the newest first; the open ones unless told."""
        rows = in_state(within(self.caller.reach), self.query.get("state", "open"))
        rows = filtered(InboxFilters, rows, self.query, self.caller.account.pk)
        return answered("errors", newest_page(request, self.caller.account, rows, self.query))


# --- acts on all that match ------------------------------------------------------------------------------------------
class ActOnMatching(ApiView):
    kind = BulkKind.RESOLVE

    def planned(self, right: Act) -> dict[str, Any]:
        """Do it, or tell what it would do."""
        self.caller.require_somewhere(right)
        body = self.body
        errors = self.matching_errors(body["filter"])
        is_dry = body.get("dryRun", False)
        plan = act_plan(self.kind, account=self.caller.account, errors=errors, includes_resolved=True)
        act = None if is_dry or not plan.total else finished(self.begun(errors, is_forced=body.get("force", False)))
        return plan_answer(plan, act, is_dry=is_dry)

    def matching_errors(self, sent: Any) -> ErrorQuerySet:
        """The errors that a filter means. A name that is not known is refused, for it would mean more than was said."""
        if not isinstance(sent, dict):
            raise invalid('filter is an object, such as {"source": "application"}.', "filter")
        names = (STATE, *INBOX_FILTERS, ENVIRONMENT)
        refuse_unknown(sent, {parameter.name.lower(): parameter for parameter in names})
        asked = read_body(sent, names)
        if not asked:
            raise bad_query('An empty filter means nothing. For all open errors say {"state": "open"}.', "filter")
        rows = within(self.caller.within(asked.get("environment", self.caller.environment)).reach)
        rows = in_state(rows, asked.get("state", "open"))
        return filtered(InboxFilters, rows, asked, self.caller.account.pk)

    def begun(self, errors: ErrorQuerySet, *, is_forced: bool) -> BulkAct:
        return resolve_errors(account=self.caller.account, member=self.caller.member, errors=errors)


class ResolveMatching(ActOnMatching):
    @operation(body=FilterBody, answer=PlanAnswer, scope=Scope.ERRORS, is_strict=True)
    def post(self, request: Any) -> Any:
        """Resolve all open errors that match a filter, or with dryRun tell how many that are."""
        return self.planned(Act.RESOLVE_ERRORS)


class RetryMatching(ActOnMatching):
    kind = BulkKind.RETRY

    @operation(body=FilterBody, answer=PlanAnswer, scope=Scope.ERRORS, is_strict=True)
    def post(self, request: Any) -> Any:
        """Retry all errors that match a filter, or with dryRun tell how many that are and which are left alone."""
        return self.planned(Act.RETRY_ERRORS)

    def begun(self, errors: ErrorQuerySet, *, is_forced: bool) -> BulkAct:
        return begin_retry(self.caller, errors, is_forced=is_forced)


def plan_answer(plan: ActPlan, act: BulkAct | None, *, is_dry: bool) -> dict[str, Any]:
    return {
        "count": plan.total,
        "eligible": plan.eligible,
        "notEligible": [{"reason": reason, "count": count} for reason, count in plan.left_alone],
        "wentThrough": plan.went_through,
        "dryRun": is_dry,
        "_actId": act.pk if act is not None else None,
    }


class OneAct(ApiView):
    @operation(answer=ActAnswer, scope=Scope.ERRORS)
    def get(self, request: Any, act_id: str) -> Any:
        """How far an act on many errors has got, and what came of them. Only whoever began it sees it."""
        acts = BulkAct.objects.of(self.caller.account).filter(member=self.caller.member)
        act = one(acts, parse_wire_id(act_id, Kind.BULK_ACT))
        items = BulkItem.objects.of(act.account_id).filter(act=act).exclude(result="").order_by()
        counted = items.values_list("result").annotate(number=Count("pk")).order_by("-number", "result")
        results = [{"reason": reason, "count": count} for reason, count in counted]
        return {"act": act, "results": results, "runs": list(act.options.get("runs", {}).values())}


# --- root causes -----------------------------------------------------------------------------------------------------
class RootCauses(ApiView):
    @operation(query=CAUSE_FILTERS, answer=RootCauseAnswer, many=True, scope=Scope.ERRORS)
    def get(self, request: Any) -> Listed:
        """Root causes, those that were seen last first; what was merged is told as one."""
        rows = heads(self.caller.reach, self.query)
        page = keyset_page(rows, cursor=self.query.get("page", ""), size=limit_of(self.query), order=CAUSE_ORDER)
        links = next_link(request, next_address(request, page.next_cursor))
        return Listed(groups_of(self.caller.account.pk, page.rows), links)


class OneRootCause(ApiView):
    @operation(answer=RootCauseAnswer, scope=Scope.ERRORS)
    def get(self, request: Any, cause_id: str) -> Group:
        """One root cause; of one that was merged the one that it was merged into."""
        key = parse_wire_id(cause_id, Kind.CAUSE)
        rows = Cause.objects.of(self.caller.account).filter(**self.caller.reach.where("flow__integration"))
        found = one(rows.select_related("merged_into"), key)
        head = one(rows.select_related("assignee__user"), found.merged_into_id or found.pk)
        return groups_of(head.account_id, [head])[0]


# --- a record's journey ----------------------------------------------------------------------------------------------
class Journey(ApiView):
    @operation(
        query=(text("page", "Where the page begins; nextPageURL names it.", 300),),
        answer=JourneyAnswer, scope=Scope.ERRORS,
    )  # fmt: skip
    def get(self, request: Any, trace_key: str) -> Any:
        """All that happened to the record with a trace key, over all flows, the newest first."""
        hashed = key_hash(trace_key)
        record = None if hashed is None else find_record(self.caller.reach, hashed)
        if record is None or hashed is None:
            raise Http404(NOT_FOUND)
        journey = journey_of(self.caller.reach, hashed, cursor=self.query.get("page", ""))
        return {
            "traceKey": record.key,
            "numError": record.errors,
            "numOpenError": record.open_errors,
            "events": list(map(event_answer, journey.events)),
            "nextPageURL": next_address(request, journey.older),
        }


RULED = EventKind.RULED.name.lower()


def event_answer(event: Event) -> dict[str, Any]:
    return {
        "at": event.at,
        "event": event.kind,
        "error": event.error,
        "job": event.run or None,
        "message": str(getattr(event.error, "short_message", ""))
        if event.kind == EventKind.FAILED.name.lower()
        else "",
        "word": event.word,
        "text": "" if event.kind == RULED else event.text,
        "by": event.member.user.email if event.member is not None else event.text if event.kind == RULED else "",
    }


urls = [
    path("errors", Inbox.as_view(), name="inbox"),
    path("errors/retry", RetryMatching.as_view(), name="retry-matching"),
    path("errors/resolve", ResolveMatching.as_view(), name="resolve-matching"),
    path("errors/acts/<str:act_id>", OneAct.as_view(), name="act"),
    path("root-causes", RootCauses.as_view(), name="root-cause-list"),
    path("root-causes/<str:cause_id>", OneRootCause.as_view(), name="root-cause"),
    path("records/<path:trace_key>", Journey.as_view(), name="record"),
]
