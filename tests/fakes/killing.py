"""Workers that die at a chosen moment: a BaseException, so that nothing that answers failures can answer it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from apps.connectors.sql.postgresql.session import PostgresqlSession
from apps.connectors.sql.sqlite.session import SqliteSession

SESSIONS = (SqliteSession, PostgresqlSession)


class Killed(BaseException):
    """The worker is gone."""


class Countdown:
    """Dies at the `at`-th call (from 1), and at the `times - 1` calls after it; without `at` it only counts."""

    def __init__(self, at: int | None = None, times: int = 1) -> None:
        self.at = at
        self.times = times
        self.calls = 0

    def tick(self) -> None:
        self.calls += 1
        if self.at is not None and self.at <= self.calls < self.at + self.times:
            raise Killed


@contextmanager
def dying_before_target_commit(countdown: Countdown) -> Iterator[Countdown]:
    """Everything of the page is written to the target, but not committed there."""

    def around(commit: Callable[[Any], None], session: Any) -> None:
        countdown.tick()
        commit(session)

    yield from _around_commits(countdown, around)


@contextmanager
def dying_after_target_commit(countdown: Countdown) -> Iterator[Countdown]:
    """The page stands in the target, but not in our books."""

    def around(commit: Callable[[Any], None], session: Any) -> None:
        commit(session)
        countdown.tick()

    yield from _around_commits(countdown, around)


def _around_commits(countdown: Countdown, around: Callable[..., None]) -> Iterator[Countdown]:
    with pytest.MonkeyPatch.context() as patch:
        for session in SESSIONS:
            commit = session.commit
            patch.setattr(session, "commit", lambda self, commit=commit: around(commit, self))
        yield countdown


@contextmanager
def dying_at_statement(countdown: Countdown) -> Iterator[Countdown]:
    """Before one of the statements to our own database is executed."""

    def wrapper(execute: Callable[..., Any], *call: Any) -> Any:
        countdown.tick()
        return execute(*call)

    with connection.execute_wrapper(wrapper):
        yield countdown
