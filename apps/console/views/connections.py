"""Connections: which applications flows reach, and whether they answer. A secret goes in and never comes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.permissions import ACTS, Act
from apps.connectors.base import Connector
from apps.connectors.registry import CONNECTORS
from apps.console.access import account_of, environment_of, may_do, member_of, member_page, reach_of
from apps.console.connection_forms import ConfigForm, NameForm, form_for
from apps.console.connection_topics import connection_topic
from apps.console.context import Crumb
from apps.console.live import live_address
from apps.console.loaded import connection_of
from apps.console.selectors.connection_health import connection_errors, incidents_of, latencies, waiting_on
from apps.console.selectors.connections import (
    connection_rows,
    get_connection,
    kind_of,
    kinds,
    label_of,
    last_tests,
    ledger_of,
    require,
    secrets_set,
    settings_of,
    steps_on,
)
from apps.console.views.acts import back
from apps.core.clock import wall_now
from apps.core.text import short
from apps.flows.models import Connection
from apps.flows.secrets import secrets_end_at
from apps.flows.services import ConnectionRefused, paused_on, set_connection
from apps.flows.services.connecting import delete_connection
from apps.runs.trying import try_connection

EDIT = Act.EDIT_CONNECTIONS
SOON = timedelta(days=14)
LONGEST_TOAST = 240


@dataclass(frozen=True)
class Soon:
    """What ends before `until` is worth a warning."""

    now: datetime

    @property
    def until(self) -> datetime:
        return self.now + SOON


@member_page
def connection_list(request: HttpRequest) -> HttpResponse:
    rows = connection_rows(reach_of(request))
    asked = request.GET.get("q", "").strip()
    words = asked.casefold()
    context = page_context(request) | {
        "rows": [row for row in rows if words in f"{row.connection.name} {row.connection.kind} {row.label}".casefold()],
        "total": len(rows),
        "q": asked,
        "soon": Soon(wall_now()),
        "live_url": live_address(request, "shell", "connections"),
    }
    return render(request, "connection/list.html", context)


@member_page
def connection_page(request: HttpRequest, connection_id: int) -> HttpResponse:
    """How it is doing, who uses it, what it holds, how its last tests went."""
    connection = connection_of(request, connection_id)
    steps = steps_on(connection, reach_of(request))
    failing = connection_errors(connection.account_id, steps)
    context = page_context(request, Crumb(connection.name)) | {
        "connection": connection,
        "kind": kind_of(connection.kind, CONNECTORS[connection.kind]) if connection.kind in CONNECTORS else None,
        "label": label_of(connection.kind),
        "used_by": [(step, failing.get(step.pk, 0)) for step in steps],
        "has_enabled": any(step.flow.enabled for step in steps),
        "paused": paused_on(connection),
        "waiting": waiting_on(connection, reach_of(request)),
        "incidents": incidents_of(connection),
        "settings": settings_of(connection),
        "ledger": ledger_of(connection),
        "tests": last_tests(connection),
        "p50_ms": latencies(connection.account_id, [connection.pk]).get(connection.pk),
        "ends_at": secrets_end_at(connection),
        "soon": Soon(wall_now()),
        "live_url": live_address(request, "shell", connection_topic(connection)),
    }
    return render(request, "connection/page.html", context)


@member_page
def choose_kind(request: HttpRequest) -> HttpResponse:
    """The first step of a new connection: which kind of application it is."""
    require(request, EDIT)
    context = page_context(request, Crumb("New connection")) | {"kinds": kinds()}
    return render(request, "connection/kinds.html", context)


@member_page
def new_connection(request: HttpRequest, kind: str) -> HttpResponse:
    require(request, EDIT)
    connector = connector_of(kind)
    environment = environment_of(request)
    data = request.POST if request.method == "POST" and not connector.missing() else None
    name_form = NameForm(data, account_of(request), environment)
    form = form_for(connector.Config)(data)
    if data is not None and name_form.is_valid() & form.is_valid():
        made = store(request, form, name=name_form.cleaned_data["name"], kind=kind, is_new=True)
        if made is not None:
            messages.success(request, f"Connection {made.name} is made. Test it to see whether it answers.")
            return redirect("console:connection", made.pk)
    crumbs = (Crumb("New connection", reverse("console:connection-new")), Crumb(connector.label))
    context = page_context(request, *crumbs) | {
        "name_form": name_form,
        "form": form,
        "kind": kind_of(kind, connector),
        "title": f"New connection: {connector.label}",
        "back_url": reverse("console:connection-new"),
    }
    return render(request, "connection/edit.html", context, status=status_of(name_form, form))


@member_page
def edit_connection(request: HttpRequest, connection_id: int) -> HttpResponse:
    """All fields of a connection but its name and kind, and new secrets for it."""
    connection = get_connection(request, connection_id, to=EDIT)
    connector = connector_of(connection.kind)
    data = request.POST if request.method == "POST" else None
    form = form_for(connector.Config)(data, config=connection.config, secrets_set=secrets_set(connection))
    if data is not None and form.is_valid():
        stored = store(request, form, name=connection.name, kind=connection.kind)
        if stored is not None:
            messages.success(request, f"Connection {connection.name} is saved.")
            return redirect("console:connection", connection.pk)
    own_url = reverse("console:connection", args=[connection.pk])
    context = page_context(request, Crumb(connection.name, own_url), Crumb("Edit")) | {
        "connection": connection,
        "form": form,
        "kind": kind_of(connection.kind, connector),
        "title": f"Edit {connection.name}",
        "problem": settings_of(connection).problem,
        "back_url": own_url,
    }
    return render(request, "connection/edit.html", context, status=status_of(form))


@require_POST
@member_page
def test(request: HttpRequest, connection_id: int) -> HttpResponse:
    """Tries the connection now, for at most ten seconds."""
    connection = get_connection(request, connection_id, to=EDIT)
    ping = try_connection(connection=connection, member=member_of(request))
    if ping.is_ok:
        messages.success(request, short(f"{connection.name} answers ({ping.ms:,} ms): {ping.found}", LONGEST_TOAST))
    else:
        messages.error(request, short(f"The test of {connection.name} failed: {ping.found}", LONGEST_TOAST))
    return back(request, reverse("console:connection", args=[connection.pk]))


@member_page
def delete(request: HttpRequest, connection_id: int) -> HttpResponse:
    """GET asks, POST does; refused while a flow uses it."""
    connection = get_connection(request, connection_id, to=Act.DELETE)
    if request.method == "POST":
        try:
            delete_connection(connection=connection, member=member_of(request))
        except ConnectionRefused as refused:
            messages.error(request, "; ".join(map(str, refused.mistakes)))
            return redirect("console:connection", connection.pk)
        messages.success(request, f"Connection {connection.name} is deleted.")
        return redirect("console:connection-list")
    own_url = reverse("console:connection", args=[connection.pk])
    context = page_context(request, Crumb(connection.name, own_url), Crumb("Delete")) | {
        "connection": connection,
        "label": label_of(connection.kind),
        "used_by": [(step, None) for step in steps_on(connection, reach_of(request))],
    }
    return render(request, "connection/delete.html", context)


def store(request: HttpRequest, form: ConfigForm, *, name: str, kind: str, is_new: bool = False) -> Connection | None:
    """Store what the form holds; None if it is refused: the form then tells why."""
    try:
        return set_connection(
            account=account_of(request),
            name=name,
            kind=kind,
            config=form.config,
            secrets=form.secrets,
            environment=environment_of(request),
            member=member_of(request),
            is_new=is_new,
        )
    except ConnectionRefused as refused:
        form.tell(refused.mistakes)
        return None


def status_of(*forms: Any) -> int:
    """422 for a form that comes back with mistakes."""
    return 422 if any(form.is_bound for form in forms) else 200


def connector_of(kind: str) -> type[Connector]:
    """Raises Http404 for a kind that is not installed."""
    if kind not in CONNECTORS:
        raise Http404(f"There is no connector of the kind {kind}.")
    return CONNECTORS[kind]


def page_context(request: HttpRequest, *more: Crumb) -> dict[str, Any]:
    """What every page of connections needs."""
    crumbs = [Crumb(account_of(request).name, reverse("console:dashboard"))]
    crumbs += [Crumb("Connections", reverse("console:connection-list") if more else ""), *more]
    found: Mapping[str, Any] = {
        "nav": "connections",
        "crumbs": crumbs,
        "may_edit": may_do(request, EDIT),
        "role_needed": ACTS[EDIT].label.lower(),
        "may_delete": may_do(request, Act.DELETE),
        "role_to_delete": ACTS[Act.DELETE].label.lower(),
    }
    return dict(found)
