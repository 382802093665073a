"""Integrations: named groups of flows."""

from typing import Any

from django.urls import path

from apps.api.operations import ApiView, operation
from apps.api.paging import PAGING, Listed, page_of
from apps.api.selectors.integrations import integrations_of
from apps.api.serializers.integrations import IntegrationAnswer
from apps.flows.models import Integration


class IntegrationList(ApiView):
    @operation(query=PAGING, answer=IntegrationAnswer, many=True)
    def get(self, request: Any) -> Listed:
        """The integrations that the caller sees, by name."""
        return page_of(request, integrations_of(self.caller.reach).order_by("name", "pk"), self.query)


class OneIntegration(ApiView):
    @operation(answer=IntegrationAnswer)
    def get(self, request: Any, integration_id: str) -> Integration:
        """One integration."""
        found = self.caller.integration(integration_id)
        return integrations_of(self.caller.reach).get(pk=found.pk)


urls = [
    path("integrations", IntegrationList.as_view(), name="integration-list"),
    path("integrations/<str:integration_id>", OneIntegration.as_view(), name="integration"),
]
