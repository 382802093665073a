"""What time it is: always the database's clock, so that all machines agree about leases and due times.

`database_now()` is an SQL expression for `filter()` and `update()`; `read_now()` asks the database once.
Tests put a literal in its place with `frozen(moment)`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Func
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone

_frozen: ContextVar[datetime | None] = ContextVar("flowmend_frozen_clock", default=None)

SqlAndParams = tuple[str, Any]

# Digit by digit the text that Django stores (six decimals, none on the full second), so that equal moments are equal.
# Filled in once by us and once by Django: four % leave one.
_SQLITE_NOW = "replace(strftime('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f', 'now'%s) || '000', '.000000', '')"


class DatabaseNow(Func):
    """The database's present moment plus `seconds`, on PostgreSQL to the microsecond, on SQLite to the millisecond."""

    output_field = DateTimeField()
    arity = 0

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = float(seconds)
        super().__init__(output_field=DateTimeField())

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *args: Any, **kwargs: Any) -> SqlAndParams:
        moment = _frozen.get()
        if moment is not None:
            return self._literal(moment, connection)
        if connection.vendor == "postgresql":
            return self._postgresql()
        return self._sqlite()

    def _literal(self, moment: datetime, connection: BaseDatabaseWrapper) -> SqlAndParams:
        shifted = moment + timedelta(seconds=self.seconds)
        value = connection.ops.adapt_datetimefield_value(shifted)
        if connection.vendor == "postgresql":
            return "CAST(%s AS timestamp with time zone)", [value]
        return "%s", [value]

    def _postgresql(self) -> SqlAndParams:
        # clock_timestamp moves within a transaction: a lease that is renewed in a long one is not born expired
        if not self.seconds:
            return "clock_timestamp()", []
        return "(clock_timestamp() + make_interval(secs => %s))", [self.seconds]

    def _sqlite(self) -> SqlAndParams:
        if not self.seconds:
            return _SQLITE_NOW % "", []
        return _SQLITE_NOW % ", %s", [f"{self.seconds:+.3f} seconds"]


def database_now(*, seconds: float = 0) -> DatabaseNow:
    """An SQL expression for the database's clock, `seconds` from now (negative: ago)."""
    return DatabaseNow(seconds)


def read_now(using: str = "default") -> datetime:
    """The database's clock as an aware datetime in UTC; one small query."""
    moment = _frozen.get()
    if moment is not None:
        return moment
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT clock_timestamp()")
            return cursor.fetchone()[0].astimezone(UTC)
        cursor.execute("SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now')")
        return datetime.fromisoformat(cursor.fetchone()[0]).replace(tzinfo=UTC)


def wall_now() -> datetime:
    """This machine's clock in UTC, for columns that only people read (`created_at`); never for leases or due times."""
    return _frozen.get() or timezone.now()


@lru_cache(maxsize=1)
def time_zones() -> frozenset[str]:
    """The names of all time zones, such as Europe/Berlin."""
    return frozenset(available_timezones())


@contextmanager
def frozen(moment: datetime) -> Iterator[datetime]:
    """Stops all clocks of this module at an aware `moment` (in this thread) until the block ends."""
    if timezone.is_naive(moment):
        raise ValueError("A frozen clock needs a datetime with a time zone.")
    token = _frozen.set(moment.astimezone(UTC))
    try:
        yield moment.astimezone(UTC)
    finally:
        _frozen.reset(token)
