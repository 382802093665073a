"""The errors of a step, their retry data and requests; retry, resolve, assign and tag them."""

from collections.abc import Callable
from typing import Any

import orjson
from django.http import Http404
from django.urls import URLPattern, path
from rest_framework.response import Response

from apps.accounts.models import Member
from apps.accounts.permissions import Act
from apps.accounts.tokens import Scope
from apps.api.acts import finished, named_errors, named_ids, retried_ids, retry
from apps.api.caller import Caller, one
from apps.api.failures import NOT_FOUND, conflict, invalid
from apps.api.filters import filtered, parameters_of
from apps.api.operations import ApiView, operation
from apps.api.selectors.errors import (
    PAGES,
    CountFilters,
    ErrorPage,
    StepFilters,
    newest_page,
    open_by_flow,
    open_by_step,
    settled_page,
)
from apps.api.selectors.jobs import jobs_of
from apps.api.serializers.errors import (
    AssignBody,
    ErrorsBody,
    FlowCountAnswer,
    FlowErrorsAnswer,
    OpenErrorsAnswer,
    RequestAnswer,
    ResolvedErrorsAnswer,
    RetryBody,
    RetryDataAnswer,
    RetryDataBody,
    TagErrorsBody,
)
from apps.api.serializers.jobs import JobAnswer
from apps.core.ids import Kind, parse_retry_data_key, parse_wire_id
from apps.errors.models import Error, RetryData, Tag
from apps.errors.querysets import RESOLVED, RETRYING, ErrorQuerySet
from apps.errors.services import (
    EditConflict,
    EditRefused,
    delete_errors,
    edit_retry_data,
    resolve_errors,
)
from apps.errors.services.notes import assign_errors, tag_errors
from apps.flows.models import Step, StepKind
from apps.runs.models import Capture

COUNT_FILTERS, STEP_FILTERS = parameters_of(CountFilters), parameters_of(StepFilters)
STAGES = {StepKind.EXPORT: "page_generator", StepKind.LOOKUP: "page_processor_export"}


# --- counts ----------------------------------------------------------------------------------------------------------
class FlowErrors(ApiView):
    @operation(answer=FlowErrorsAnswer, scope=Scope.ERRORS, name="flow_errors")
    def get(self, request: Any, flow_id: str) -> Any:
        """How many open errors each step of a flow has."""
        return {"flowErrors": list(open_by_step(self.caller.flow(flow_id)))}


class IntegrationErrors(ApiView):
    @operation(query=COUNT_FILTERS, answer=FlowCountAnswer, many=True, scope=Scope.ERRORS)
    def get(self, request: Any, integration_id: str) -> Any:
        """How many open errors each flow of an integration has."""
        names = {parameter.name for parameter in COUNT_FILTERS}
        asked = {name: value for name, value in self.query.items() if name in names}
        return open_by_flow(self.caller.integration(integration_id), asked)


# --- lists -----------------------------------------------------------------------------------------------------------
class OfStep(ApiView):
    """What is below one step of a flow."""

    def step(self, flow_id: str, step_id: str, to: Act = Act.VIEW) -> Step:
        """Raises Http404 also for a step of another flow."""
        key, step = parse_wire_id(flow_id, Kind.FLOW), self.caller.step(step_id)
        if step.flow_id != key:
            raise Http404(NOT_FOUND)
        self.caller.require(to, step.flow.integration_id)
        return step

    def errors(self, step: Step) -> ErrorQuerySet:
        rows: ErrorQuerySet = Error.objects.of(self.caller.account).for_step(step)
        return rows

    def matching(self, step: Step) -> ErrorQuerySet:
        return filtered(StepFilters, self.errors(step), self.query, step.account_id)

    def named(self, flow_id: str, step_id: str, to: Act) -> ErrorQuerySet:
        step = self.step(flow_id, step_id, to)
        return named_errors(self.errors(step), named_ids(self.body))

    def one_error(self, flow_id: str, step_id: str, retry_data_key: str) -> Error:
        step = self.step(flow_id, step_id)
        return one(self.errors(step).select_related("step", "flow"), parse_retry_data_key(retry_data_key))


def answered(name: str, page: ErrorPage) -> Response:
    """A page is rendered already."""
    return Response({name: page.rows} | ({"nextPageURL": page.next_page} if page.next_page else {}))


class StepErrors(OfStep):
    @operation(query=(*STEP_FILTERS, *PAGES), answer=OpenErrorsAnswer, scope=Scope.ERRORS)
    def get(self, request: Any, flow_id: str, step_id: str) -> Response:
        """The open errors of a step, the newest first."""
        rows = self.matching(self.step(flow_id, step_id)).open()
        return answered("errors", newest_page(request, self.caller.account, rows, self.query))


class ResolvedErrors(OfStep):
    @operation(query=(*STEP_FILTERS, *PAGES), answer=ResolvedErrorsAnswer, scope=Scope.ERRORS)
    def get(self, request: Any, flow_id: str, step_id: str) -> Response:
        """The errors of a step that a retry has, then its resolved ones, the latest first."""
        rows = self.matching(self.step(flow_id, step_id))
        return answered("resolved", settled_page(request, self.caller.account, rows, self.query))

    @operation(body=ErrorsBody, scope=Scope.ERRORS, is_strict=True)
    def put(self, request: Any, flow_id: str, step_id: str) -> None:
        """Resolve errors. Those that are resolved already stay as they are."""
        errors = self.named(flow_id, step_id, Act.RESOLVE_ERRORS)
        finished(resolve_errors(account=self.caller.account, member=self.caller.member, errors=errors))

    @operation(body=ErrorsBody, scope=Scope.ERRORS, is_strict=True)
    def delete(self, request: Any, flow_id: str, step_id: str) -> None:
        """Delete the resolved errors of a step, or those that are named. It takes the role administrator."""
        step = self.step(flow_id, step_id, Act.DELETE)
        rows = self.errors(step)
        chosen = named_errors(rows, named_ids(self.body)) if self.sent else rows.filter(RESOLVED)
        finished(delete_errors(account=self.caller.account, member=self.caller.member, errors=chosen.exclude(RETRYING)))


# --- one error's data ------------------------------------------------------------------------------------------------
class ErrorData(OfStep):
    @operation(answer=RetryDataAnswer, scope=Scope.ERRORS)
    def get(self, request: Any, flow_id: str, step_id: str, retry_data_key: str) -> Any:
        """What a retry of an error sends."""
        error = self.one_error(flow_id, step_id, retry_data_key)
        return data_answer(error, stored_data(error))

    @operation(body=RetryDataBody, answer=RetryDataAnswer, scope=Scope.ERRORS, is_strict=True)
    def put(self, request: Any, flow_id: str, step_id: str, retry_data_key: str) -> Any:
        """Change what a retry sends. The one before is kept; If-Match with its version refuses to change another."""
        error = self.one_error(flow_id, step_id, retry_data_key)
        self.caller.require(Act.EDIT_RETRY_DATA, error.flow.integration_id)
        data = stored_data(error)
        if data.record is None:
            raise invalid(f"A {error.unit} has no record to change; it is exported or sent again as it is.")
        text = orjson.dumps(self.body["data"]).decode()
        try:
            changed = edit_retry_data(
                error=error, member=self.caller.member, text=text, expected_version=wanted_version(request, data)
            )
        except EditConflict as refused:
            raise conflict(str(refused)) from refused
        except EditRefused as refused:
            raise invalid(str(refused), "data") from refused
        return data_answer(error, changed)


def stored_data(error: Error) -> RetryData:
    """Raises a Refusal for what the retention has removed."""
    data: RetryData | None = (
        RetryData.objects.of(error.account_id).select_related("from_step").filter(error_id=error.pk).first()
    )
    if data is None or data.purged_at is not None:
        raise invalid("The retry data of this error are gone: the retention removed them.", code="retry_data_expired")
    return data


def data_answer(error: Error, data: RetryData) -> dict[str, Any]:
    return {
        "data": readable(bytes(data.record)) if data.record is not None else data.window or {},
        "stage": STAGES.get(StepKind(data.from_step.kind), "page_processor_import"),
        "traceKey": error.key,
        "version": data.version,
    }


def readable(record: bytes) -> Any:
    """The record's JSON; its text where it is none."""
    try:
        return orjson.loads(record)
    except orjson.JSONDecodeError:
        return record.decode(errors="backslashreplace")


def wanted_version(request: Any, data: RetryData) -> int:
    """The version that the caller means to change: the one in If-Match, else the present one."""
    given = request.headers.get("If-Match", "").strip().strip('"')
    if not given or given == "*":
        return data.version
    if not given.isdecimal() or len(given) > 9:
        raise invalid("If-Match is the version of the retry data, such as 1.", "If-Match")
    return int(given)


class ErrorRequest(OfStep):
    @operation(answer=RequestAnswer, scope=Scope.ERRORS)
    def get(self, request: Any, flow_id: str, step_id: str, request_key: str) -> Capture:
        """The request that was sent for a record that failed, and the answer to it. Secrets are masked."""
        step = self.step(flow_id, step_id)
        key = parse_wire_id(request_key, Kind.CAPTURE)
        return one(Capture.objects.of(step.account_id).filter(step=step), key)


# --- acts ------------------------------------------------------------------------------------------------------------
class RetryErrors(OfStep):
    @operation(body=RetryBody, answer=JobAnswer, scope=Scope.ERRORS, is_strict=True)
    def post(self, request: Any, flow_id: str, step_id: str) -> Any:
        """Retry errors. The answer is the retry's job; of errors that a retry has already, that one's."""
        step = self.step(flow_id, step_id, Act.RETRY_ERRORS)
        body = self.body
        errors = named_errors(self.errors(step), retried_ids(body))
        run = retry(self.caller, errors, is_forced=body.get("force", False))
        return jobs_of(self.caller.account, [run])[0]


class AssignErrors(OfStep):
    @operation(body=AssignBody, scope=Scope.ERRORS, is_strict=True)
    def put(self, request: Any, flow_id: str, step_id: str) -> None:
        """Give errors to a member."""
        assign(self.caller, self.named(flow_id, step_id, Act.ASSIGN_ERRORS), self.body["email"])

    post = put


class AssignErrorsOfIntegration(ApiView):
    @operation(body=AssignBody, scope=Scope.ERRORS, is_strict=True)
    def put(self, request: Any, integration_id: str) -> None:
        """Give errors of an integration to a member."""
        integration = self.caller.integration(integration_id, Act.ASSIGN_ERRORS)
        rows = Error.objects.of(self.caller.account).filter(flow__integration=integration)
        assign(self.caller, named_errors(rows, named_ids(self.body)), self.body["email"])

    post = put


def assign(caller: Caller, errors: ErrorQuerySet, email: str) -> None:
    assignee = member_called(caller.account.pk, email)
    finished(assign_errors(account=caller.account, member=caller.member, errors=errors, assignee=assignee))


def member_called(account_id: int, email: str) -> Member | None:
    """The active member with this address; None for a blank one. Raises a Refusal if there is none."""
    if not email:
        return None
    found: Member | None = (
        Member.objects.of(account_id).filter(user__email__iexact=email, disabled_at__isnull=True).first()
    )
    if found is None:
        raise invalid(f"No active member of this account has the address {email}.", "email")
    return found


class TagErrors(OfStep):
    @operation(body=TagErrorsBody, scope=Scope.ERRORS, is_strict=True)
    def put(self, request: Any, flow_id: str, step_id: str) -> None:
        """Give errors these tags and no others."""
        errors = self.named(flow_id, step_id, Act.APPLY_TAGS)
        wanted = set(self.body["tagIds"])
        tags = list(Tag.objects.of(self.caller.account))
        if missing := wanted - {tag.pk for tag in tags}:
            raise invalid(f"{len(missing)} of the tags that you name are not there. Nothing was done.", "tagIds")
        finished(
            tag_errors(
                account=self.caller.account, member=self.caller.member, errors=errors,
                add=[tag for tag in tags if tag.pk in wanted], remove=[tag for tag in tags if tag.pk not in wanted],
            )
        )  # fmt: skip

    post = put


def of_step(end: str, view: Callable[..., Any], name: str) -> list[URLPattern]:
    """A step may be written as it is, as `exports/{id}` or as `imports/{id}`."""
    places = {"": "", "exports/": "-of-export", "imports/": "-of-import"}
    return [
        path(f"flows/<str:flow_id>/{place}<str:step_id>/{end}", view, name=f"{name}{suffix}")
        for place, suffix in places.items()
    ]


urls = [
    path("flows/<str:flow_id>/errors", FlowErrors.as_view(), name="flow-errors"),
    path("integrations/<str:integration_id>/errors", IntegrationErrors.as_view(), name="integration-errors"),
    path(
        "integrations/<str:integration_id>/errors/assign",
        AssignErrorsOfIntegration.as_view(),
        name="integration-errors-assign",
    ),
    *of_step("errors", StepErrors.as_view(), "step-errors"),
    *of_step("resolved", ResolvedErrors.as_view(), "step-resolved"),
    *of_step("retry", RetryErrors.as_view(), "step-retry"),
    *of_step("errors/retry", RetryErrors.as_view(), "step-errors-retry"),
    *of_step("errors/assign", AssignErrors.as_view(), "step-errors-assign"),
    *of_step("tags", TagErrors.as_view(), "step-tags"),
    *of_step("errors/tags", TagErrors.as_view(), "step-errors-tags"),
    *of_step("<str:retry_data_key>/data", ErrorData.as_view(), "error-data"),
    *of_step("errors/<str:retry_data_key>/data", ErrorData.as_view(), "step-error-data"),
    *of_step("requests/<str:request_key>", ErrorRequest.as_view(), "error-request"),
]
