"""Flows that were removed longer ago than the account keeps runs: with their runs, steps, causes and definitions.

Charts show for a year what they did: until then their sums stay, and the flow itself so that the sums have a name.
"""

from functools import lru_cache
from typing import Any

from apps.errors.models import Assignment, Cause, CauseBucket, Comment, Error, StepState
from apps.flows.models import Checkpoint, Flow, Hook, Revision, Step
from apps.retention.models import Purge, PurgedSums
from apps.retention.stages.base import RUNS_AT_ONCE, delete_rows, take
from apps.retention.stages.runs import remove_runs, take_beside
from apps.runs.models import Arrival, Bucket, Delivery, FlowState, Run, TestRun

OURS = {"flows", "runs", "errors", "retention"}


def purge_removed_flows(purge: Purge) -> bool:
    """A batch of the first flow of which anything is left. It is locked: nobody applies its definition meanwhile."""
    rows = Flow.objects.of(purge.account_id).filter(removed_at__lt=purge.before, pk__gt=purge.position.get("flow", 0))
    flow = rows.select_for_update().order_by("pk").first()
    if flow is None:
        return True
    if not is_held(flow) and not is_bare(flow) and take_of_flow(purge, flow):
        return False
    if is_bare(flow) and not Bucket.objects.of(purge.account_id).filter(flow=flow).exists():
        delete_rows(PurgedSums.objects.of(purge.account_id).filter(flow=flow))
        purge.count(flows=delete_rows(Flow.objects.of(purge.account_id).filter(pk=flow.pk)))
    purge.position = {"flow": flow.pk}
    return False


def is_held(flow: Flow) -> bool:
    """Errors that are kept, and runs under way, keep all of it."""
    errors, runs = Error.objects.of(flow.account_id), Run.objects.of(flow.account_id)
    return bool(errors.filter(flow=flow).exists() or runs.under_way().filter(flow=flow).exists())


def is_bare(flow: Flow) -> bool:
    """Everything but its sums has gone: its definition is what goes last."""
    return flow.revision_id is None


def take_of_flow(purge: Purge, flow: Flow) -> bool:
    """A batch of what is the flow's; False: that was the last one."""
    runs = list(Run.objects.of(purge.account_id).filter(flow=flow).order_by("pk")[:RUNS_AT_ONCE])
    if runs:
        if not take_beside(purge, [run.pk for run in runs]):
            remove_runs(purge.account_id, runs)
            purge.count(runs=len(runs))
        return True
    untie(flow)
    for model, path in theirs():
        if gone := take(model.objects.of(purge.account_id).filter(**{path: flow.pk})):
            purge.count(rows=gone)
            return True
    if take(Revision.objects.of(purge.account_id).filter(flow=flow).exclude(pk=flow.revision_id)):
        return True
    Flow.objects.of(purge.account_id).filter(pk=flow.pk).update(revision=None)
    delete_rows(Revision.objects.of(purge.account_id).filter(flow=flow))
    flow.revision = None
    return False


def untie(flow: Flow) -> None:
    """What stays, or goes a batch later, lets go of what goes now."""
    Cause.objects.of(flow.account_id).filter(merged_into__step__flow=flow).update(merged_into=None)
    Flow.objects.of(flow.account_id).filter(run_after=flow).update(run_after=None)


@lru_cache(maxsize=1)
def theirs() -> list[tuple[Any, str]]:
    """Tables with rows of a flow and the way to it, in their order: who points to a row goes before it. Tables of other
    floors, such as subscriptions, come first."""
    relations: list[Any] = Flow._meta.get_fields(include_hidden=True)
    others = [
        (found.related_model, found.field.name)
        for found in relations
        if found.one_to_many and found.related_model._meta.app_label not in OURS and found.field.db_constraint
    ]
    return [
        *others,
        (Delivery, "hook__flow"),
        (Arrival, "hook__flow"),
        (Hook, "flow"),
        (TestRun, "flow"),
        (Checkpoint, "flow"),
        (FlowState, "flow"),
        (CauseBucket, "cause__step__flow"),
        (Comment, "cause__step__flow"),
        (Assignment, "cause__step__flow"),
        (Cause, "step__flow"),
        (StepState, "flow"),
        (Step, "flow"),
    ]
