"""A flow with runs and errors of long ago, purged through what the dispatcher and the worker do."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from apps.accounts.models import Account
from apps.core import clock
from apps.execution.purging import begin_purges, purge_slice
from apps.retention.models import NOT_ENDED, Purge, PurgePlan
from tests.conftest import NOON
from tests.fakes.running import World, make_world
from tests.scenarios.retry_world import records, run_once


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.execution.purging.PAUSE_S", 0)


@pytest.fixture
def world(account: Account) -> World:
    return make_world(account)


@pytest.fixture
def ran_before(world: World) -> Callable[..., None]:
    """Runs the flow once, so many days before noon of 2 March; the destination refuses some of its records."""

    def run(days: float, *ids: int, refused: tuple[int, ...] = ()) -> None:
        world.refuse(*refused)
        with clock.frozen(NOON - timedelta(days=days)):
            run_once(world, records(*ids))

    return run


def purge(at: datetime = NOON) -> list[Purge]:
    """All purges that are due at a moment, begun by the dispatcher and done by a worker."""
    with clock.frozen(at):
        begin_purges()
        PurgePlan.objects.update(due_at=at)
        begin_purges()
        for key in Purge.unscoped.filter(NOT_ENDED).values_list("pk", flat=True):
            purge_slice(key)
    return list(Purge.unscoped.order_by("pk"))
