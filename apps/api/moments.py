"""Times on the wire: ISO 8601 in UTC with milliseconds; read from ISO 8601, a plain date, or epoch milliseconds."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

EPOCH_MS = re.compile(r"-?[0-9]{9,15}", re.ASCII)


def written(moment: datetime) -> str:
    """`2026-03-02T12:00:00.000Z`."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat("T", "milliseconds")[:-6] + "Z"


def days_later(text: str, days: int) -> str:
    """A written time so many days later; cheaper than to write another one."""
    return _day_later(text[:10], days) + text[10:]


@lru_cache(maxsize=1_024)
def _day_later(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def read_moment(text: str) -> datetime:
    """An aware datetime in UTC; without an offset the text is taken for UTC. Raises ValueError."""
    text = text.strip()
    if EPOCH_MS.fullmatch(text):
        return from_epoch_ms(int(text))
    # a `+` in a query that was not escaped arrives as a blank
    moment = datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)$", r"+\1", text))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def from_epoch_ms(number: int) -> datetime:
    try:
        return datetime.fromtimestamp(number / 1000, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError("the year is out of range") from error
