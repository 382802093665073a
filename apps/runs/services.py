"""Starting, canceling and ending runs. Every change of a run's status happens here or in the page commit."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from apps.accounts.models import Member
from apps.accounts.services import record_audit
from apps.core.clock import database_now, read_now
from apps.core.ids import Kind, wire_id
from apps.core.queue import enqueue
from apps.core.text import short
from apps.core.transactions import repeated
from apps.flows.models import Flow, Overlap
from apps.flows.services.applying import actor_of
from apps.runs.buckets import count_in_buckets
from apps.runs.log import log_end, log_run
from apps.runs.models import LAST_RUNS, FlowState, Intent, Page, Run
from apps.runs.statuses import OUTCOME_LETTERS, PageState, RunKind, RunOutcome, RunStatus, Trigger
from apps.webhooks.models import Event
from apps.webhooks.services import announce

RETRY_KINDS = frozenset({RunKind.RETRY.value, RunKind.AUTO_RETRY.value})
BY_PEOPLE = frozenset({Trigger.MANUAL.value, Trigger.API.value, Trigger.COMMAND.value})
WORK_RUN = "apps.execution.tasks.work_run"


class RunRefused(Exception):  # noqa: N818 (an answer, not a fault)
    """A run that may not start, or an act that its state does not allow; the message tells the user why."""


@transaction.atomic
def start_run(
    *,
    flow: Flow,
    trigger: str = Trigger.MANUAL,
    member: Member | None = None,
    parameters: Mapping[str, Any] | None = None,
    window_from: datetime | None = None,
    window_to: datetime | None = None,
    scheduled_for: datetime | None = None,
    wait_s: float = 0,
) -> Run:
    """Queue a run of a flow and hint at it, in one transaction; with `wait_s` it begins after so many seconds.

    Raises RunRefused when the flow is disabled or has no definition, when its overlap policy is `skip` and a run is
    under way (a webhook's run waits for that one instead: it carries what was sent), and when this tick of its schedule
    has its run already.
    """
    flows = Flow.objects.of(flow.account_id).select_related("integration")
    locked = flows.select_for_update(of=("self",), no_key=True).get(pk=flow.pk)
    refuse_unless_startable(locked, may_wait=trigger == Trigger.WEBHOOK)
    run = Run(
        account_id=locked.account_id,
        flow=locked,
        integration_id=locked.integration_id,
        environment=locked.integration.environment,
        revision_id=locked.revision_id,
        trigger=trigger,
        started_by=member,
        parameters=dict(parameters or {}),
        window_from=window_from,
        window_to=window_to,
        scheduled_for=scheduled_for,
    )
    _insert(run, wait_s)
    count_in(run)
    if trigger in BY_PEOPLE:
        _record_start(run, member)
    if not wait_s:
        hint(run.pk)  # the dispatcher hints at the others when they are due
    return run


def _insert(run: Run, wait_s: float) -> None:
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError as error:
        raise RunRefused("This tick of the schedule has its run already.") from error
    Run.objects.of(run.account_id).filter(pk=run.pk).update(
        root_run_id=run.pk,
        created_at=database_now(),
        hinted_at=None if wait_s else database_now(),
        not_before=database_now(seconds=wait_s) if wait_s else None,
    )
    run.root_run_id = run.pk


def _record_start(run: Run, member: Member | None) -> None:
    facts = {"parameters": run.parameters, "from": run.window_from, "to": run.window_to}
    after = {"flow": run.flow.key, **{name: value for name, value in facts.items() if value}}
    record_audit(account=run.account_id, actor=actor_of(member), act="run.start", target=run, after=after)


def refuse_unless_startable(flow: Flow, *, may_wait: bool = False) -> None:
    """Raises RunRefused with the reason why a flow cannot run now; a run that `may_wait` is never skipped."""
    if flow.removed_at is not None:
        raise RunRefused(f"Flow {flow.name} was removed.")
    if flow.revision_id is None:
        raise RunRefused(f"Flow {flow.name} has no definition yet. Apply one first.")
    if not flow.enabled:
        raise RunRefused(f"Flow {flow.name} is disabled. Enable it first.")
    if flow.overlap == Overlap.SKIP and not may_wait and active_runs(flow).exists():
        raise RunRefused(f"Flow {flow.name} has a run under way, and its overlap policy is to skip the new one.")


def active_runs(flow: Flow) -> Any:
    """The flow's runs that are queued or under way."""
    statuses = [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.RETRYING]
    return Run.objects.of(flow.account_id).filter(flow=flow, kind=RunKind.FLOW, status__in=statuses)


def hint(run_id: int) -> None:
    """Tell the workers that there is something to do for a run. The row decides, so one hint too many is harmless."""
    enqueue(WORK_RUN, run_id)


def count_in(run: Run) -> None:
    """Keep the flow's state: one more queued run, and the latest one."""
    FlowState.objects.of(run.account_id).get_or_create(flow_id=run.flow_id, defaults={"account_id": run.account_id})
    FlowState.objects.of(run.account_id).filter(flow_id=run.flow_id).update(
        queued=F("queued") + 1, last_run_id=run.pk, last_status=RunStatus.QUEUED, changed_at=database_now()
    )


def count_started(run: Run) -> None:
    """Keep the flow's state: a queued run began its work. A retry is counted, but is never the flow's latest run."""
    state = FlowState.objects.of(run.account_id).filter(flow_id=run.flow_id)
    state.update(queued=F("queued") - 1, running=F("running") + 1, changed_at=database_now())
    if run.kind == RunKind.FLOW:
        state.update(last_run_id=run.pk, last_status=RunStatus.RUNNING, last_started_at=database_now())


def count_out(run: Run, *, was_running: bool, outcome: str) -> None:
    """Keep the flow's state: a run ended; its letter joins the last twelve, that of several attempts but once."""
    state = FlowState.objects.of(run.account_id).select_for_update().get(flow_id=run.flow_id)
    if was_running:
        state.running -= 1
    else:
        state.queued -= 1
    if run.kind == RunKind.FLOW:
        state.last_run_id, state.last_status = run.pk, outcome or run.status
        state.last_runs = (state.last_runs + OUTCOME_LETTERS.get(outcome, ""))[-LAST_RUNS:]
        state.last_ended_at = read_now()
    state.changed_at = read_now()
    state.save()


def end_run(run: Run, *, status: str, outcome: str, **facts: Any) -> None:
    """Write a run's end, keep the flow's state, wake the next queued run. Call with the run's row locked.

    `facts` are columns that say more: one that is run again waits for a while.
    """
    was_running = run.status == RunStatus.RUNNING
    run.status, run.outcome = status, outcome
    at_rest: dict[str, Any] = {"lease_owner": "", "lease_until": None, "not_before": None, "wait_reason": ""}
    Run.objects.of(run.account_id).filter(pk=run.pk).update(
        status=status,
        outcome=outcome,
        ended_at=database_now(),
        change_no=F("change_no") + 1,
        **(at_rest | facts),
    )
    count_out(run, was_running=was_running, outcome=outcome)
    count_in_buckets(run)
    log_end(run, facts.get("rerun_canceled", ""))
    if status != RunStatus.RETRYING:
        announce_end(run)
    wake_next(run)


def announce_end(run: Run) -> None:
    """Tell the webhooks that a run has ended for good."""
    facts = {
        "_jobId": wire_id(Kind.RUN, run.pk),
        "_flowId": wire_id(Kind.FLOW, run.flow_id),
        "_integrationId": wire_id(Kind.INTEGRATION, run.integration_id),
        "type": "retry" if run.kind in RETRY_KINDS else "flow",
        "status": run.status,
        "outcome": run.outcome,
        "numSuccess": run.success,
        "numIgnore": run.ignored,
        "numError": run.errors + run.unit_errors,
    }
    announce(account=run.account_id, event=Event.RUN_FINISHED, facts=facts, integrations=[run.integration_id])


def wake_next(run: Run) -> None:
    """Hint at the flow's oldest queued run, which may have waited for this one to end."""
    queued = Run.objects.of(run.account_id).filter(flow_id=run.flow_id, kind=RunKind.FLOW, status=RunStatus.QUEUED)
    following = queued.order_by("pk").values_list("pk", flat=True).first()
    if following is None:
        return
    # no reason to wait is left, so a long run of another flow sees that this one is there; who claims it has it locked
    if queued.filter(pk=following).select_for_update(skip_locked=True).first() is not None:
        queued.filter(pk=following).update(wait_reason="", hinted_at=database_now())
    hint(following)


def drop_pages(run: Run) -> None:
    """Pages that will not be delivered; the checkpoint has not passed them, so the next run exports them again."""
    pages = Page.objects.of(run.account_id).filter(run_id=run.pk).exclude(state=PageState.DONE)
    Intent.objects.of(run.account_id).filter(page_id__in=pages.values("pk")).delete()
    pages.delete()


def forget_payload(run: Run) -> None:
    """The pages that were kept for another attempt are not needed any more."""
    kept = Page.objects.of(run.account_id).filter(run_id=run.pk, state=PageState.DONE, payload__isnull=False)
    kept.update(payload=None)


def is_in_delivery(run: Run) -> bool:
    """Whether a page of the run may stand in its target without being booked."""
    pages = Page.objects.of(run.account_id).filter(run_id=run.pk, state=PageState.DELIVERING)
    return bool(pages.exists())


@repeated
def cancel_run(*, run: Run, member: Member | None, reason: str = "") -> Run:
    """Ask for a run's end at its next page boundary; one that nobody works on is canceled at once.

    One that failed and waits to be run again has failed for good; `reason` says why. Raises RunRefused for a run that
    has ended.
    """
    locked = Run.objects.of(run.account_id).select_for_update().get(pk=run.pk)
    if locked.is_ended:
        raise RunRefused(f"Run {locked} has ended already: {locked.get_outcome_display().lower()}.")
    before = {"status": locked.status}
    after = {"reason": reason} if reason else None
    record_audit(
        account=run.account_id, actor=actor_of(member), act="run.cancel", target=run, before=before, after=after
    )
    if locked.status == RunStatus.RETRYING:
        return cancel_rerun(run=locked, member=member, reason=reason)
    Run.objects.of(run.account_id).filter(pk=locked.pk).update(
        cancel_requested_at=database_now(), canceled_by=member, change_no=F("change_no") + 1
    )
    if needs_worker_to_end(locked):
        wake(locked)
    elif not has_live_lease(locked):
        drop_pages(locked)
        locked.canceled_by = member
        end_run(locked, status=RunStatus.CANCELED, outcome=RunOutcome.CANCELED)
    locked.refresh_from_db()
    return locked


@repeated
def cancel_rerun(*, run: Run, reason: str = "", member: Member | None = None) -> Run:
    """A failed run is not run again after all; `reason` in words. Raises RunRefused for one that does not wait for it.

    Its errors stay as they are; what it had not delivered stands in the open error of its window.
    """
    locked = Run.objects.of(run.account_id).select_for_update().get(pk=run.pk)
    if locked.status != RunStatus.RETRYING:
        raise RunRefused(f"Run {locked} does not wait to be run again.")
    who = f"by {member.user.get_full_name() or member.user.get_username()}" if member is not None else ""
    give_up(locked, ": ".join(filter(None, [who, reason.strip()])) or "by hand")
    locked.refresh_from_db()
    return locked


def give_up(run: Run, why: str) -> None:
    """A failed run that would have been run again has failed for good. Call with the run's row locked."""
    Run.objects.of(run.account_id).filter(pk=run.pk).update(
        status=RunStatus.FAILED,
        outcome=RunOutcome.FAILED,
        not_before=None,
        wait_reason="",
        rerun_canceled=short(why, 255),
        change_no=F("change_no") + 1,
    )
    drop_pages(run)
    forget_payload(run)
    log_run(run, f"Not run again: {why}")
    state = FlowState.objects.of(run.account_id).select_for_update().get(flow_id=run.flow_id)
    state.last_runs = (state.last_runs + OUTCOME_LETTERS[RunOutcome.FAILED])[-LAST_RUNS:]
    state.last_status = RunOutcome.FAILED if state.last_run_id == run.pk else state.last_status
    state.changed_at = read_now()
    state.save(update_fields=["last_runs", "last_status", "changed_at"])


def needs_worker_to_end(run: Run) -> bool:
    """Whether ending a run is more than a word in its row.

    A retry gives back the errors that were not sent, what waits of a page is set aside, files come into their place.
    """
    return run.kind in RETRY_KINDS or run.records_in > 0 or is_in_delivery(run)


def wake(run: Run) -> None:
    """Let a run that waits be claimed now."""
    waiting = Run.objects.of(run.account_id).filter(pk=run.pk, lease_owner="")
    waiting.update(not_before=database_now(), wait_reason="", hinted_at=database_now())
    hint(run.pk)


def has_live_lease(run: Run) -> bool:
    leased = Run.objects.of(run.account_id).filter(pk=run.pk, status=RunStatus.RUNNING)
    return bool(leased.filter(lease_until__gt=database_now()).exists())


def run_facts(run: Run) -> dict[str, Any]:
    """What expressions read as `run`."""
    return {
        "id": run.pk,
        "kind": run.kind,
        "trigger": run.trigger,
        "parameters": run.parameters,
        "attempt": run.attempt,
    }


def outcome_of(run: Run) -> str:
    """How a run that went through to its end turned out, by its counts."""
    if run.failed or run.unit_errors:
        return RunOutcome.COMPLETED_WITH_ERRORS
    if not (run.success or run.ignored or run.errors):
        return RunOutcome.EMPTY
    return RunOutcome.COMPLETED
