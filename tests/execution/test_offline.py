"""Connections offline: one incident, waiting work, a probe, and the way back in waves."""

from datetime import timedelta

import pytest

from apps.accounts.models import AuditEntry
from apps.core import clock
from apps.errors.models import Error
from apps.execution.probing import hint_probes, probe
from apps.flows.models import Connection
from apps.flows.services.health import note_outage
from apps.runs.models import Page, Run
from apps.runs.services import cancel_run
from apps.runs.waking import waiting_reason, wake_waiting
from tests.factories import make_connection, make_flow, make_run
from tests.fakes.running import make_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def connection(account) -> Connection:
    return make_connection(account, name="db", kind="file", config={})


def fail(connection: Connection, times: int = 1) -> Connection:
    for _ in range(times):
        note_outage(
            account_id=connection.account_id,
            environment=connection.environment,
            name=connection.name,
            message="Could not connect.",
        )
    connection.refresh_from_db()
    return connection


def test_failures_in_a_row_take_a_connection_offline_as_one_incident(connection, noon):
    assert fail(connection, 2).state == "never"
    assert fail(connection, 3).state == "offline"

    assert connection.offline_since == noon
    assert AuditEntry.unscoped.filter(act="connection.offline").count() == 1


@pytest.mark.parametrize("threshold", [1, 5])
def test_a_connection_says_itself_after_how_many_failures_it_is_offline(connection, threshold):
    Connection.unscoped.update(offline_after=threshold)
    if threshold > 1:
        assert fail(connection, threshold - 1).state == "never"
    assert fail(connection).state == "offline"


def test_work_that_needs_an_offline_connection_waits_without_an_attempt(account, connection, noon):
    fail(connection, 3)
    world = make_world(account)
    running = world.begin()

    assert running.journal.wait_for_connection()

    run = running.reloaded()
    assert run.wait_reason.startswith("waiting: connection db: offline since 02 Mar 12:00:00 UTC")
    assert (run.status, run.pages_fetched) == ("running", 0)
    assert not Error.unscoped.exists()


def test_a_canceled_run_of_which_a_page_may_stand_in_its_target_waits_for_that_too(account, connection, noon):
    world = make_world(account)
    dead = world.begin()
    dead.deliver(dead.store([{"id": 1}]))
    fail(connection, 3)
    with clock.frozen(noon + timedelta(minutes=5)):
        cancel_run(run=dead.run, member=None)

        assert world.take(dead.run).journal.wait_for_connection()

    assert dead.reloaded().status == "running"
    assert Page.unscoped.get().state == "delivering"


def test_the_probe_is_claimed_once_and_its_intervals_grow(connection, noon):
    fail(connection, 3)
    due = []
    for second in range(0, 400, 2):
        with clock.frozen(noon + timedelta(seconds=second)):
            due += [second] * hint_probes()
            assert hint_probes() == 0

    assert due == [10, 20, 40, 80, 160, 320]


def test_a_connection_that_answers_its_probe_is_online_again(connection, noon, settings, tmp_path):
    settings.FILES_ROOT = tmp_path
    (tmp_path / str(connection.account_id)).mkdir()
    fail(connection, 3)

    probe(connection.pk)

    connection.refresh_from_db()
    assert (connection.state, connection.failures, connection.offline_since) == ("online", 0, None)
    assert AuditEntry.unscoped.filter(act="connection.online").count() == 1


def test_one_that_does_not_answer_stays_offline(account, noon):
    away = make_connection(account, name="away", kind="sql", config={"database": "sqlite", "file": "missing.sqlite3"})
    fail(away, 3)

    probe(away.pk)

    away.refresh_from_db()
    assert away.state == "offline"


def test_what_waited_goes_on_in_waves_that_double(account, connection, noon):
    flow = make_flow(account)
    runs = [
        make_run(
            flow, status="running", wait_reason=waiting_reason("db") + " offline", not_before=noon + timedelta(hours=1)
        )
        for _ in range(7)
    ]

    wake_waiting(connection)

    due = [Run.unscoped.get(pk=run.pk).not_before - noon for run in runs]
    assert [d.total_seconds() for d in due] == [0, 3, 3, 6, 6, 6, 6]
