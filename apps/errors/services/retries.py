"""Retries are runs: errors are marked with the run that has them, which reads their retry data as its source."""

from collections import defaultdict

from django.db.models import F

from apps.core.bulk import insert_rows
from apps.core.clock import database_now, read_now
from apps.core.transactions import repeated
from apps.errors.models import BulkAct, Error, RetryData, RetryItem
from apps.errors.services.counting import lock_states, shift_open
from apps.errors.services.planning import RETRIED_ALREADY, retry_conditions, with_why_not
from apps.errors.services.resolving import locked_errors
from apps.errors.states import ErrorState, ErrorUnit, ItemState
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
    reasons, revisions = refusals(act, ids), _original_revisions(act, errors)
    results: dict[int, str] = {}
    groups: dict[str, list[Error]] = defaultdict(list)
    for error in errors:
        why_not = reasons[error.pk]
        results[error.pk] = why_not or "retrying"
        if not why_not:
            groups[_group(error, data[error.pk], revisions.get(error.run_id))].append(error)
    for name, group in groups.items():
        first, flow = group[0], flows[group[0].flow_id]
        run = _run_of(act, name, first, data[first.pk], flow, revisions.get(first.run_id, flow.revision_id))
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


def _original_revisions(act: BulkAct, errors: list[Error]) -> dict[int, int | None]:
    """Run id -> the revision that it worked by, if the retry shall; else nothing."""
    if not act.options.get("uses_original_revision"):
        return {}
    runs = Run.objects.of(act.account_id).filter(pk__in={e.run_id for e in errors})
    return dict(runs.values_list("pk", "revision_id"))


def _group(error: Error, data: RetryData, revision: int | None) -> str:
    """Errors that go into one run: those of one flow, starting step and revision; a page, run or window goes alone."""
    of_revision = "" if revision is None else f"@{revision}"
    alone = "" if error.unit == ErrorUnit.RECORD else f":{error.pk}"
    return f"{error.flow_id}:{data.from_step_id}{of_revision}{alone}"


def _run_of(act: BulkAct, name: str, error: Error, data: RetryData, flow: Flow, revision: int | None) -> Run:
    runs = act.options.setdefault("runs", {})
    if name not in runs:
        run = new_retry_run(
            flow, data.from_step, kind=RunKind.RETRY, revision=revision, member=act.member_id,
            trigger=Trigger.RULE if "rule" in act.options else Trigger.MANUAL,
            includes_rest=bool(act.options.get("includes_rest")), is_forced=bool(act.options.get("is_forced")),
        )  # fmt: skip
        if error.unit != ErrorUnit.RECORD:
            give_window(run, error, data)
        runs[name] = run.pk
        act.save(update_fields=["options"])
    return Run.objects.of(act.account_id).get(pk=runs[name])


def new_retry_run(
    flow: Flow,
    start: Step,
    *,
    kind: str,
    revision: int | None,
    trigger: str = Trigger.AUTO,
    member: int | None = None,
    **options: bool,
) -> Run:
    """A queued run that waits until `begin_run`, so that all its errors are marked first.

    `options` are columns of the run that say how it retries.
    """
    run = Run(
        account_id=flow.account_id,
        flow=flow,
        integration_id=flow.integration_id,
        environment=flow.integration.environment,
        kind=kind,
        revision_id=revision,
        start_step=start,
        trigger=trigger,
        started_by_id=member,
        wait_reason=COLLECTING,
        **options,
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
    for step_id, group in sorted(groups.items()):
        start = Step.objects.of(flow.account_id).get(pk=step_id)
        run = new_retry_run(flow, start, kind=RunKind.AUTO_RETRY, revision=flow.revision_id)
        mark(run, group, data, member=None)
        begin_run(flow.account_id, run.pk)
    return len(groups)


@repeated
def cancel_attempts(flow: Flow) -> int:
    """Cancel the automatic attempts that wait in a flow. Returns how many errors waited for one."""
    waiting = Error.objects.of(flow.account_id).filter(flow=flow, next_attempt_at__isnull=False)
    lock_states(flow.account_id, set(waiting.values_list("step_id", flat=True)))
    ids = list(waiting.select_for_update().order_by("pk").values_list("pk", flat=True))
    return Error.objects.of(flow.account_id).filter(pk__in=ids).update(next_attempt_at=None)
