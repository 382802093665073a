"""Cloning an integration: into which environment, under which name, and which connections its flows then use."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from apps.accounts.permissions import Act
from apps.console.access import ENVIRONMENTS, get_integration, member_of, member_page
from apps.console.clone_form import CloneForm, field_of
from apps.console.filters import address_with
from apps.console.live import live_address
from apps.console.selectors.connections import require
from apps.console.views.integration_settings import UNPROCESSABLE, other_environment, page_context
from apps.flows.services.cloning import Cloned, CloneRefused, bindings, clone_integration, flows_to_clone
from apps.flows.services.grouping import IntegrationRefused


@member_page
def clone(request: HttpRequest, slug: str) -> HttpResponse:
    integration = get_integration(request, slug, to=Act.EDIT_FLOWS)
    require(request, Act.EDIT_FLOWS)
    require(request, Act.EDIT_CONNECTIONS)
    target = request.GET.get("to", "")
    target = target if target in ENVIRONMENTS else other_environment(integration)
    bound = bindings(integration, target)
    form = CloneForm(request.POST if request.method == "POST" else None, integration, target, bound)
    if form.is_bound and form.is_valid():
        try:
            made = clone_integration(
                integration=integration, environment=target, name=form.cleaned_data["name"],
                key=form.cleaned_data["key"], connections=form.connections(), member=member_of(request),
            )  # fmt: skip
        except (CloneRefused, IntegrationRefused) as refused:
            form.add_error(None, str(refused))
        else:
            messages.success(request, told(made))
            return redirect(f"{reverse('console:integration', args=[made.integration.slug])}?environment={target}")
    context = page_context(request, integration, "settings", "Clone") | {
        "form": form,
        "connections": [form[field_of(binding)] for binding in bound],
        "flows": flows_to_clone(integration),
        "target": target,
        "targets": [(name, address_with(request, to=name), name == target) for name in ENVIRONMENTS],
        "live_url": live_address(request, "shell"),
    }
    return render(request, "integration/clone.html", context, status=UNPROCESSABLE if form.errors else 200)


def told(made: Cloned) -> str:
    count = len(made.flows)
    text = f"{made.integration.name} is made in {made.integration.environment}: {count} flow{'' if count == 1 else 's'}"
    text += ", disabled until you enable them."
    if made.bare:
        names = ", ".join(connection.name for connection in made.bare)
        text += f" Give credentials to {names} first."
    return text
