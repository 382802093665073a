"""When an intermittent error is tried again by itself: 0:30, 1:30, 3:30 and 7:30 minutes after it occurred."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from apps.errors.states import Classification

OFFSETS_S = (30, 90, 210, 450)
MOST_ATTEMPTS = len(OFFSETS_S)
GAPS_S = tuple(after - before for before, after in zip((0, *OFFSETS_S), OFFSETS_S, strict=False))
"""How long each attempt comes after the one before it."""
TRIED_AGAIN = frozenset({Classification.INTERMITTENT.value, Classification.RATE_LIMIT.value})

LARGE_SLOT = 100
"""More attempts than that at one step begin together, a little later: many flows that fail at once come back apart."""
JITTER = 0.1
GOLDEN = 0.618034

Planned = tuple[int, int, datetime | None]
"""Step, attempts so far, and when the next one is due; None: it is not tried again."""


def next_attempt(
    classification: str, occurred_at: datetime, attempts: int, *, now: datetime, retry_after_s: float | None = None
) -> datetime | None:
    """The moment of the next automatic attempt after `attempts` of them, None if there is none.

    Never earlier than the answer's `Retry-After`, never in the past. One whose time went by while nothing could be
    tried (the flow was disabled, its connection offline) keeps its distance from the attempt before it.
    """
    if classification not in TRIED_AGAIN or attempts >= MOST_ATTEMPTS:
        return None
    due = occurred_at + timedelta(seconds=OFFSETS_S[attempts])
    if due <= now and attempts:
        due = now + timedelta(seconds=GAPS_S[attempts])
    return max(due, now + timedelta(seconds=retry_after_s or 0))


def in_slots(planned: Sequence[Planned], *, flow: int) -> list[datetime | None]:
    """When each of these attempts begins: those of a large slot at one moment, the others when they are due."""
    sizes = Counter((step, attempts) for step, attempts, due in planned if due is not None)
    return [
        slot_of(due, attempts, flow) if due is not None and sizes[step, attempts] > LARGE_SLOT else due
        for step, attempts, due in planned
    ]


def slot_of(due: datetime, attempts: int, flow: int) -> datetime:
    """The next moment of a flow's own grid, at most a tenth of the wait later."""
    width_s = JITTER * GAPS_S[attempts]
    phase_s = flow * GOLDEN % 1 * width_s
    return due + timedelta(seconds=(phase_s - due.timestamp()) % width_s)
