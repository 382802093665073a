"""Flows: what they are, and changing them. A flow is its definition, so each change applies another one."""

from typing import Any

from django.db import transaction
from django.urls import path
from rest_framework.response import Response

from apps.accounts.permissions import Act
from apps.accounts.tokens import Scope
from apps.api.failures import conflict
from apps.api.flow_texts import changed_text, expected_revision, new_text, read, refuse_out_of_reach, text_of
from apps.api.operations import ApiView, operation
from apps.api.paging import PAGING, Listed, page_of
from apps.api.queries import wire
from apps.api.selectors.flows import FlowFacts, flows_of, with_facts
from apps.api.serializers.flows import FlowAnswer, FlowBody, WholeFlowAnswer
from apps.core.ids import Kind
from apps.errors.models import Error
from apps.errors.services import resolve_errors
from apps.flows.models import Flow
from apps.flows.services import apply_definition, disable_flow, enable_flow
from apps.runs.removing import remove_idle_flow
from apps.runs.services import RunRefused

FILTERS = (*PAGING, wire("_integrationId", "Only the flows of this integration.", Kind.INTEGRATION))
NEW = 0
"""The revision of a flow that is not there yet."""


class FlowList(ApiView):
    @operation(query=FILTERS, answer=FlowAnswer, many=True)
    def get(self, request: Any) -> Listed:
        """The flows that the caller sees, by name."""
        return listed_flows(self, self.query.get("_integrationId"))

    @operation(body=FlowBody, answer=WholeFlowAnswer, status=201, scope=Scope.EDIT)
    def post(self, request: Any) -> Response:
        """A new flow: by its definition, or by a name, an integration and the steps that it gets copies of."""
        self.caller.require_somewhere(Act.EDIT_FLOWS)
        body = self.body
        text = text_of(body["definition"]) if "definition" in body else new_text(self.caller, body)
        return stored(self, text, None, NEW)


class FlowsOfIntegration(ApiView):
    @operation(query=PAGING, answer=FlowAnswer, many=True)
    def get(self, request: Any, integration_id: str) -> Listed:
        """The flows of one integration, by name."""
        return listed_flows(self, self.caller.integration(integration_id).pk)


class OneFlow(ApiView):
    @operation(answer=WholeFlowAnswer)
    def get(self, request: Any, flow_id: str) -> Response:
        """One flow, with its definition. Its ETag is the number of its revision."""
        return whole(self, self.caller.flow(flow_id))

    @operation(body=FlowBody, answer=WholeFlowAnswer, scope=Scope.EDIT)
    def put(self, request: Any, flow_id: str) -> Response:
        """Replace a flow. One that does not name the flow's steps is refused: they would be lost."""
        return self.change(request, flow_id, is_whole=True)

    @operation(body=FlowBody, answer=WholeFlowAnswer, scope=Scope.EDIT)
    def patch(self, request: Any, flow_id: str) -> Response:
        """Change some fields of a flow."""
        return self.change(request, flow_id, is_whole=False)

    @operation(scope=Scope.EDIT)
    def delete(self, request: Any, flow_id: str) -> None:
        """Remove a flow. Its open errors are resolved; its runs and errors stay for as long as they are kept."""
        flow = self.caller.flow(flow_id, to=Act.DELETE)
        with transaction.atomic():
            try:
                remove_idle_flow(flow=flow, member=self.caller.member)
            except RunRefused as refused:
                raise conflict(str(refused)) from refused
            errors = Error.objects.of(flow.account_id).filter(flow=flow).open()
            resolve_errors(account=self.caller.account, member=self.caller.member, errors=errors)

    def change(self, request: Any, flow_id: str, *, is_whole: bool) -> Response:
        flow = self.caller.flow(flow_id, to=Act.EDIT_FLOWS)
        expected = expected_revision(request.headers.get("If-Match", ""))
        body = self.body
        if "definition" in body:
            text = text_of(body["definition"])
        else:
            text = changed_text(self.caller, with_facts([flow])[0], body, is_whole=is_whole)
        return stored(self, text, flow, expected)


def listed_flows(view: ApiView, integration_id: int | None) -> Listed:
    rows = flows_of(view.caller.reach)
    if integration_id is not None:
        rows = rows.filter(integration=integration_id)
    page = page_of(view.request, rows, view.query, always_linked=True)
    return Listed(with_facts(page.rows), page.headers)


@transaction.atomic
def stored(view: ApiView, text: str, flow: Flow | None, expected: int | None) -> Response:
    """Apply the text, and enable or disable the flow as the body says; else it stays as it was."""
    caller = view.caller
    refuse_out_of_reach(caller, read(text), flow)
    was_enabled = flow.enabled if flow else None
    applied = apply_definition(account=caller.account, text=text, member=caller.member, expected_revision=expected)
    disabled = view.sent.get("disabled")
    wanted = was_enabled if disabled is None else not view.body["disabled"]
    if wanted is not None and wanted != applied.flow.enabled:
        switch = enable_flow if wanted else disable_flow
        switch(flow=applied.flow, member=caller.member)
    return whole(view, flows_of(caller.reach).get(pk=applied.flow.pk))


def whole(view: ApiView, flow: Flow) -> Response:
    facts: FlowFacts = with_facts([flow])[0]
    headers = {"ETag": f'"{flow.revision.number}"'} if flow.revision else {}
    return Response(WholeFlowAnswer.rendered(facts), status=view.spec.status, headers=headers)


urls = [
    path("flows", FlowList.as_view(), name="flow-list"),
    path("flows/<str:flow_id>", OneFlow.as_view(), name="flow"),
    path("integrations/<str:integration_id>/flows", FlowsOfIntegration.as_view(), name="integration-flows"),
]
