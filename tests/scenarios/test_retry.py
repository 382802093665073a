"""Retries beyond the case table: rows that were no records, held sends, policies, acts on many errors."""

import pytest

from apps.engine.plan import OnError, Policy, ScopeKind, StepKind
from apps.engine.ports import BadRecord, Failure, Repeats
from apps.errors.models import Error, StepState
from apps.errors.services import (
    edit_retry_data,
    perform_act,
    resolve_errors,
)
from apps.errors.services.acts import _perform_chunk
from apps.runs.models import Run
from tests.factories import make_member, make_step
from tests.fakes.running import books, make_world
from tests.fakes.world import FakeDatabase, FakeTable, chain, node, table_step
from tests.scenarios.retry_world import records, retry, run_once, shown, work_retries

pytestmark = pytest.mark.django_db


def test_a_row_that_was_no_record_can_be_mended_and_retried(world, account):
    member = make_member(account)
    bad = BadRecord(b'{"id": 7,', "line 1", Failure("application", "not_json", "This is not JSON.", "parse"))
    run_once(world, [bad])
    error = Error.unscoped.get()
    edit_retry_data(error=error, member=member, text='{"id": 7}', expected_version=1)

    retry(world)
    work_retries(world)

    assert 7 in world.database.rows["target"]
    assert [(s, r) for _, s, r, _ in shown()] == [("resolved", "retried")]
    assert books() == []


def test_a_row_that_is_still_no_record_fails_again(world):
    bad = BadRecord(b"{oops", "line 1", Failure("application", "not_json", "This is not JSON.", "parse"))
    run_once(world, [bad])

    retry(world)
    work_retries(world)

    assert [(s, r, f) for _, s, r, f in shown()] == [("resolved", "retry_failed", False), ("open", "", True)]
    assert books() == []


# --- resolve and reopen ----------------------------------------------------------------------------------------------
def test_resolve_is_idempotent_and_counts_at_once(world, account):
    world.refuse(1, 2)
    run_once(world, records(1, 2))

    resolve_errors(account=account, member=None, errors=Error.objects.of(account))
    resolve_errors(account=account, member=None, errors=Error.objects.of(account))

    assert {(s, r) for _, s, r, _ in shown()} == {("resolved", "manual")}
    assert StepState.unscoped.get(open_errors=0, watched_keys=2)
    assert books() == []


def test_an_act_on_many_is_done_by_a_worker_and_can_be_cut_anywhere(world, account, monkeypatch):
    monkeypatch.setattr("apps.errors.services.acts.AT_ONCE", 0)
    monkeypatch.setattr("apps.errors.services.acts.CHUNK", 3)
    world.refuse(*range(10))
    run_once(world, records(*range(10)))

    act = resolve_errors(account=account, member=None, errors=Error.objects.of(account))
    assert (act.count, act.done, act.ended_at) == (10, 0, None)
    _perform_chunk(account.pk, act.pk)  # then the worker is killed
    assert Error.unscoped.filter(state="resolved").count() == 3
    assert books() == []
    perform_act(account.pk, act.pk)
    perform_act(account.pk, act.pk)

    act.refresh_from_db()
    assert (act.done, Error.unscoped.filter(state="resolved").count()) == (10, 10)
    assert act.ended_at is not None
    assert books() == []


def test_a_send_that_failed_after_the_commit_is_retried_alone(account):
    """It was held back until what comes after it stood in the table: that is not written a second time."""
    mail = node(1, "mail", StepKind.IMPORT, connection="smtp")
    plan = chain(mail, table_step(2, "target"), scope=ScopeKind.RECORD)
    world = make_world(account, plan=plan)
    make_step(world.flow, key="mail", name="Mail", position=1)
    outbox = FakeDatabase(fails=lambda table, body: "refused")
    world.opened.targets["mail"] = FakeTable(outbox, "mail", transactional=False)
    world.opened.targets["target"].repeats = Repeats.LEDGER
    run_once(world, records(1))
    outbox.fails = lambda table, body: None

    retry(world)
    work_retries(world)

    assert len(world.database.rows["target"]) == 1
    assert list(outbox.rows["mail"]) == [1]
    assert Error.unscoped.get().reason == "retried"
    assert books() == []


def test_a_policy_that_stops_the_run_stops_a_retry_and_returns_the_rest(account):
    world = make_world(account, plan=chain(table_step(1, "target", Policy(OnError.FAIL))))
    world.refuse(1)
    run_once_failing = world.begin()
    run_once_failing.run_page(records(1))
    errors = Error.unscoped.filter(unit="record")

    retry(world, errors)
    (ended,) = work_retries(world)

    assert ended.status == "failed"
    assert Run.unscoped.filter(kind="retry").count() == 1
    assert books() == []
