"""What a run that has ended adds to the analytics buckets of its flow."""

from datetime import UTC, datetime, timedelta

from apps.core.bulk import add_up
from apps.runs.models import Bucket, Grain, Run
from apps.runs.statuses import RunKind

HALF_HOUR_S = 1_800
MINUTES_KEPT = timedelta(days=5)
SUMS_KEPT = timedelta(days=366)
"""Half hours and quarters of days, for charts of up to a year."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RUN_SUMS = ["runs", "run_ms", "run_success", "run_ignored", "run_errors"]


def count_in_buckets(run: Run) -> None:
    """Add a run that has ended to the buckets of the time at which it started. Retries are no runs of their own."""
    if run.kind != RunKind.FLOW:
        return
    ended = Run.objects.of(run.account_id).get(pk=run.pk)
    started = ended.started_at or ended.created_at
    minute = int(started.timestamp()) // 60
    sums = (
        int(ended.attempt == 1), took_ms(ended), ended.success, ended.ignored, ended.errors + ended.unit_errors
    )  # fmt: skip
    rows = [(run.flow_id, grain, minute // grain, run.account_id, *sums) for grain in Grain]
    add_up(Bucket, ["flow", "grain", "slot"], RUN_SUMS, rows, fixed=["account"])


def took_ms(run: Run) -> int:
    """How long a run took; both moments without what is below a millisecond, as `check_books` counts it."""
    if run.started_at is None or run.ended_at is None:
        return 0
    return _epoch_ms(run.ended_at) - _epoch_ms(run.started_at)


def _epoch_ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)
