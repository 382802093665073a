"""The acts of the admin: asked about first, done by the services of the console, for the member that a user is.

A superuser who is no member of an account acts on nothing in it: each act stands in the audit log under a member.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html

from apps.accounts.models import Member
from apps.accounts.permissions import Act, may, visible_integrations
from apps.accounts.selectors import active_members
from apps.console.views.error_acts import KINDS, SERVICES
from apps.core.admin import COUNTED_ROWS
from apps.errors.models import BulkAct, Error
from apps.errors.services import retry_errors
from apps.flows.models import Connection, Flow
from apps.flows.services import disable_flow, enable_flow
from apps.runs.models import Run
from apps.runs.services import RunRefused, cancel_run, start_run
from apps.runs.statuses import Trigger
from apps.runs.trying import try_connection

SHOWN = 50
"""Rows that a question names."""
MOST_SINGLY = 50
"""Rows of acts that are done one after the other, while the user waits."""
Rows = QuerySet[Any]


@dataclass(frozen=True)
class Said:
    """One answer to show: what was done, or why it was not."""

    text: Any
    is_done: bool = True


@dataclass(frozen=True)
class HouseAct:
    """An act on the rows that were ticked. `perform` is given the user and the rows, and tells what came of it."""

    name: str
    button: str
    effect: str
    perform: Callable[[HttpRequest, Rows], Iterator[Said]]

    def as_action(self) -> Callable[..., HttpResponseBase | None]:
        def action(page: "ModelAdmin[Any]", request: HttpRequest, queryset: Rows) -> HttpResponseBase | None:
            if "confirmed" not in request.POST:
                return self.question(page, request, queryset)
            for said in self.perform(request, queryset):
                (messages.success if said.is_done else messages.warning)(request, said.text)
            return None

        action.__name__ = self.name
        action.short_description = f"{self.button} …"  # type: ignore[attr-defined]
        return action

    def question(self, page: "ModelAdmin[Any]", request: HttpRequest, queryset: Rows) -> HttpResponseBase:
        """What will happen, to how many, and a button."""
        shown = list(queryset[: SHOWN + 1])
        count = queryset.order_by()[: COUNTED_ROWS + 1].count()
        context = page.admin_site.each_context(request) | {
            "title": f"{self.button}?",
            "act": self,
            "count": f"{count:,}" if count <= COUNTED_ROWS else f"more than {COUNTED_ROWS:,}",
            "shown": shown[:SHOWN],
            "is_more": len(shown) > SHOWN,
            "keys": [row.pk for row in shown[:SHOWN]],
            "select_across": request.POST.get("select_across", "0"),
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "opts": page.opts,
            "media": page.media,
        }
        return TemplateResponse(request, "admin/confirm_act.html", context)


# --- who acts ---------------------------------------------------------------------------------------------------------
def acting(request: HttpRequest, row: Any, integration_id: int | None, right: Act) -> Member:
    """The user as a member of the row's account who may do this. Raises Refused."""
    member = next((one for one in active_members(request.user) if one.account_id == row.account_id), None)
    if member is None:
        raise Refused("you are no member of its account")
    if not may(member, right, integration_id=integration_id):
        raise Refused("your role in its account does not allow it")
    return member


class Refused(Exception):  # noqa: N818 (an answer, not a fault)
    """An act that this user may not do; the message tells why."""


def one_by_one(right: Act, integration: Callable[[Any], int | None], do: Callable[[Any, Member], str]) -> Any:
    """Performs an act that has no form for many at once."""

    def perform(request: HttpRequest, rows: Rows) -> Iterator[Said]:
        chosen = list(rows[: MOST_SINGLY + 1])
        for row in chosen[:MOST_SINGLY]:
            try:
                yield Said(do(row, acting(request, row, integration(row), right)))
            except (Refused, RunRefused) as refused:
                yield Said(f"{row}: {refused}", is_done=False)
        if len(chosen) > MOST_SINGLY:
            yield Said(f"Only the first {MOST_SINGLY} were done: choose fewer at a time.", is_done=False)

    return perform


# --- flows, runs, connections -----------------------------------------------------------------------------------------
def run(flow: Flow, member: Member) -> str:
    return f"Run {start_run(flow=flow, trigger=Trigger.MANUAL, member=member)} of {flow.name} is queued."


def enable(flow: Flow, member: Member) -> str:
    enable_flow(flow=flow, member=member)
    return f"Flow {flow.name} is enabled."


def disable(flow: Flow, member: Member) -> str:
    disable_flow(flow=flow, member=member)
    return f"Flow {flow.name} is disabled: no new run starts, one under way goes on."


def cancel(run: Run, member: Member) -> str:
    left = cancel_run(run=run, member=member)
    return f"Run {run} is asked to stop; now it is {left.get_status_display().lower()}."


def test(connection: Connection, member: Member) -> str:
    ping = try_connection(connection=connection, member=member)
    if not ping.is_ok:
        raise Refused(ping.found)
    return f"{connection.name} answers ({ping.ms:,} ms): {ping.found}"


def of_integration(row: Any) -> int:
    return int(row.integration_id)


def of_none(row: Any) -> None:
    return None


FLOW_ACTS = [
    HouseAct("run_flows", "Run", "Each flow is run once, now.", one_by_one(Act.RUN_FLOW, of_integration, run)),
    HouseAct(
        "enable_flows",
        "Enable",
        "The schedules of these flows start; the next run of each is its next tick.",
        one_by_one(Act.EDIT_FLOWS, of_integration, enable),
    ),
    HouseAct(
        "disable_flows",
        "Disable",
        "The schedules of these flows stop and new runs are refused; a run under way goes on.",
        one_by_one(Act.EDIT_FLOWS, of_integration, disable),
    ),
]
RUN_ACTS = [
    HouseAct(
        "cancel_runs",
        "Cancel",
        "Each run stops at its next page. What was committed stays.",
        one_by_one(Act.CANCEL_RUN, of_integration, cancel),
    )
]
CONNECTION_ACTS = [
    HouseAct(
        "test_connections",
        "Test",
        "Each connection is tried now, for at most ten seconds.",
        one_by_one(Act.EDIT_CONNECTIONS, of_none, test),
    )
]


# --- errors -----------------------------------------------------------------------------------------------------------
def on_errors(kind: str, errors_in: Callable[[Rows], Rows]) -> Callable[[HttpRequest, Rows], Iterator[Said]]:
    """One act in each account that the user is a member of, on those of the rows that he may act on there."""

    def perform(request: HttpRequest, rows: Rows) -> Iterator[Said]:
        taken = 0
        for member in active_members(request.user):
            if not (visible := errors_of_member(errors_in(rows), member)).exists():
                continue
            act = SERVICES.get(kind, retry_errors)(account=member.account, member=member, errors=visible)
            taken += act.count
            yield Said(said_of(act, kind))
        if not taken:
            yield Said("None of these errors is of an account that you are a member of.", is_done=False)

    return perform


def errors_of_member(errors: Rows, member: Member) -> Rows:
    visible = visible_integrations(member)
    within = {} if visible is None else {"flow__integration__in": visible}
    return errors.filter(account_id=member.account_id, **within)


def said_of(act: BulkAct, kind: str) -> Any:
    """In words, with the way to the act's own page: what became of each error."""
    plural = "" if act.count == 1 else "s"
    address = reverse("console:error-act", args=[act.pk])
    text = '{} error{} chosen in {}, to be {}: <a href="{}">what became of them</a>'
    return format_html(text, f"{act.count:,}", plural, act.account.name, KINDS[kind].done, address)


def errors_in_causes(causes: Rows) -> Rows:
    """The open errors of root causes and of those that are merged into them."""
    chosen = causes.order_by().values("pk")
    return Error.unscoped.open().filter(Q(cause__in=chosen) | Q(cause__merged_into__in=chosen))


def the_same(errors: Rows) -> Rows:
    return errors


ERROR_ACTS = [
    HouseAct(f"{kind}_errors", words.button, words.effect, on_errors(kind, the_same)) for kind, words in KINDS.items()
]
CAUSE_ACTS = [
    HouseAct(
        f"{kind}_causes",
        f"{KINDS[kind].button} all open errors",
        KINDS[kind].effect,
        on_errors(kind, errors_in_causes),
    )
    for kind in ("retry", "resolve")
]
