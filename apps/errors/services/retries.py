"""Retries are runs: errors are marked with the run that has them, which reads their retry data as its source."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db.models import F

from apps.core.bulk import insert_rows, set_rows
from apps.core.clock import database_now, read_now
from apps.core.transactions import repeated
from apps.errors.models import BulkAct, Cause, Error, RetryData, RetryItem
from apps.errors.schedule import OFFSETS_S, TRIED_AGAIN
from apps.errors.services.counting import count_resolved, lock_states, shift_open, shift_step_runs, shift_watched
from apps.errors.services.planning import RETRIED_ALREADY, retry_conditions, with_why_not
from apps.errors.services.resolving import locked_errors
from apps.errors.states import ErrorState, ErrorUnit, ItemState, Reason
from apps.flows.models import Flow, Step
from apps.runs.models import FlowState, Run
from apps.runs.services import hint
from apps.runs.statuses import RunKind, RunStatus, Trigger

COLLECTING = "its records are being collected"
MOST_DUE = 10_000
"""Automatic attempts that are started in one round of the dispatcher."""


# --- by hand ---------------------------------------------------------------------------------------------------------
def retry_chunk(act: BulkAct, ids: list[int]) -> dict[int, str]:
    """Mark the errors that can be retried with their run; error id -> "retrying", or why not."""
    canceled = _canceled_runs(act)
    errors = locked_errors(act.account_id, ids)
    data = {
        d.error_id: d for d in RetryData.objects.of(act.account_id).filter(error_id__in=ids).select_related("from_step")
    }
    flows = {
        f.pk: f
        for f in Flow.objects.of(act.account_id)
        .filter(pk__in={e.flow_id for e in errors})
        .select_related("account", "integration")
    }
    reasons = refusals(act, ids)
    results: dict[int, str] = {}
    groups: dict[str, list[Error]] = defaultdict(list)
    for error in errors:
        why_not = reasons[error.pk]
        results[error.pk] = why_not or "retrying"
        if not why_not:
            groups[_group(error, data[error.pk])].append(error)
    for name, group in groups.items():
        run = _run_of(act, name, group[0], data[group[0].pk], flows[group[0].flow_id])
        if run.pk in canceled:
            results |= dict.fromkeys((e.pk for e in group), "its retry was canceled")
        else:
            mark(run, group, data, member=act.member_id)
    return results


def _canceled_runs(act: BulkAct) -> set[int]:
    """The runs of earlier chunks that somebody canceled meanwhile. They stay locked: a run locks before its errors."""
    runs = Run.objects.of(act.account_id).filter(pk__in=list(act.options.get("runs", {}).values()))
    return {r.pk for r in runs.select_for_update().order_by("pk") if r.is_ended or r.cancel_requested_at is not None}


def refusals(act: BulkAct, ids: list[int]) -> dict[int, str]:
    """Error id -> why it cannot be retried now; "" if it can. The errors are locked, so it stays so."""
    includes_resolved = bool(act.options.get("includes_resolved"))
    conditions = retry_conditions(act.account, includes_resolved=includes_resolved, now=read_now())
    rows = with_why_not(Error.objects.of(act.account_id).filter(pk__in=ids), conditions)
    return {
        pk: f"{why_not} by r-{run}" if why_not == RETRIED_ALREADY else why_not
        for pk, why_not, run in rows.values_list("pk", "why_not", "retry_run_id")
    }


def _group(error: Error, data: RetryData) -> str:
    """Errors that go into one run: those of one flow and starting step; a page, run or window goes alone."""
    alone = "" if error.unit == ErrorUnit.RECORD else f":{error.pk}"
    return f"{error.flow_id}:{data.from_step_id}{alone}"


def _run_of(act: BulkAct, name: str, error: Error, data: RetryData, flow: Flow) -> Run:
    runs = act.options.setdefault("runs", {})
    if name not in runs:
        original = act.options.get("uses_original_revision")
        revision = Run.objects.of(act.account_id).get(pk=error.run_id).revision_id if original else flow.revision_id
        run = new_retry_run(flow, data.from_step, kind=RunKind.RETRY, revision=revision, member=act.member_id)
        if error.unit != ErrorUnit.RECORD:
            give_window(run, error, data)
        runs[name] = run.pk
        act.save(update_fields=["options"])
    return Run.objects.of(act.account_id).get(pk=runs[name])


def new_retry_run(
    flow: Flow, start: Step, *, kind: str, revision: int | None, member: int | None = None, due: datetime | None = None
) -> Run:
    """A queued run that waits until `begin_run`, so that all its errors are marked first."""
    run = Run(
        account_id=flow.account_id,
        flow=flow,
        integration_id=flow.integration_id,
        environment=flow.integration.environment,
        kind=kind,
        revision_id=revision,
        start_step=start,
        trigger=Trigger.AUTO if kind == RunKind.AUTO_RETRY else Trigger.MANUAL,
        started_by_id=member,
        scheduled_for=due,
        wait_reason=COLLECTING,
    )
    run.save(force_insert=True)
    later = database_now(seconds=3600)
    Run.objects.of(run.account_id).filter(pk=run.pk).update(
        root_run_id=run.pk, created_at=database_now(), not_before=later
    )
    FlowState.objects.of(flow.account_id).get_or_create(flow_id=flow.pk, defaults={"account_id": flow.account_id})
    FlowState.objects.of(flow.account_id).filter(flow_id=flow.pk).update(
        queued=F("queued") + 1, changed_at=database_now()
    )
    return run


def give_window(run: Run, error: Error, data: RetryData) -> None:
    """A retry of a window exports it again, from where it had got."""
    window = data.window or {}
    position = window.get("position")
    failed = Run.objects.of(run.account_id).filter(pk=error.run_id).first()
    Run.objects.of(run.account_id).filter(pk=run.pk).update(
        pass_no=failed.pass_no if failed else None,
        position={"seq": 0, "ordinal": 0, "source": position} if position else None,
        window_from=window.get("from"),
        window_to=window.get("to"),
        parameters=failed.parameters if failed else {},
    )


def mark(run: Run, errors: list[Error], data: dict[int, RetryData], *, member: int | None) -> None:
    """Hand errors to a run: they are *retrying* from now on, and not counted as open.

    The time of a pending automatic attempt stays with the item, for a retry that is canceled.
    """
    Error.objects.of(run.account_id).filter(pk__in=[e.pk for e in errors]).update(retry_run=run, next_attempt_at=None)
    shift_open([e for e in errors if e.state == ErrorState.OPEN], -1)
    waiting, due = ItemState.WAITING, {e.pk: e.next_attempt_at for e in errors}
    insert_rows(
        RetryItem,
        ["account", "run", "error", "seq", "state", "outcome", "version", "message", "member", "due_at"],
        [(run.account_id, run.pk, e.pk, e.pk, waiting, "", data[e.pk].version, "", member, due[e.pk]) for e in errors],
    )


def begin_runs(act: BulkAct) -> None:
    """All errors of a retry are marked: let its runs begin."""
    for run_id in act.options.get("runs", {}).values():
        begin_run(act.account_id, run_id)


def begin_run(account_id: int, run_id: int) -> None:
    began = Run.objects.of(account_id).filter(pk=run_id, status=RunStatus.QUEUED, wait_reason=COLLECTING)
    if began.update(not_before=None, wait_reason="", hinted_at=database_now()):
        hint(run_id)


# --- by itself -------------------------------------------------------------------------------------------------------
@repeated
def start_due_retries(flow: Flow) -> int:
    """Start a flow's automatic attempts that are due: one run per starting step. Returns how many runs."""
    Flow.objects.of(flow.account_id).select_for_update(no_key=True).get(pk=flow.pk)
    rows = Error.objects.of(flow.account_id).filter(
        flow=flow, next_attempt_at__lte=database_now(), state=ErrorState.OPEN, retry_run__isnull=True
    )
    lock_states(flow.account_id, set(rows.values_list("step_id", flat=True)))
    errors = list(rows.select_for_update().order_by("pk")[:MOST_DUE])
    ids = [e.pk for e in errors]
    data = {d.error_id: d for d in RetryData.objects.of(flow.account_id).filter(error_id__in=ids)}
    groups: dict[int, list[Error]] = defaultdict(list)
    for error in errors:
        groups[data[error.pk].from_step_id].append(error)
    for step_id, group in groups.items():
        start = Step.objects.of(flow.account_id).get(pk=step_id)
        run = new_retry_run(flow, start, kind=RunKind.AUTO_RETRY, revision=flow.revision_id)
        mark(run, group, data, member=None)
        begin_run(flow.account_id, run.pk)
    return len(groups)


# --- ends ------------------------------------------------------------------------------------------------------------
def release_waiting(run: Run) -> None:
    """A retry ended before all its errors were sent: the others return to the state they had."""
    waiting = RetryItem.objects.of(run.account_id).filter(run=run, state=ItemState.WAITING)
    due = dict(waiting.values_list("error_id", "due_at"))
    if not due:
        return
    errors = [e for e in locked_errors(run.account_id, list(due)) if e.retry_run_id == run.pk]
    Error.objects.of(run.account_id).filter(pk__in=[e.pk for e in errors]).update(retry_run=None)
    returned = [e for e in errors if e.state == ErrorState.OPEN]
    shift_open(returned, +1)
    give_schedule_back(run, returned, due)
    waiting.update(state=ItemState.CANCELED, at=database_now())


def give_schedule_back(run: Run, errors: list[Error], due: Mapping[int, datetime | None]) -> None:
    """Let the automatic attempts go on that were pending when the retry took the errors.

    One whose time passed meanwhile comes half a minute after a cancel, so that who canceled can look. After a failed
    run it stays away: what failed on its own would be begun again and again, without ever using up an attempt.
    """
    now = read_now()
    is_canceled = run.cancel_requested_at is not None
    planned = [(e, at) for e in errors if (at := due[e.pk]) is not None and (at > now or is_canceled)]
    if not planned or not run.flow.auto_resolve:
        return
    causes = Cause.objects.of(run.account_id).filter(pk__in={e.cause_id for e, _ in planned})
    tried = set(causes.filter(classification__in=TRIED_AGAIN).values_list("pk", flat=True))
    later = now + timedelta(seconds=OFFSETS_S[0])
    rows = [(e.pk, at if at > now else later) for e, at in planned if e.cause_id in tried]
    set_rows(Error, ["next_attempt_at"], rows)


def end_unit_retry(run: Run, *, succeeded: bool, new_error: int | None = None) -> None:
    """The retry of a page, run or window ended: its error is resolved, by success or by the new error."""
    item = RetryItem.objects.of(run.account_id).filter(run=run, state=ItemState.WAITING).first()
    if item is None:
        return
    (error,) = locked_errors(run.account_id, [item.error_id])
    reason = Reason.RETRIED if succeeded else Reason.RETRY_FAILED
    now = read_now()
    if error.state == ErrorState.OPEN:
        set_rows(
            Error,
            ["state", "reason", "resolved_at", "resolved_by", "resolved_run", "resolved_error", "retry_run"],
            [(error.pk, ErrorState.RESOLVED, reason, now, run.started_by_id, run.pk, new_error, None)],
        )
        close([error], reason, now)
    else:
        Error.objects.of(run.account_id).filter(pk=error.pk).update(retry_run=None)
    fields = ["state", "outcome", "new_error", "at"]
    set_rows(RetryItem, fields, [(item.pk, ItemState.DONE, reason, new_error, now)])


def close(errors: Iterable[Error], reason: str, now: datetime) -> None:
    """Keep the counts of errors that were retrying and are resolved now."""
    errors = list(errors)
    shift_watched([e for e in errors if e.passed_run_id is not None], -1)
    if reason == Reason.RETRIED:
        shift_step_runs(errors, "user_resolved", +1)
    count_resolved(errors, now)
