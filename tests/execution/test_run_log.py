"""The log of a run: what its pages leave there, what is noted about the run itself, and that it is bounded."""

from datetime import timedelta

import pytest

from apps.connectors.redaction import Redactor
from apps.core import clock
from apps.core.clock import wall_now
from apps.engine.plan import OnError, Policy
from apps.engine.ports import Outage
from apps.errors.models import Error
from apps.execution import page_log
from apps.execution.claims import claim_run
from apps.runs.models import LogLevel, Run, RunLog
from apps.runs.services import cancel_run, start_run
from tests.factories import make_member, make_user
from tests.fakes.running import World, make_world
from tests.fakes.world import chain, table_step
from tests.scenarios.retry_world import records, run_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(account) -> World:
    return make_world(account)


def lines(run: Run, **which) -> list[RunLog]:
    return list(RunLog.unscoped.filter(run=run, **which).order_by("id"))


def texts(run: Run, **which) -> list[str]:
    return [line.text for line in lines(run, **which)]


def test_a_record_that_failed_has_a_line_with_its_key_and_its_error(world):
    world.refuse(2)
    running = world.begin()
    running.run_page(records(1, 2, 3))
    run = running.finish()

    error = Error.unscoped.get()
    (line,) = lines(run, level=LogLevel.ERROR)
    assert (line.text, line.key, line.error_id, line.step_id, line.page_seq) == (
        "refused", "2", error.pk, error.step_id, 0,
    )  # fmt: skip


def test_what_a_step_said_of_a_record_that_failed_belongs_to_its_error(account):
    world = make_world(account, plan=chain(table_step(1, "target", policy=Policy(OnError.IGNORE))))
    world.refuse(2)
    running = world.begin()
    running.run_page(records(1, 2))
    run = running.finish()

    error = Error.unscoped.get()
    (line,) = lines(run, error_id=error.pk)
    assert (line.level, line.key) == (LogLevel.WARNING, "2")
    assert line.text == "Ignored as its policy says: refused"


def test_the_log_tells_what_a_page_resolved(world):
    world.refuse(1, 2)
    run_once(world, records(1, 2))
    world.database.fails = None
    run = run_once(world, records(1, 2))

    assert "Auto-resolved: 2 older errors" in texts(run)


def test_the_log_begins_with_the_start_and_ends_with_the_end(world):
    run = run_once(world, records(1))

    assert texts(run)[0].startswith("Run started: by hand, worker ")
    assert texts(run)[-1] == "Run ended: completed"


def test_a_worker_that_takes_over_is_told(world):
    run = start_run(flow=world.flow)
    claim_run(run.pk)
    with clock.frozen(wall_now() + timedelta(hours=1)):
        claim_run(run.pk)

    (told,) = lines(run, level=LogLevel.WARNING)
    assert told.text.startswith("Worker replaced: ")


def test_a_canceled_run_says_by_whom(world, account):
    tomasz = make_member(account, user=make_user("tomasz", first_name="Tomasz", last_name="Wrona"))
    run = start_run(flow=world.flow)
    cancel_run(run=run, member=tomasz)

    assert texts(run) == ["Run canceled: by Tomasz Wrona"]


def test_a_wait_is_told_once_however_often_the_run_wakes_up(world):
    running = world.begin()
    for _ in range(3):
        running.journal._put_aside(30, "waiting: connection Warehouse: refused token=abcdef0123")

    assert texts(running.run, level=LogLevel.WARNING) == ["Waits: connection Warehouse: refused token=[hidden]"]


def test_a_failed_export_is_told_with_its_error(world):
    running = world.begin()
    running.journal.fail_export(Outage("away", "The shop is away."))

    error = Error.unscoped.get()
    assert [line.text for line in lines(running.run, error_id=error.pk)] == [error.message]
    assert texts(running.run)[-1] == "Run ended: failed"


def test_secrets_of_the_connections_are_not_in_the_log(world):
    world.database.fails = lambda table, body: "the key correct-horse was refused"
    running = world.begin()
    running.journal.redactor = Redactor(["correct-horse"])
    running.run_page(records(1))

    assert "correct-horse" not in " ".join(texts(running.run))
    assert "the key [hidden] was refused" in texts(running.run)


def test_a_page_keeps_its_most_severe_lines_and_counts_the_others(world, monkeypatch):
    monkeypatch.setattr(page_log, "MOST_LINES", 2)
    world.database.fails = lambda table, body: "no"
    running = world.begin()
    running.run_page(records(1, 2, 3, 4, 5))

    assert texts(running.run)[1:] == [
        "no", "no", "Left out: 3 more lines of page 1; the list of errors has every error",
        "Page 1 saved: 5 records: 0 success, 0 ignored, 5 failed",
    ]  # fmt: skip


def test_a_full_log_takes_only_the_outcomes_of_further_pages(world, monkeypatch):
    monkeypatch.setattr(page_log, "MOST_LINES", 2)
    monkeypatch.setattr(page_log, "MOST_RUN_LINES", 2)
    world.database.fails = lambda table, body: "no"
    running = world.begin()
    running.run_page(records(1, 2))
    running.run_page(records(3, 4))

    second = texts(running.run, page_seq=1)
    assert second == [
        "Left out: 2 more lines of page 2; the list of errors has every error",
        "Page 2 saved: 2 records: 0 success, 0 ignored, 2 failed",
    ]
