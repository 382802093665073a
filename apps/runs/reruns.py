"""Workflow retry: a run that failed is run again from its first step with the same payload, as its flow says.

The attempts of one run share `root_run`; each is a run of its own with counts of its own. A failed attempt waits as
*retrying* and keeps what it had exported; once it is due it is `failed`, and the next attempt takes over its pages and
its place in the export. So each attempt has the same records with the same ordinals: a destination that recognises our
idempotency keys takes no record twice.
"""

from datetime import datetime

from django.db import connection
from django.db.models import F

from apps.core.clock import database_now
from apps.core.transactions import repeated
from apps.engine.plan import WorkflowRetry
from apps.flows.definition import DefinitionError
from apps.flows.models import Checkpoint, Flow
from apps.flows.planning import plan_for
from apps.runs.models import Arrival, Page, Run
from apps.runs.services import count_in, drop_pages, end_run, forget_payload, give_up, hint
from apps.runs.statuses import PageState, RunKind, RunOutcome, RunStatus

KEPT = ("account_id", "seq", "part", "start_step_id", "records", "ordinal_from", "payload", "source_ref")
KEPT_AFTER = ("position_after", "now_at")
DISABLED = "the flow was disabled"


def may_be_run_again(run: Run, rule: WorkflowRetry) -> bool:
    """Whether another attempt follows if this one fails: only then are its pages kept."""
    return run.kind == RunKind.FLOW and run.attempt <= rule.attempts


def end_failed(run: Run, rule: WorkflowRetry) -> str:
    """End a run that failed: it waits to be run again, or has failed for good. Returns which, in words.

    Call with the run's row locked.
    """
    is_wanted = may_be_run_again(run, rule)
    newer = newer_payload(run) if is_wanted else None
    if is_wanted and newer is None:
        words = f"attempt {run.attempt + 1} of {rule.attempts + 1}"
        due_at = database_now(seconds=rule.wait_s(run.attempt))
        facts = {"attempts": rule.attempts + 1, "not_before": due_at, "wait_reason": f"waits: {words}"}
        end_run(run, status=RunStatus.RETRYING, outcome="", **facts)
        minutes = rule.wait_s(run.attempt) / 60
        return f"Run again: {words}, in {minutes:g} minute{'' if minutes == 1 else 's'}."
    why = replaced_by(newer, run.unique_id) if newer is not None else ""
    drop_pages(run)
    forget_payload(run)
    end_run(run, status=RunStatus.FAILED, outcome=RunOutcome.FAILED, rerun_canceled=why)
    return f"Not run again: {why}" if why else ""


def replaced_by(newer: Run, unique_id: str) -> str:
    return f"run {newer} brought a newer payload with the same unique id, {unique_id}"


def newer_payload(run: Run) -> Run | None:
    """A newer run that carries the same unique id."""
    if not run.unique_id:
        return None
    runs = Run.objects.of(run.account_id).filter(flow_id=run.flow_id, kind=RunKind.FLOW, unique_id=run.unique_id)
    newer: Run | None = runs.filter(pass_no__gt=run.pass_no or 0).exclude(root_run=run.root_run_id).first()
    return newer


def replace_older(run: Run, unique_id: str) -> None:
    """Keep which payload a run has; what waits to be run again with an older one is not needed any more."""
    Run.objects.of(run.account_id).filter(pk=run.pk).update(unique_id=unique_id)
    if not unique_id:
        return
    why = replaced_by(run, unique_id)
    others = Run.objects.of(run.account_id).filter(flow_id=run.flow_id, kind=RunKind.FLOW, unique_id=unique_id)
    others = others.exclude(root_run=run.root_run_id)
    for older in others.filter(status=RunStatus.RETRYING).select_for_update().order_by("pk"):
        give_up(older, why)
    for older in others.filter(status=RunStatus.QUEUED, attempt__gt=1).select_for_update().order_by("pk"):
        drop_pages(older)
        end_run(older, status=RunStatus.CANCELED, outcome=RunOutcome.CANCELED, rerun_canceled=why)


# --- the next attempt ------------------------------------------------------------------------------------------------
@repeated
def start_rerun(run: Run) -> Run | None:
    """Claim a failed attempt that is due and queue the next one. None: somebody else did, or it was canceled.

    Of a flow that was disabled meanwhile nothing is run again.
    """
    flows = Flow.objects.of(run.account_id).select_related("revision")
    flow = flows.select_for_update(of=("self",), no_key=True).get(pk=run.flow_id)
    waiting = Run.objects.of(run.account_id).to_be_run_again().filter(pk=run.pk)
    failed = waiting.select_for_update().first()
    if failed is None:
        return None
    if not flow.enabled or flow.removed_at is not None:
        give_up(failed, DISABLED)
        return None
    claimed = waiting.filter(not_before__lte=database_now()).update(
        status=RunStatus.FAILED,
        outcome=RunOutcome.FAILED,
        not_before=None,
        wait_reason="",
        change_no=F("change_no") + 1,
    )
    return queue_attempt(failed, flow) if claimed else None


def queue_attempt(failed: Run, flow: Flow) -> Run:
    run = Run(
        account_id=failed.account_id,
        flow=flow,
        integration_id=failed.integration_id,
        environment=failed.environment,
        revision_id=revision_for(failed, flow),
        root_run_id=failed.root_run_id,
        attempt=failed.attempt + 1,
        attempts=failed.attempts,
        unique_id=failed.unique_id,
        trigger=failed.trigger,
        started_by_id=failed.started_by_id,
        parameters=failed.parameters,
        window_from=failed.window_from,
        window_to=failed.window_to,
        position=failed.position,
        done_exporting=failed.done_exporting,
        pages_fetched=failed.pages_fetched,
    )
    run.save(force_insert=True)
    now = {"created_at": database_now(), "hinted_at": database_now()}
    Run.objects.of(run.account_id).filter(pk=run.pk).update(**now)
    take_over(failed, run)
    count_in(run)
    hint(run.pk)
    return run


def revision_for(failed: Run, flow: Flow) -> int | None:
    """The flow's current revision, as for any retry, unless it exports otherwise: a place in the export is kept."""
    if failed.revision is None or flow.revision is None or failed.revision_id == flow.revision_id:
        return failed.revision_id
    try:
        before, now = plan_for(failed.revision).export, plan_for(flow.revision).export
    except DefinitionError:
        return failed.revision_id
    is_same = (before.key, before.connection, before.options) == (now.key, now.connection, now.options)
    return flow.revision_id if is_same else failed.revision_id


def take_over(failed: Run, run: Run) -> None:
    """The next attempt gets the pages as they were exported, and the webhook's requests behind them.

    The checkpoint has passed the pages that were through; where it moves only at the end, it moves with the last one.
    """
    is_in_order = (failed.position or {}).get("in_order", True)
    columns = ", ".join((*KEPT, *KEPT_AFTER))
    checkpoint = "CASE WHEN state = %s THEN NULL ELSE checkpoint_after END" if is_in_order else "checkpoint_after"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO page ({columns}, run_id, state, checkpoint_after, attempt, error_rows, lease_owner, fence, "  # noqa: S608 (constants of this file)
            f"deliveries) SELECT {columns}, %s, %s, {checkpoint}, 1, 0, '', 0, 0 FROM page "
            "WHERE run_id = %s AND payload IS NOT NULL ORDER BY seq, part",
            [run.pk, PageState.FETCHED, *([PageState.DONE] if is_in_order else []), failed.pk],
        )
    Page.objects.of(failed.account_id).filter(run_id=failed.pk).exclude(state=PageState.DONE).delete()
    forget_payload(failed)
    Arrival.objects.of(failed.account_id).filter(run_id=failed.pk).update(run_id=run.pk)


def leave_rest(run: Run) -> None:
    """A run that went past the failed window meanwhile has exported the rest of it: only what was stored goes again."""
    before = Run.objects.of(run.account_id).filter(root_run=run.root_run_id, attempt=run.attempt - 1).first()
    ended_at: datetime | None = before.ended_at if before is not None else None
    moved = Checkpoint.objects.of(run.account_id).filter(flow_id=run.flow_id, moved_at__gt=ended_at)
    if ended_at is None or not moved.exists():
        return
    Page.objects.of(run.account_id).filter(run_id=run.pk).update(checkpoint_after=None)
    position = {**(run.position or {}), "rest_is_exported": True}
    Run.objects.of(run.account_id).filter(pk=run.pk).update(done_exporting=True, position=position)
