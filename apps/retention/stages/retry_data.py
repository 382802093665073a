"""Retry data beyond the newest so many of a step: the records go, the errors stay and say so."""

from django.conf import settings
from django.db.models import F, Sum

from apps.core.clock import database_now
from apps.errors.models import Cause, Error, RetryData, RetryVersion, StepState
from apps.errors.services.resolving import locked_errors
from apps.errors.states import ErrorUnit
from apps.retention.models import Purge
from apps.retention.stages.base import ERRORS_AT_ONCE


def purge_retry_data(purge: Purge) -> bool:
    step = purge.position.get("step") or next_step(purge, 0)
    if step is None:
        return True
    if not purge_step(purge, step):
        purge.position = {"step": step}
        return False
    following = next_step(purge, step)
    purge.position = {"step": following}
    return following is None


def next_step(purge: Purge, after: int) -> int | None:
    """The next step with more errors than retry data are kept of one, by the counts that its root causes keep."""
    causes = Cause.objects.of(purge.account_id).filter(step_id__gt=after).order_by()
    stored = causes.values("step_id").annotate(stored=Sum(F("total_errors") - F("removed_errors")))
    large = stored.filter(stored__gt=settings.RETRY_DATA_PER_STEP).order_by("step_id")
    found: int | None = large.values_list("step_id", flat=True).first()
    return found


def purge_step(purge: Purge, step: int) -> bool:
    """One batch of a step's older retry data; True once there is none. Pages and windows are few, and stay."""
    state = StepState.objects.of(purge.account_id).get(pk=step)
    rows = Error.objects.of(purge.account_id).filter(step=step)
    limit = settings.RETRY_DATA_PER_STEP
    oldest_kept = rows.order_by("-pk").values_list("pk", flat=True)[limit - 1 : limit].first()
    if oldest_kept is None:
        return True
    found = list(
        rows.filter(pk__gte=state.data_kept_from, pk__lt=oldest_kept)
        .order_by("pk")
        .values_list("pk", flat=True)[:ERRORS_AT_ONCE]
    )
    if found:
        purge.count(retry_data=forget_records(purge.account_id, found))
    is_done = len(found) < ERRORS_AT_ONCE
    kept_from = oldest_kept if is_done else found[-1] + 1
    StepState.objects.of(purge.account_id).filter(pk=step).update(data_kept_from=kept_from)
    return is_done


def forget_records(account: int, errors: list[int]) -> int:
    """Remove the records that a retry would send, but of errors that are kept or that a retry has."""
    chosen = [
        e.pk
        for e in locked_errors(account, errors)
        if e.unit == ErrorUnit.RECORD and not e.keep and e.retry_run_id is None
    ]
    RetryVersion.objects.of(account).filter(error_id__in=chosen).delete()
    data = RetryData.objects.of(account).filter(error_id__in=chosen, purged_at__isnull=True)
    return int(data.update(record=None, purged_at=database_now()))
