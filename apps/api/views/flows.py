"""Flows: what they are."""

from typing import Any

from django.urls import path

from apps.api.operations import ApiView, operation
from apps.api.paging import PAGING, Listed, page_of
from apps.api.queries import wire
from apps.api.selectors.flows import FlowFacts, flows_of, with_facts
from apps.api.serializers.flows import FlowAnswer
from apps.core.ids import Kind

FILTERS = (*PAGING, wire("_integrationId", "Only the flows of this integration.", Kind.INTEGRATION))


class FlowList(ApiView):
    @operation(query=FILTERS, answer=FlowAnswer, many=True)
    def get(self, request: Any) -> Listed:
        """The flows that the caller sees, by name."""
        rows = flows_of(self.caller.reach)
        if "_integrationId" in self.query:
            rows = rows.filter(integration=self.query["_integrationId"])
        page = page_of(request, rows, self.query, always_linked=True)
        return Listed(with_facts(page.rows), page.headers)


class OneFlow(ApiView):
    @operation(answer=FlowAnswer)
    def get(self, request: Any, flow_id: str) -> FlowFacts:
        """One flow."""
        return with_facts([self.caller.flow(flow_id)])[0]


urls = [
    path("flows", FlowList.as_view(), name="flow-list"),
    path("flows/<str:flow_id>", OneFlow.as_view(), name="flow"),
]
