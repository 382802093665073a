"""Exports and imports: the steps of flows. Changing one applies its flow's definition."""

from collections.abc import Collection
from typing import Any, ClassVar

from django.urls import path

from apps.accounts.permissions import Act
from apps.accounts.tokens import Scope
from apps.api.caller import one
from apps.api.failures import invalid
from apps.api.flow_texts import expected_revision
from apps.api.operations import ApiView, operation
from apps.api.paging import PAGING, Listed, page_of
from apps.api.queries import wire
from apps.api.selectors.steps import EXPORTS, IMPORTS, StepFacts, steps_of, with_parts
from apps.api.serializers.steps import ExportAnswer, ImportAnswer, StepBody
from apps.api.step_texts import added, changed, removed
from apps.core.ids import Kind, parse_wire_id
from apps.flows.models import Flow, Step, StepKind
from apps.flows.services import apply_definition

FILTERS = (
    *PAGING,
    wire("_flowId", "Only the steps of this flow.", Kind.FLOW),
    wire("_connectionId", "Only the steps on this connection.", Kind.CONNECTION),
)
COLUMNS = {"_flowId": "flow", "_connectionId": "connection"}


class StepView(ApiView):
    """What exports and imports have in common."""

    kinds: ClassVar[Collection[str]]

    def listed(self) -> Listed:
        chosen = {column: self.query[name] for name, column in COLUMNS.items() if name in self.query}
        rows = steps_of(self.caller.reach, self.kinds).filter(**chosen)
        page = page_of(self.request, rows, self.query, always_linked=True)
        return Listed(with_parts(page.rows), page.headers)

    def found(self, step_id: str, to: Act = Act.VIEW) -> Step:
        step = one(steps_of(self.caller.reach, self.kinds), parse_wire_id(step_id, Kind.STEP))
        self.caller.require(to, step.flow.integration_id)
        return step

    def told(self, step_key: int) -> StepFacts:
        return with_parts([steps_of(self.caller.reach, self.kinds).get(pk=step_key)])[0]

    def apply(self, flow: Flow, text: str) -> None:
        expected = expected_revision(self.request.headers.get("If-Match", ""))
        member = self.caller.member
        apply_definition(account=self.caller.account, text=text, member=member, expected_revision=expected)

    def add(self) -> StepFacts:
        self.caller.require_somewhere(Act.EDIT_FLOWS)
        body = self.body
        if "_flowId" not in body:
            message = "Exports and imports belong to a flow: name it, or send a whole flow as a definition."
            raise invalid(message, "_flowId", "invalid_operation")
        flow = self.caller.flow_by_key(body["_flowId"], to=Act.EDIT_FLOWS)
        text, key = added(self.caller, flow, body, self.kinds)
        self.apply(flow, text)
        return self.told(Step.objects.of(flow.account_id).get(flow=flow, key=key).pk)

    def change(self, step_id: str, *, is_whole: bool) -> StepFacts:
        step = self.found(step_id, to=Act.EDIT_FLOWS)
        self.apply(step.flow, changed(self.caller, step, self.body, is_whole=is_whole))
        return self.told(step.pk)

    def take_out(self, step_id: str) -> None:
        step = self.found(step_id, to=Act.EDIT_FLOWS)
        if step.kind == StepKind.EXPORT:
            raise invalid("A flow has exactly one export, and keeps it.", code="invalid_operation")
        self.apply(step.flow, removed(step))


class ExportList(StepView):
    kinds = EXPORTS

    @operation(query=FILTERS, answer=ExportAnswer, many=True)
    def get(self, request: Any) -> Listed:
        """The exports and lookups of the flows that the caller sees, by name."""
        return self.listed()

    @operation(body=StepBody, answer=ExportAnswer, status=201, scope=Scope.EDIT)
    def post(self, request: Any) -> StepFacts:
        """Add a lookup to the end of a flow. Outside of a flow there are no exports."""
        return self.add()


class OneExport(StepView):
    kinds = EXPORTS

    @operation(answer=ExportAnswer)
    def get(self, request: Any, step_id: str) -> StepFacts:
        """One export or lookup."""
        return self.told(self.found(step_id).pk)

    @operation(body=StepBody, answer=ExportAnswer, scope=Scope.EDIT)
    def put(self, request: Any, step_id: str) -> StepFacts:
        """Replace what the flow's definition says of an export."""
        return self.change(step_id, is_whole=True)

    @operation(body=StepBody, answer=ExportAnswer, scope=Scope.EDIT)
    def patch(self, request: Any, step_id: str) -> StepFacts:
        """Change some fields of an export."""
        return self.change(step_id, is_whole=False)

    @operation(scope=Scope.EDIT)
    def delete(self, request: Any, step_id: str) -> None:
        """Take a lookup out of its flow; its errors stay. The export of a flow cannot be taken out."""
        self.take_out(step_id)


class ImportList(StepView):
    kinds = IMPORTS

    @operation(query=FILTERS, answer=ImportAnswer, many=True)
    def get(self, request: Any) -> Listed:
        """The imports of the flows that the caller sees, by name."""
        return self.listed()

    @operation(body=StepBody, answer=ImportAnswer, status=201, scope=Scope.EDIT)
    def post(self, request: Any) -> StepFacts:
        """Add an import to the end of a flow. Outside of a flow there are no imports."""
        return self.add()


class OneImport(StepView):
    kinds = IMPORTS

    @operation(answer=ImportAnswer)
    def get(self, request: Any, step_id: str) -> StepFacts:
        """One import."""
        return self.told(self.found(step_id).pk)

    @operation(body=StepBody, answer=ImportAnswer, scope=Scope.EDIT)
    def put(self, request: Any, step_id: str) -> StepFacts:
        """Replace what the flow's definition says of an import."""
        return self.change(step_id, is_whole=True)

    @operation(body=StepBody, answer=ImportAnswer, scope=Scope.EDIT)
    def patch(self, request: Any, step_id: str) -> StepFacts:
        """Change some fields of an import."""
        return self.change(step_id, is_whole=False)

    @operation(scope=Scope.EDIT)
    def delete(self, request: Any, step_id: str) -> None:
        """Take an import out of its flow; its errors stay."""
        self.take_out(step_id)


urls = [
    path("exports", ExportList.as_view(), name="export-list"),
    path("exports/<str:step_id>", OneExport.as_view(), name="export"),
    path("imports", ImportList.as_view(), name="import-list"),
    path("imports/<str:step_id>", OneImport.as_view(), name="import"),
]
