"""Against guessing: wrong passwords and codes are counted, and after some of them nothing is tried for a while.

Counted is what was entered, by its hash, whether such a user exists or not: nobody learns that from a lock. The counts
lie in the database, so all processes share them, and each guess is counted before it is looked at: a thousand at once
get as many tries as one after the other.
"""

import hashlib
import logging
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import F

from apps.accounts.models import GuessCount
from apps.accounts.sign_in_models import Guessed
from apps.core.clock import read_now
from apps.core.transactions import repeated

WINDOW = timedelta(minutes=15)
"""Failures within it count together, and a lock lasts so long."""
ALLOWED = {
    Guessed.NAME: 5,
    Guessed.ADDRESS: 30,  # many people may share one
    Guessed.CODE: 5,
    Guessed.RESET_NAME: 3,
    Guessed.RESET_ADDRESS: 15,
}
FORGOTTEN_AFTER = timedelta(days=1)

logger = logging.getLogger(__name__)
Guess = tuple[Guessed, str]


class TooManyGuesses(Exception):  # noqa: N818 (an answer, not a fault)
    """Nothing is tried before `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"nothing is tried before {until}")
        self.until = until


@repeated
def count_guess(*guesses: Guess) -> datetime | None:
    """Count a guess before it is looked at. Returns until when it was the last one, if it proves wrong.

    Raises TooManyGuesses while one of these is locked.
    """
    now = read_now()
    rows = [_row_of(guess, now) for guess in sorted(guesses)]
    locks = [row.locked_until for row in rows if row.locked_until is not None and row.locked_until > now]
    if locks:
        raise TooManyGuesses(max(locks))
    return max((until for row in rows if (until := _count(row, now)) is not None), default=None)


def _row_of(guess: Guess, now: datetime) -> GuessCount:
    kind, text = guess
    locked = GuessCount.objects.select_for_update()
    return locked.get_or_create(kind=kind, sha256=hash_of(kind, text), defaults={"since": now})[0]


def _count(row: GuessCount, now: datetime) -> datetime | None:
    if row.locked_until is not None or row.since <= now - WINDOW:
        row.failures, row.since, row.locked_until = 0, now, None
    row.failures += 1
    if row.failures >= ALLOWED[Guessed(row.kind)]:
        row.locked_until = now + WINDOW
        logger.warning("%s: locked until %s after %s failures.", row, row.locked_until, row.failures)
    row.save()
    return row.locked_until


@repeated
def forget_guesses(guesses: Iterable[Guess]) -> None:
    """The guess was right. What belongs to one user is forgotten; of an address that many share, this one guess only:
    else whoever has a password of his own could guess on for ever."""
    for kind, text in sorted(guesses):
        row = GuessCount.objects.filter(kind=kind, sha256=hash_of(kind, text))
        if kind is Guessed.ADDRESS:
            row.filter(failures__gt=0).update(failures=F("failures") - 1, locked_until=None)
        else:
            row.delete()
    GuessCount.objects.filter(since__lt=read_now() - FORGOTTEN_AFTER).delete()


def hash_of(kind: str, text: str) -> str:
    """Spellings that a database or Django takes for the same name are one: else each had guesses of its own."""
    same = unicodedata.normalize("NFKC", text).strip().upper().casefold()
    return hashlib.sha256(f"{kind} {same}".encode("utf-8", "replace")).hexdigest()
