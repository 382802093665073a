"""Integrations: named groups of flows."""

from typing import Any

from django.urls import path
from django.utils.text import slugify

from apps.accounts.permissions import Act
from apps.accounts.tokens import Scope
from apps.api.caller import Caller
from apps.api.failures import invalid
from apps.api.operations import ApiView, operation
from apps.api.paging import PAGING, Listed, page_of
from apps.api.selectors.integrations import integrations_of
from apps.api.serializers.integrations import IntegrationAnswer, IntegrationBody
from apps.flows.models import Environment, Integration
from apps.flows.naming import LONGEST_KEY, free_name
from apps.flows.services import change_integration, create_integration, delete_integration


class IntegrationList(ApiView):
    @operation(query=PAGING, answer=IntegrationAnswer, many=True)
    def get(self, request: Any) -> Listed:
        """The integrations that the caller sees, by name."""
        return page_of(request, integrations_of(self.caller.reach).order_by("name", "pk"), self.query)

    @operation(body=IntegrationBody, answer=IntegrationAnswer, status=201, scope=Scope.EDIT)
    def post(self, request: Any) -> Integration:
        """A new, empty integration."""
        self.caller.require(Act.EDIT_FLOWS)
        body = self.body
        name = body.get("name") or missing_name()
        made = create_integration(
            account=self.caller.account,
            environment=body.get("environment", Environment.PRODUCTION),
            key=free_slug(self.caller, name),
            name=name,
            description=body.get("description", ""),
            member=self.caller.member,
        )
        return told(self.caller, made)


class OneIntegration(ApiView):
    @operation(answer=IntegrationAnswer)
    def get(self, request: Any, integration_id: str) -> Integration:
        """One integration."""
        return told(self.caller, self.caller.integration(integration_id))

    @operation(body=IntegrationBody, answer=IntegrationAnswer, scope=Scope.EDIT)
    def put(self, request: Any, integration_id: str) -> Integration:
        """Replace name and description of an integration."""
        found = self.caller.integration(integration_id, to=Act.EDIT_FLOWS)
        body = self.body
        return self.changed(found, {"name": body.get("name") or missing_name(), "description": "", **body})

    @operation(body=IntegrationBody, answer=IntegrationAnswer, scope=Scope.EDIT)
    def patch(self, request: Any, integration_id: str) -> Integration:
        """Change name or description of an integration."""
        found = self.caller.integration(integration_id, to=Act.EDIT_FLOWS)
        return self.changed(found, {"name": found.name, "description": found.description, **self.body})

    @operation(scope=Scope.EDIT)
    def delete(self, request: Any, integration_id: str) -> None:
        """Delete an integration that has no flow."""
        found = self.caller.integration(integration_id, to=Act.DELETE)
        delete_integration(integration=found, member=self.caller.member)

    def changed(self, found: Integration, body: dict[str, Any]) -> Integration:
        if body.get("environment", found.environment) != found.environment:
            message = "An integration keeps its environment: its flows use the connections there."
            raise invalid(message, "environment", "invalid_operation")
        name, description = body["name"], body["description"]
        change_integration(integration=found, name=name, description=description, member=self.caller.member)
        return told(self.caller, found)


def missing_name() -> str:
    raise invalid("An integration needs a name.", "name")


def free_slug(caller: Caller, name: str) -> str:
    """A key that no integration of the account has, made of the name."""
    base = slugify(name)[: LONGEST_KEY - 6] or "integration"
    taken = set(Integration.objects.of(caller.account).filter(slug__startswith=base).values_list("slug", flat=True))
    return free_name(base, taken)


def told(caller: Caller, integration: Integration) -> Integration:
    """With what is counted in it."""
    return integrations_of(caller.reach).get(pk=integration.pk)


urls = [
    path("integrations", IntegrationList.as_view(), name="integration-list"),
    path("integrations/<str:integration_id>", OneIntegration.as_view(), name="integration"),
]
