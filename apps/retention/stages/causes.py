"""Root causes of which no error is left, and none came for as long as the account keeps errors."""

from typing import Any

from django.db.models import Exists, F, OuterRef, Q

from apps.core.clock import database_now
from apps.errors.models import Assignment, Cause, CauseBucket, Comment
from apps.retention.models import Purge
from apps.retention.stages.base import delete_rows
from apps.runs.models import FlowState

CAUSES_AT_ONCE = 100


def purge_causes(purge: Purge) -> bool:
    """A batch. A page that is saved may add to a cause that it has read: so nothing of a flow goes that has runs under
    way, and none begins while its state is locked here."""
    found = list(old_causes(purge).filter(pk__gt=purge.position.get("cause", 0)).order_by("pk")[:CAUSES_AT_ONCE])
    if not found:
        return True
    idle = FlowState.objects.of(purge.account_id).select_for_update().filter(running=0, queued=0).order_by("pk")
    quiet = set(idle.filter(flow__in={cause.flow_id for cause in found}).values_list("pk", flat=True))
    chosen = [cause.pk for cause in found if cause.flow_id in quiet]
    purge.count(root_causes=remove_causes(purge, old_causes(purge).filter(pk__in=chosen)))
    purge.position = {"cause": found[-1].pk}
    return len(found) < CAUSES_AT_ONCE


def old_causes(purge: Purge) -> Any:
    """What a member said of a cause stays: its class, until when it sleeps. Those that are merged into another go when
    that one has no errors either, and it goes after them."""
    is_empty = Q(open_errors=0, total_errors=F("removed_errors"), last_seen_at__lt=purge.before)
    head_is_empty = Q(
        merged_into__open_errors=0, merged_into__total_errors=F("merged_into__removed_errors"),
        merged_into__last_seen_at__lt=purge.before,
    )  # fmt: skip
    rows = Cause.objects.of(purge.account_id)
    parts = Exists(rows.filter(merged_into=OuterRef("pk")))
    awake = Q(snoozed_until__isnull=True) | Q(snoozed_until__lte=database_now())
    return rows.filter(is_empty, awake, Q(merged_into__isnull=True) | head_is_empty, ~parts, classified_by__isnull=True)


def remove_causes(purge: Purge, causes: Any) -> int:
    """Delete these with what is told of them; returns how many."""
    keys = list(causes.values_list("pk", flat=True))
    for model in (Comment, Assignment, CauseBucket):
        delete_rows(model.objects.of(purge.account_id).filter(cause_id__in=keys))
    return delete_rows(Cause.objects.of(purge.account_id).filter(pk__in=keys))
