"""A flow's checkpoint: how far its export has durably got, and moving it by hand."""

import json
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from apps.accounts.models import AuditEntry
from apps.accounts.permissions import Act
from apps.connectors.registry import CONNECTORS
from apps.console.access import get_flow, may_do, member_of, member_page
from apps.console.context import Crumb
from apps.console.live import live_address
from apps.console.loaded import head_of
from apps.console.selectors.flow_page import FlowHead
from apps.console.views.flows import flow_context
from apps.flows.models import Checkpoint, Step, StepKind
from apps.runs.checkpoints import has_run_under_way, refuse_other_kind, set_checkpoint
from apps.runs.services import RunRefused

CONFLICT, UNPROCESSABLE = 409, 422
LONGEST_VALUE = 10_000
MOST_MOVES = 20


@dataclass(frozen=True)
class Move:
    """One time that the checkpoint was moved by hand."""

    entry: AuditEntry
    before: str
    after: str


@member_page
def checkpoint_page(request: HttpRequest, flow_id: int) -> HttpResponse:
    """The value, when it moved and by which run, the moves by hand, and the form that moves it."""
    return page_with(request, flow_id)


def page_with(
    request: HttpRequest, flow_id: int, *, text: str | None = None, problem: str = "", status: int = 200
) -> HttpResponse:
    head = head_of(request, flow_id)
    flow, step = head.flow, export_of(head)
    checkpoint = checkpoint_of(step)
    context = flow_context(request, head, "settings", settings_crumb(flow_id), Crumb("Checkpoint")) | {
        "step": step,
        "checkpoint": checkpoint,
        "value": json_text(checkpoint.value) if checkpoint and checkpoint.value is not None else "",
        "text": text if text is not None else (json_text(checkpoint.value) if checkpoint and checkpoint.value else ""),
        "problem": problem,
        "listens": listens(step),
        "moves": moves_of(step),
        "may_move": may_do(request, Act.MOVE_CHECKPOINT, flow.integration_id),
        "is_under_way": has_run_under_way(flow),
        "live_url": live_address(request, "shell"),
    }
    return render(request, "flow/checkpoint.html", context, status=status)


@member_page
def move(request: HttpRequest, flow_id: int) -> HttpResponse:
    """GET names what happens when the checkpoint is moved to `value` (or with `clear` forgotten), POST moves it."""
    flow = get_flow(request, flow_id, to=Act.MOVE_CHECKPOINT)
    head = head_of(request, flow_id)
    step = export_of(head)
    checkpoint = checkpoint_of(step)
    given = request.POST if request.method == "POST" else request.GET
    text = given.get("value", "")
    is_clearing = "clear" in given
    try:
        value = None if is_clearing else value_in(text, checkpoint)
    except ValueError as error:
        return page_with(request, flow_id, text=text, problem=str(error), status=UNPROCESSABLE)
    if request.method == "POST":
        try:
            version = given.get("version", "")
            expected = int(version) if version.isascii() and version.isdigit() and len(version) < 19 else -1
            set_checkpoint(step=step, value=value, member=member_of(request), expected_version=expected)
        except RunRefused as refused:
            return page_with(request, flow_id, text=text, problem=str(refused), status=CONFLICT)
        start = "the beginning" if value is None else json_text(value)
        messages.success(request, f"The checkpoint of {flow.name} is moved: the next run exports from {start}.")
        return redirect("console:flow-checkpoint", flow.pk)
    own = Crumb("Checkpoint", reverse("console:flow-checkpoint", args=[flow.pk]))
    context = flow_context(request, head, "settings", settings_crumb(flow_id), own, Crumb("Move")) | {
        "step": step,
        "checkpoint": checkpoint,
        "before": json_text(checkpoint.value) if checkpoint and checkpoint.value is not None else "",
        "after": "" if value is None else json_text(value),
        "text": text,
        "is_clearing": is_clearing,
    }
    return render(request, "flow/checkpoint_move.html", context)


def settings_crumb(flow_id: int) -> Crumb:
    return Crumb("Settings", reverse("console:flow-settings", args=[flow_id]))


def export_of(head: FlowHead) -> Step:
    """Raises Http404 for a flow without a definition."""
    found = next((node.step for node in head.nodes if node.step.kind == StepKind.EXPORT), None)
    if found is None:
        raise Http404("This flow has no export yet.")
    return found


def checkpoint_of(step: Step) -> Checkpoint | None:
    found: Checkpoint | None = (
        Checkpoint.objects.of(step.account_id).filter(step=step).select_related("moved_by_run").first()
    )
    return found


def listens(step: Step) -> bool:
    """Whether the export takes what is sent to it: such ones have no checkpoint."""
    connector = CONNECTORS.get(step.connection.kind) if step.connection else None
    return connector is not None and connector.listens


def moves_of(step: Step) -> list[Move]:
    """The newest moves by hand. One query."""
    entries = AuditEntry.objects.of(step.account_id).filter(
        object_kind="step", object_id=step.pk, act__in=["checkpoint.set", "checkpoint.clear"]
    )
    rows = entries.select_related("member__user").order_by("-id")[:MOST_MOVES]
    return [Move(row, value_text(row.before), value_text(row.after)) for row in rows]


def value_text(facts: Any) -> str:
    value = facts.get("value") if isinstance(facts, dict) else None
    return "" if value is None else json_text(value)


def json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def value_in(text: str, present: Checkpoint | None) -> Any:
    """The value that was written: JSON, of the kind that the present one is. Raises ValueError with a sentence."""
    if len(text) > LONGEST_VALUE:
        raise ValueError(f"A checkpoint has at most {LONGEST_VALUE:,} characters.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(
            'This is not JSON: write a number as it is, and a text or a time in quotes, as in "2026-01-31T08:00:00Z".'
        ) from None
    if value is None:
        raise ValueError("To forget the checkpoint use Reset.")
    refuse_other_kind(value, present)
    return value
