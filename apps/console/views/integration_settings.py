"""New integrations, and what an integration is beside its flows: its connections and settings."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.permissions import Act
from apps.console.access import (
    ENVIRONMENTS,
    account_of,
    environment_of,
    get_integration,
    may_do,
    member_of,
    member_page,
    reach_of,
)
from apps.console.context import Crumb
from apps.console.integration_forms import IntegrationForm, NewIntegrationForm
from apps.console.live import live_address
from apps.console.selectors.connections import connection_rows, require
from apps.flows.definition import DefinitionError
from apps.flows.models import Integration
from apps.flows.services import ConnectionRefused, install_error_automation
from apps.flows.services.grouping import IntegrationRefused, change_integration, create_integration

UNPROCESSABLE = 422


@member_page
def new_integration(request: HttpRequest) -> HttpResponse:
    """The first step to a flow in a new integration: how it is called."""
    require(request, Act.EDIT_FLOWS)
    data = request.POST if request.method == "POST" else None
    form = NewIntegrationForm(data, account_of(request), owner=member_of(request).pk)
    if data is not None and form.is_valid():
        try:
            made = create_integration(
                account=account_of(request),
                environment=environment_of(request),
                member=member_of(request),
                **form.cleaned_data,
            )
        except IntegrationRefused as refused:
            form.add_error("key", str(refused))
        else:
            messages.success(request, f"Integration {made.name} is made. Make its first flow now.")
            return redirect("console:flow-new", made.slug)
    context = {"nav": "integrations", "crumbs": crumbs_of(request, Crumb("New integration")), "form": form}
    context["live_url"] = live_address(request, "shell")
    return render(request, "integration/new.html", context, status=UNPROCESSABLE if form.errors else 200)


@require_POST
@member_page
def install_automation(request: HttpRequest) -> HttpResponse:
    """The template Error automation: two flows, a connection to our own API, and a token that only that one holds."""
    require(request, Act.EDIT_FLOWS)
    require(request, Act.EDIT_CONNECTIONS)
    try:
        made = install_error_automation(account=account_of(request), member=member_of(request))
    except (DefinitionError, ConnectionRefused) as refused:
        messages.error(request, f"Error automation cannot be installed: {refused}")
        return redirect("console:integration-list")
    messages.success(request, f"{made.name} is installed. Say in its flows which errors are meant, then enable them.")
    return redirect("console:integration", made.slug)


@member_page
def integration_settings(request: HttpRequest, slug: str) -> HttpResponse:
    """Its name, what it is for, whom to ask. Whoever may not change them reads them."""
    integration = get_integration(request, slug, to=Act.EDIT_FLOWS if request.method == "POST" else Act.VIEW)
    data = request.POST if request.method == "POST" else None
    facts = {"name": integration.name, "description": integration.description, "owner": integration.owner_id}
    form = IntegrationForm(data, account_of(request), **facts)
    if data is not None and form.is_valid():
        change_integration(integration=integration, member=member_of(request), **form.cleaned_data)
        messages.success(request, f"Integration {form.cleaned_data['name']} is saved.")
        return redirect("console:integration-settings", slug)
    context = page_context(request, integration, "settings", "Settings") | {
        "form": form,
        "may_edit": may_do(request, Act.EDIT_FLOWS, integration.pk),
        "may_clone": may_do(request, Act.EDIT_FLOWS),
        "other": other_environment(integration),
        "live_url": live_address(request, "shell"),
    }
    return render(request, "integration/settings.html", context, status=UNPROCESSABLE if form.errors else 200)


@member_page
def integration_connections(request: HttpRequest, slug: str) -> HttpResponse:
    """The connections that its flows use now."""
    integration = get_integration(request, slug)
    reach = reach_of(request).within(integration.pk)
    context = page_context(request, integration, "connections", "Connections") | {
        "rows": connection_rows(reach),
        "may_edit": may_do(request, Act.EDIT_CONNECTIONS),
        "live_url": live_address(request, "shell"),
    }
    return render(request, "integration/connections.html", context)


def other_environment(integration: Integration) -> str:
    return next(name for name in ENVIRONMENTS if name != integration.environment)


def page_context(request: HttpRequest, integration: Integration, tab: str, title: str) -> dict[str, Any]:
    """What the tabs of an integration have in common."""
    own = Crumb(integration.name, reverse("console:integration", args=[integration.slug]))
    return {
        "nav": "integrations",
        "tab": tab,
        "crumbs": crumbs_of(request, own, Crumb(title)),
        "integration": integration,
    }


def crumbs_of(request: HttpRequest, *crumbs: Crumb) -> list[Crumb]:
    account = Crumb(account_of(request).name, reverse("console:dashboard"))
    return [account, Crumb("Integrations", reverse("console:integration-list")), *crumbs]
