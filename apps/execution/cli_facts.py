"""What the commands tell about flows, errors and checkpoints: plain rows for JSON and for tables."""

from typing import Any

from django.db.models import Sum

from apps.accounts.models import Account
from apps.errors.models import Error, StepState
from apps.errors.states import ErrorState
from apps.flows.models import Checkpoint, Connection, Flow, Step
from apps.runs.models import FlowState, Run

Row = dict[str, Any]


def flow_rows(account: Account) -> list[Row]:
    """The account's flows with their state; three queries."""
    flows = Flow.objects.of(account).filter(removed_at__isnull=True).select_related("integration", "revision")
    states = {state.flow_id: state for state in FlowState.objects.of(account)}
    sums = StepState.objects.of(account).order_by().values("flow_id").annotate(errors=Sum("open_errors"))
    open_errors = {row["flow_id"]: row["errors"] for row in sums}
    return [
        flow_row(flow, states.get(flow.pk), open_errors.get(flow.pk, 0))
        for flow in flows.order_by("integration__name", "key")
    ]


def flow_row(flow: Flow, state: FlowState | None, open_errors: int) -> Row:
    return {
        "key": flow.key,
        "name": flow.name,
        "integration": flow.integration.slug,
        "environment": flow.integration.environment,
        "enabled": flow.enabled,
        "schedule": flow.cron,
        "time_zone": flow.time_zone,
        "next_due_at": flow.next_due_at,
        "revision": flow.revision.number if flow.revision else None,
        "last_status": state.last_status if state else "",
        "open_errors": open_errors,
    }


def flow_cells(row: Row) -> list[str]:
    return [
        row["key"],
        row["integration"],
        "enabled" if row["enabled"] else "disabled",
        row["schedule"] or "-",
        str(row["revision"] or "-"),
        row["last_status"].replace("_", " ") or "never run",
        f"{row['open_errors']:,}",
    ]


def error_rows(account: Account, flow: Flow, step: str | None, state: str, limit: int) -> list[Row]:
    """The newest errors of a flow."""
    errors = Error.objects.of(account).filter(flow=flow, state=state).select_related("cause", "step")
    if step is not None:
        errors = errors.filter(step__key=step)
    return [error_row(error) for error in errors.order_by("-id")[:limit]]


def error_row(error: Error) -> Row:
    return {
        "id": str(error),
        "run": f"r-{error.run_id}",
        "step": error.step.key,
        "occurred_at": error.occurred_at,
        "state": error.shown_state,
        "source": error.cause.source,
        "code": error.cause.code,
        "classification": error.cause.classification,
        "trace_key": error.key,
        "message": error.message,
        "reason": error.reason if error.state == ErrorState.RESOLVED else "",
    }


def error_cells(row: Row) -> list[str]:
    message = " ".join(row["message"].split())
    return [row["id"], row["step"], row["code"] or row["source"], row["trace_key"] or "-", message[:160]]


def run_row(run: Run) -> Row:
    counts = ("records_in", "success", "ignored", "failed", "rolled_back", "errors", "unit_errors")
    return {
        "run": str(run),
        "flow": run.flow.key,
        "status": run.status,
        "outcome": run.outcome,
        **{name: getattr(run, name) for name in counts},
        "pages_done": run.pages_done,
        "wait_reason": run.wait_reason,
        "attempt": run.attempt,
        "attempts": run.attempts,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
    }


def export_step(account: Account, flow: Flow) -> Step | None:
    return Step.objects.of(account).filter(flow=flow, kind="export", removed_at__isnull=True).first()


def checkpoint_row(account: Account, step: Step) -> Row:
    checkpoint = Checkpoint.objects.of(account).filter(step=step).first()
    return {
        "step": step.key,
        "value": checkpoint.value if checkpoint else None,
        "moved_at": checkpoint.moved_at if checkpoint else None,
        "moved_by_run": f"r-{checkpoint.moved_by_run_id}" if checkpoint and checkpoint.moved_by_run_id else None,
    }


def connection_row(connection: Connection, secrets: list[str]) -> Row:
    return {
        "name": connection.name,
        "environment": connection.environment,
        "kind": connection.kind,
        "state": connection.state,
        "config": connection.config,
        "secrets": secrets,
        "last_error": connection.last_error,
    }
