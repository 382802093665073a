"""What a retry's page means for the errors that it retried: resolved, failed anew, tried again later, or left alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F

from apps.core.bulk import set_rows, shift_rows
from apps.engine.plan import END
from apps.engine.records import Item
from apps.engine.result import FailedRecord, PageResult
from apps.errors.models import Cause, CauseBucket, Error, RetryItem
from apps.errors.states import ErrorState, ItemState, Passed, Reason
from apps.runs.buckets import HALF_HOUR_S


@dataclass(slots=True)
class Retried:
    """An error whose retry came to its end in this page. `entry` is the failure it ended in, if any."""

    id: int
    step: int
    run: int
    cause: int
    occurred_at: datetime
    attempts: int
    retry_item: int
    is_in_doubt: bool
    has_key: bool
    passed: str
    was_open: bool
    item: Item
    entry: FailedRecord | None
    reason: str = ""
    makes_row: bool = True
    new_error: int | None = None
    has_notes: bool = False
    assignee: int | None = None
    tries: int = 1
    verdict: str = ""
    heir: int | None = None

    @property
    def is_again(self) -> bool:
        """An automatic attempt that failed: it is recorded on the same error, which waits for the next one."""
        return not self.makes_row and not self.reason

    @property
    def is_skipped(self) -> bool:
        """It was not sent: a newer pass of its key went through, or its data are gone."""
        return self.item.at == END

    @property
    def is_unknown(self) -> bool:
        """Whether the attempt may have arrived: then a person has to say, and nothing is tried by itself."""
        return self.entry is not None and self.entry.failure.unknown

    @property
    def is_resolved(self) -> bool:
        """Whether the error is closed now; one that was resolved before its retry stays so."""
        return bool(self.reason) or not self.was_open

    @property
    def is_newly_resolved(self) -> bool:
        return bool(self.reason) and self.was_open


def ended_retries(account: int, run: int, steps: Sequence[int], result: PageResult, *, is_auto: bool) -> list[Retried]:
    """The errors whose retry ended in this page, with what became of each; none in a run that retries nothing."""
    items = _ended_items(result)
    if not items:
        return []
    entries = {e.item.error: e for e in result.failures() if e.item.error is not None and not e.is_handled}
    attempts = dict(
        RetryItem.objects.of(account).filter(run_id=run, error_id__in=list(items)).values_list("error", "id")
    )
    rows = Error.objects.of(account).select_for_update().filter(pk__in=list(items)).order_by("pk")
    found = []
    for row in rows:
        retried = Retried(
            id=row.pk,
            step=row.step_id,
            run=row.run_id,
            cause=row.cause_id,
            occurred_at=row.occurred_at,
            attempts=row.attempts,
            retry_item=attempts[row.pk],
            is_in_doubt=row.in_doubt,
            has_key=row.key_hash is not None,
            passed=row.passed_outcome,
            was_open=row.state == ErrorState.OPEN,
            item=items[row.pk],
            entry=entries.get(row.pk),
            has_notes=row.has_notes,
            assignee=row.assignee_id,
            tries=row.tries,
            verdict=row.verdict,
            heir=row.resolved_error_id if row.verdict else None,
        )
        _judge(retried, steps, result, is_auto=is_auto)
        found.append(retried)
    return found


def _ended_items(result: PageResult) -> dict[int, Item]:
    waiting = {item.ordinal for item in result.rest}
    return {i.error: i for i in result.ended if i.error is not None and i.ordinal not in waiting}


def _judge(retried: Retried, steps: Sequence[int], result: PageResult, *, is_auto: bool) -> None:
    if retried.is_skipped:
        retried.reason = Reason.SUCCEEDED if retried.passed == Passed.SUCCESS else retried.verdict
    elif retried.entry is None or _went_through_own_step(retried, steps, result):
        retried.reason = Reason.RETRIED
    elif is_auto and retried.was_open and steps[retried.entry.node] == retried.step and not retried.is_unknown:
        retried.reason, retried.makes_row = retried.verdict, False
    else:
        retried.reason = Reason.RETRY_FAILED


def _went_through_own_step(retried: Retried, steps: Sequence[int], result: PageResult) -> bool:
    """Whether the record passed the step at which it had failed, and failed further on."""
    tally = result.tallies.get(list(steps).index(retried.step)) if retried.step in steps else None
    return tally is not None and any(item.ordinal == retried.item.ordinal for item in tally.succeeded)


def write_retried(retried: list[Retried], *, now: datetime, run: int, member: int | None) -> None:
    """Write the old errors' new state, and the attempts' outcome."""
    resolved = [r for r in retried if r.is_newly_resolved]
    set_rows(
        Error,
        ["state", "reason", "resolved_at", "resolved_by", "resolved_run", "resolved_error", "retry_run"],
        [(r.id, ErrorState.RESOLVED, r.reason, now, member, run, r.new_error or r.heir, None) for r in resolved],
    )
    set_rows(Error, ["retry_run"], [(r.id, None) for r in retried if not r.is_newly_resolved])
    set_rows(
        RetryItem,
        ["state", "outcome", "new_error", "message", "at"],
        [(r.retry_item, _item_state(r), _outcome(r), r.new_error, _message(r), now) for r in retried],
    )


def _item_state(retried: Retried) -> str:
    return ItemState.SKIPPED if retried.is_skipped else ItemState.DONE


def _outcome(retried: Retried) -> str:
    if not retried.makes_row:
        return Reason.RETRY_FAILED
    return retried.reason or ("skipped" if retried.is_skipped else Reason.RETRY_FAILED)


def _message(retried: Retried) -> str:
    if retried.entry is not None:
        return retried.entry.failure.message[:2000]
    if not retried.is_skipped:
        return ""
    return "A newer pass of this record went through." if retried.passed else "Its retry data are gone."


def leave_old_causes(account: int, again: list[Retried]) -> None:
    """Errors that were tried again are counted anew under the cause of their newest failure."""
    moved = Counter(r.cause for r in again)
    shift_rows(Cause, ["total_errors"], [(cause, -count) for cause, count in moved.items()])
    slots = Counter((r.cause, int(r.occurred_at.timestamp()) // HALF_HOUR_S) for r in again)
    for (cause, slot), count in slots.items():
        CauseBucket.objects.of(account).filter(cause_id=cause, slot=slot).update(errors=F("errors") - count)
