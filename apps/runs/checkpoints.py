"""Moving a checkpoint by hand: refused while a run of the flow is under way, for that run would move it back."""

import json
from typing import Any

from django.db import transaction

from apps.accounts.models import Member
from apps.flows.models import Checkpoint, Flow, Step
from apps.flows.services import move_checkpoint
from apps.runs.models import Run
from apps.runs.services import RunRefused
from apps.runs.statuses import RunStatus

UNDER_WAY = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.RETRYING)


def has_run_under_way(flow: Flow) -> bool:
    """Whether any run of the flow, retries too, is queued or at work."""
    return Run.objects.of(flow.account_id).filter(flow=flow, status__in=UNDER_WAY).exists()


@transaction.atomic
def set_checkpoint(
    *, step: Step, value: Any | None, member: Member | None = None, expected_version: int | None = None
) -> Checkpoint:
    """Set an export's checkpoint, or clear it with None. `expected_version` is the one that the caller has read.

    Raises RunRefused while a run of the flow is under way, and when the checkpoint has moved since it was read.
    """
    flow = Flow.objects.of(step.account_id).select_for_update(no_key=True).get(pk=step.flow_id)
    if has_run_under_way(flow):
        raise RunRefused(
            f"Flow {flow.key} has a run under way: its checkpoint cannot be moved now. "
            "Wait for the run's end, or cancel it."
        )
    present = Checkpoint.objects.of(step.account_id).filter(step=step).first()
    if expected_version is not None and expected_version != (present.version if present else 0):
        raise RunRefused(f"The checkpoint of {flow.name} has moved since you looked at it. Look again.")
    return move_checkpoint(step=step, value=value, member=member)


def refuse_other_kind(value: Any, present: Checkpoint | None) -> None:
    """Raises ValueError with a sentence for a value that the export could not go on from."""
    if "\\u0000" in json.dumps(value):
        raise ValueError("A checkpoint holds no zero characters.")
    kind = kind_of(present.value) if present is not None and present.value is not None else ""
    if kind and kind_of(value) != kind:
        raise ValueError(f"The present checkpoint is {kind}; this is {kind_of(value)}, which the export cannot use.")


def kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text in quotes"
    return "a list" if isinstance(value, list) else "an object"
