"""When an intermittent error is tried again by itself: 0:30, 1:30, 3:30 and 7:30 minutes after it occurred."""

from datetime import datetime, timedelta

from apps.errors.states import Classification

OFFSETS_S = (30, 90, 210, 450)
MOST_ATTEMPTS = len(OFFSETS_S)
TRIED_AGAIN = frozenset({Classification.INTERMITTENT.value, Classification.RATE_LIMIT.value})


def next_attempt(
    classification: str, occurred_at: datetime, attempts: int, *, now: datetime, retry_after_s: float | None = None
) -> datetime | None:
    """The moment of the next automatic attempt after `attempts` of them, None if there is none.

    Never earlier than the answer's `Retry-After`, never in the past.
    """
    if classification not in TRIED_AGAIN or attempts >= MOST_ATTEMPTS:
        return None
    due = occurred_at + timedelta(seconds=OFFSETS_S[attempts])
    return max(due, now + timedelta(seconds=retry_after_s or 0))
