"""What is done with a flow, and what hangs on it."""

from typing import Any

from django.db.models import Q
from django.urls import path
from rest_framework.response import Response

from apps.accounts.audit import entries_of
from apps.accounts.permissions import Act
from apps.accounts.tokens import Scope
from apps.api.failures import conflict, invalid
from apps.api.flow_texts import cloned_text
from apps.api.operations import ApiView, operation
from apps.api.paging import PAGING, Listed, page_of
from apps.api.selectors.audit import EntryFacts
from apps.api.selectors.flow_parts import LastExport, dependencies_of, export_of, last_export_of
from apps.api.serializers.audit import AuditAnswer
from apps.api.serializers.flows import (
    CloneBody,
    DependenciesAnswer,
    LastExportAnswer,
    LastExportBody,
    RunBody,
    RunStartedAnswer,
    WholeFlowAnswer,
)
from apps.api.views.flows import NEW, stored
from apps.flows.last_export import checkpoint_at
from apps.flows.models import Flow, Step
from apps.runs.checkpoints import refuse_other_kind, set_checkpoint
from apps.runs.models import Run
from apps.runs.services import RunRefused, start_run
from apps.runs.statuses import Trigger


class RunFlow(ApiView):
    @operation(body=RunBody, answer=RunStartedAnswer, status=201, scope=Scope.RUN)
    def post(self, request: Any, flow_id: str) -> Run:
        """Start a run, perhaps of a window of time."""
        flow = self.caller.flow(flow_id, to=Act.RUN_FLOW)
        body = self.body
        begin, end = body.get("startDate"), body.get("endDate")
        if begin and end and end < begin:
            raise invalid("The window ends before it begins.", "endDate")
        refuse_other_exports(flow, body.get("_exportIds", []))
        if not flow.enabled:
            raise invalid(f"Flow {flow.name} is disabled. Enable it first.", code="flow_disabled")
        return start_run(flow=flow, trigger=Trigger.API, member=self.caller.member, window_from=begin, window_to=end)


def refuse_other_exports(flow: Flow, keys: list[int]) -> None:
    if keys and keys != [export_of(flow).pk]:
        raise invalid("The flow has another export, and only that one.", "_exportIds")


class CloneFlow(ApiView):
    @operation(body=CloneBody, answer=WholeFlowAnswer, status=201, scope=Scope.EDIT)
    def post(self, request: Any, flow_id: str) -> Response:
        """A copy of a flow under another name, disabled, in the same integration or in another one."""
        flow = self.caller.flow(flow_id, to=Act.EDIT_FLOWS)
        return stored(self, cloned_text(self.caller, flow, self.body), None, NEW)


class FlowDependencies(ApiView):
    @operation(answer=DependenciesAnswer)
    def get(self, request: Any, flow_id: str) -> dict[str, Any]:
        """What a flow is made of and uses, and which flows need it."""
        return dependencies_of(self.caller.flow(flow_id), self.caller.reach)


class FlowAudit(ApiView):
    @operation(query=PAGING, answer=AuditAnswer, many=True)
    def get(self, request: Any, flow_id: str) -> Listed:
        """What was done to a flow and its steps, newest first."""
        flow = self.caller.flow(flow_id, to=Act.READ_AUDIT)
        own = Q(object_kind="flow", object_id=flow.pk)
        steps = Q(object_kind="step", object_id__in=Step.objects.of(flow.account_id).filter(flow=flow).values("pk"))
        rows = entries_of(self.caller.account).filter(own | steps)
        page = page_of(request, rows, self.query)
        return Listed([EntryFacts(entry) for entry in page.rows], page.headers)


class LastExportDateTime(ApiView):
    @operation(answer=LastExportAnswer)
    def get(self, request: Any, flow_id: str) -> LastExport:
        """How far the flow's export has durably got: the next run exports from there."""
        return last_export_of(export_of(self.caller.flow(flow_id)))

    @operation(body=LastExportBody, answer=LastExportAnswer, scope=Scope.EDIT)
    def put(self, request: Any, flow_id: str) -> LastExport:
        """Move the checkpoint to a time or a value, or forget it with null. Refused while a run is under way."""
        step = export_of(self.caller.flow(flow_id, to=Act.MOVE_CHECKPOINT))
        try:
            set_checkpoint(step=step, value=wanted_checkpoint(step, self.body), member=self.caller.member)
        except RunRefused as refused:
            raise conflict(str(refused)) from refused
        return last_export_of(step)


def wanted_checkpoint(step: Step, body: dict[str, Any]) -> Any:
    """The value that the body asks for; None forgets it. Raises a Refusal."""
    if not body:
        raise invalid("Say lastExportDateTime or value; null forgets the checkpoint.", "lastExportDateTime")
    present = last_export_of(step).checkpoint
    name = "value" if "value" in body else "lastExportDateTime"
    given = body[name]
    if given is None:
        return None
    try:
        if name == "lastExportDateTime":
            return checkpoint_at(step, present, given)
        refuse_other_kind(given, present)
    except ValueError as error:
        raise invalid(str(error), name) from None
    return given


urls = [
    path("flows/<str:flow_id>/run", RunFlow.as_view(), name="flow-run"),
    path("flows/<str:flow_id>/clone", CloneFlow.as_view(), name="flow-clone"),
    path("flows/<str:flow_id>/dependencies", FlowDependencies.as_view(), name="flow-dependencies"),
    path("flows/<str:flow_id>/audit", FlowAudit.as_view(), name="flow-audit"),
    path("flows/<str:flow_id>/lastExportDateTime", LastExportDateTime.as_view(), name="flow-last-export"),
]
