"""Moving a checkpoint by hand."""

from typing import Any

from django.db import transaction
from django.db.models import F

from apps.accounts.models import Member
from apps.accounts.services import record_audit
from apps.core.clock import database_now
from apps.flows.models import Checkpoint, Step
from apps.flows.services.applying import actor_of


@transaction.atomic
def move_checkpoint(*, step: Step, value: Any | None, member: Member | None = None) -> Checkpoint:
    """Set an export's checkpoint, or clear it with None: then the next run exports from the beginning.

    What it remembered for de-duplication goes with it. The caller makes sure, in the same transaction, that no run of
    the flow is under way.
    """
    checkpoint: Checkpoint
    checkpoint, _ = Checkpoint.objects.of(step.account_id).get_or_create(
        flow_id=step.flow_id, step=step, defaults={"account_id": step.account_id}
    )
    before = checkpoint.value
    Checkpoint.objects.of(step.account_id).filter(pk=checkpoint.pk).update(
        value=value, seen=None, moved_by_run=None, moved_at=database_now(), version=F("version") + 1
    )
    record_audit(
        account=step.account_id,
        actor=actor_of(member),
        act="checkpoint.clear" if value is None else "checkpoint.set",
        target=step,
        before={"value": before},
        after={"value": value},
    )
    checkpoint.refresh_from_db()
    return checkpoint
