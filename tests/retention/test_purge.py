"""What is older than the retention goes in small batches; the books stay right, and a purge that is cut goes on."""

from datetime import timedelta

import pytest
from django.conf import settings as django_settings

from apps.accounts.models import KeptAnswer
from apps.core import clock
from apps.errors.models import (
    BulkAct,
    BulkItem,
    Cause,
    CauseBucket,
    Error,
    RetryData,
    RetryItem,
    RetryVersion,
    StepState,
    Upload,
)
from apps.errors.services import edit_retry_data, resolve_errors
from apps.execution import purging
from apps.execution.purging import begin_purges, count_ahead, hint_purges, purge_slice
from apps.flows.models import Checkpoint
from apps.notifications.models import Notice
from apps.retention.models import NOT_ENDED, Purge, PurgedSums, PurgePlan
from apps.retention.stages import base, errors, runs
from apps.runs.models import Bucket, FlowState, Grain, Page, Run, RunLog, StepRun
from apps.webhooks.models import WebhookDelivery
from tests.factories import make_account, make_member, make_webhook, step_of
from tests.fakes.killing import Countdown, Killed, dying_at_statement
from tests.fakes.running import books
from tests.retention.conftest import NOON, purge
from tests.scenarios.retry_world import retry, work_retries

pytestmark = pytest.mark.django_db


def keys() -> list[str]:
    return sorted(Error.unscoped.values_list("key", flat=True))


def test_errors_and_runs_go_after_the_retention_open_ones_too(world, ran_before):
    ran_before(40, 1, 2, 3, refused=(1, 2))
    ran_before(31, 4, refused=(4,))
    ran_before(29, 5, refused=(5,))
    resolve_errors(account=world.flow.account, member=None, errors=Error.objects.of(world.flow.account).filter(key="1"))
    (done,) = purge()
    assert keys() == ["5"]
    assert Run.unscoped.count() == StepRun.unscoped.values("run").distinct().count() == 1
    assert {RunLog.unscoped.values_list("run").distinct().count(), Page.unscoped.values("run").distinct().count()} == {
        1
    }
    assert (done.counts["errors"], done.counts["open_errors"], done.counts["runs"]) == (3, 2, 2)
    assert done.is_ended
    assert not Error.objects.of(world.flow.account).search("refused").exclude(key="5").exists()
    assert StepState.unscoped.get(step=step_of(world.flow)).open_errors == 1
    assert books() == []


def test_kept_and_purged_together_are_all_that_was_counted(world, ran_before):
    ran_before(40, *range(6), refused=tuple(range(6)))
    ran_before(2, 9, refused=(9,))
    purge()
    cause = Cause.unscoped.get()
    assert (cause.total_errors, cause.removed_errors, cause.open_errors) == (7, 6, 1)
    assert books() == []


def test_runs_go_on_as_before_after_a_purge(world, ran_before):
    ran_before(40, 1, refused=(1,))
    ran_before(35, 1, refused=(1,))
    purge()
    ran_before(0, 1)
    assert books() == []


def test_a_kept_error_stays_with_its_run_and_all_that_a_retry_needs(world, ran_before):
    ran_before(40, 1, 2, refused=(1, 2))
    Error.unscoped.filter(key="1").update(keep=True)
    with clock.frozen(NOON - timedelta(days=39)):
        retry(world, list(Error.unscoped.filter(key="1")))
        work_retries(world)
    Run.unscoped.filter(kind="retry").update(created_at=NOON - timedelta(days=39))
    ran_before(1, 3)
    purge()
    assert keys() == ["1"]
    assert bytes(RetryData.unscoped.get().record)
    assert RetryItem.unscoped.count() == 1
    assert RunLog.unscoped.filter(error_id__isnull=False).count() == 1
    assert set(Run.unscoped.values_list("kind", flat=True)) == {"flow", "retry"}
    assert books() == []


def test_an_error_that_a_retry_has_waits_for_the_next_purge(world, ran_before):
    ran_before(40, 1, refused=(1,))
    world.refuse()
    with clock.frozen(NOON - timedelta(days=39)):
        retry(world)
    ran_before(1, 2)
    purge()
    assert keys() == ["1"]
    work_retries(world)
    purge(NOON + timedelta(days=1))
    assert keys() == []
    assert books() == []


def test_what_a_flow_still_names_stays_without_what_was_beside_it(world, ran_before):
    """The flow's latest run is never a dead link, however long ago it was."""
    ran_before(40, 1, refused=(1,))
    run = Run.unscoped.get()
    Checkpoint.unscoped.create(account=run.account, flow=run.flow, step=step_of(run.flow, "source"), moved_by_run=run)
    purge()
    assert list(Run.unscoped.all()) == [run]
    assert FlowState.unscoped.get().last_run_id == run.pk
    assert not RunLog.unscoped.exists()
    assert books() == []


def test_a_run_under_way_is_left_alone(world):
    with clock.frozen(NOON - timedelta(days=40)):
        world.begin()
    purge()
    assert Run.unscoped.count() == 1


def test_each_account_keeps_for_its_own_time(world, ran_before):
    ran_before(40, 1, refused=(1,))
    world.flow.account.retention_days = 60
    world.flow.account.save()
    purge()
    assert keys() == ["1"]


# --- retry data ------------------------------------------------------------------------------------------------------
def test_only_the_newest_retry_data_of_a_step_are_kept(world, ran_before, settings):
    settings.RETRY_DATA_PER_STEP = 3
    ran_before(3, 1, 2, 3, 4, 5, refused=(1, 2, 3, 4, 5))
    first = Error.unscoped.get(key="1")
    edit_retry_data(
        error=first, member=make_member(world.flow.account), text='{"id": 1, "note": "x"}', expected_version=1
    )
    Error.unscoped.filter(key="2").update(keep=True)
    (done,) = purge()
    purged = RetryData.unscoped.filter(purged_at__isnull=False)
    assert list(purged.values_list("error__key", "record")) == [("1", None)]
    assert done.counts["retry_data"] == 1
    assert not RetryVersion.unscoped.exists()
    ran_before(1, 6, refused=(6,))
    purge(NOON + timedelta(days=1))
    assert sorted(purged.values_list("error__key", flat=True)) == ["1", "3"]
    assert books() == []


def test_twenty_thousand_are_kept_unless_told():
    assert django_settings.RETRY_DATA_PER_STEP == 20_000


# --- buckets ---------------------------------------------------------------------------------------------------------
def slots(grain: int) -> int:
    return Bucket.unscoped.filter(grain=grain).count()


def test_minutes_are_kept_for_five_days_and_half_hours_for_a_year(world, ran_before):
    ran_before(400, 1, 2, refused=(1,))
    ran_before(100, 1, 2, refused=(2,))
    ran_before(4, 1, refused=(1,))
    purge()
    assert (slots(Grain.MINUTE), slots(Grain.HALF_HOUR), slots(Grain.QUARTER)) == (1, 2, 2)
    assert CauseBucket.unscoped.count() == 2
    assert Cause.unscoped.get().older_errors == 1
    assert PurgedSums.unscoped.get().runs == 1, "of two runs that went the half hour of one is still there"
    assert books() == []


# --- cut, and continued ----------------------------------------------------------------------------------------------
@pytest.fixture
def _small_batches(monkeypatch):
    monkeypatch.setattr(errors, "ERRORS_AT_ONCE", 2)
    monkeypatch.setattr(runs, "RUNS_AT_ONCE", 1)
    monkeypatch.setattr(base.take, "__defaults__", (3,))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_small_batches")
def test_a_purge_that_dies_at_any_statement_leaves_right_books_and_goes_on(world, ran_before):
    """Cut at every seventh statement in turn, the same purge ends all the same, and counts each row once."""
    ran_before(45, 1, 2, 3, refused=(1, 2, 3))
    ran_before(40, 4, refused=(4,))
    ran_before(1, 5)
    with clock.frozen(NOON):
        begin_purges()
        PurgePlan.objects.update(due_at=NOON)
        begin_purges()
    cut = Purge.unscoped.get()
    died = step = 0
    while Purge.unscoped.filter(NOT_ENDED).exists():
        step += 7
        assert step < 2_000
        Purge.unscoped.update(lease_until=None)
        try:
            with clock.frozen(NOON), dying_at_statement(Countdown(at=step)):
                purge_slice(cut.pk)
        except Killed:
            died += 1
            if died % 5 == 0:
                assert books() == []
    cut.refresh_from_db()
    assert died > 5
    assert (cut.counts["errors"], cut.counts["runs"]) == (4, 2)
    assert keys() == []
    assert books() == []


def test_another_worker_takes_over_when_the_lease_has_run_out(world, ran_before, monkeypatch):
    ran_before(40, 1, refused=(1,))
    with clock.frozen(NOON):
        begin_purges()
        PurgePlan.objects.update(due_at=NOON)
        begin_purges()
        cut = Purge.unscoped.get()
        fence = purging.claim(Purge, cut.pk)
        purge_slice(cut.pk)
        assert keys() == ["1"], "somebody else has it"
        assert hint_purges() == 0
    with clock.frozen(NOON + timedelta(minutes=2)):
        assert hint_purges() == 1
        purge_slice(cut.pk)
        assert keys() == []
        assert not purging.do_batch(Purge, cut.pk, fence, purging.purge_batch), "its fence is old"


def test_a_long_purge_is_done_in_slices(world, ran_before, monkeypatch):
    ran_before(40, 1, refused=(1,))
    monkeypatch.setattr(purging, "SLICE_S", -1.0)
    with clock.frozen(NOON):
        begin_purges()
        PurgePlan.objects.update(due_at=NOON)
        begin_purges()
        key = Purge.unscoped.get().pk
        slices = 0
        while Purge.unscoped.filter(NOT_ENDED).exists():
            purge_slice(key)
            slices += 1
    assert slices > 3
    assert keys() == []


def test_a_purge_locks_no_table_and_asks_little(world, ran_before, django_assert_max_num_queries):
    ran_before(40, 1, 2, 3, refused=(1, 2, 3))
    with django_assert_max_num_queries(140) as seen:
        purge()
    statements = " ".join(query["sql"].upper() for query in seen.captured_queries)
    assert "LOCK TABLE" not in statements
    assert "TRUNCATE" not in statements


# --- when ------------------------------------------------------------------------------------------------------------
def test_an_account_is_purged_each_night_at_three_on_its_wall(account):
    account.time_zone = "Europe/Berlin"
    account.save()
    with clock.frozen(NOON):
        begin_purges()
    assert PurgePlan.objects.get().due_at.isoformat() == "2026-03-03T02:00:00+00:00"
    with clock.frozen(NOON + timedelta(days=1)):
        assert begin_purges() == 1
        assert begin_purges() == 0
    assert PurgePlan.objects.get().due_at.isoformat() == "2026-03-04T02:00:00+00:00"


def test_while_one_purge_goes_on_no_other_is_begun(account):
    with clock.frozen(NOON):
        begin_purges()
    for days in (1, 2):
        with clock.frozen(NOON + timedelta(days=days)):
            begin_purges()
    assert Purge.unscoped.count() == 1


def test_what_goes_next_is_counted_ahead(world, ran_before):
    ran_before(30.5, 1, refused=(1,))  # older than the retention at noon
    ran_before(29.2, 2, 3, refused=(2, 3))
    ran_before(28.2, 4, refused=(4,))
    ran_before(1, 5)
    with clock.frozen(NOON):
        begin_purges()
    purge()
    with clock.frozen(NOON):
        count_ahead(world.flow.account_id)
    ahead = PurgePlan.objects.get().ahead
    assert [(day["errors"], day["open_errors"], day["runs"]) for day in ahead] == [(0, 0, 0), (2, 2, 1), (1, 1, 1)]


# --- beside ----------------------------------------------------------------------------------------------------------
def test_what_is_kept_beside_runs_goes_in_its_time(world, ran_before):
    account = world.flow.account
    member = make_member(account)
    ran_before(40, 1, refused=(1,))
    with clock.frozen(NOON - timedelta(days=40)):
        resolve_errors(account=account, member=None, errors=Error.objects.of(account))
        KeptAnswer.unscoped.create(account=account, key_sha256="k", request_sha256="r", status=200)
        Upload.unscoped.create(account=account, member=member, name="errors.csv", content=b"")
        WebhookDelivery.unscoped.create(
            account=account, webhook=make_webhook(account), event_id="1", event="run.finished", payload="{}",
            status="delivered",
        )  # fmt: skip
    (done, *_) = purge()
    assert not any(model.unscoped.exists() for model in (KeptAnswer, BulkAct, BulkItem, Upload, WebhookDelivery))
    assert {name: done.counts[name] for name in ("answers", "uploads", "deliveries", "acts")} == {
        "answers": 1, "uploads": 1, "deliveries": 1, "acts": 2,
    }  # fmt: skip


def test_other_accounts_are_not_touched(world, ran_before):
    make_account()
    ran_before(10, 1, refused=(1,))
    purge()
    assert keys() == ["1"]


def test_a_kept_error_may_be_retried_after_the_retention(world, ran_before):
    ran_before(40, 1, 2, refused=(1, 2))
    Error.unscoped.filter(key="1").update(keep=True)
    world.refuse()
    with clock.frozen(NOON):
        act = retry(world)
        work_retries(world)
    results = BulkItem.unscoped.filter(act=act).values_list("error__key", "result")
    assert dict(results)["2"] == "is older than the retention"
    assert Error.unscoped.get(key="1").reason == "retried"


def test_what_was_told_of_an_error_goes_with_it(world, ran_before):
    ran_before(40, 1, refused=(1,))
    error = Error.unscoped.get()
    Notice.unscoped.create(account_id=error.account_id, error=error, environment="production", flow=world.flow)
    purge()
    assert not Notice.unscoped.exists()
