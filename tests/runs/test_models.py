"""What the tables of runs and pages refuse, and which index answers which question."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from apps.core.clock import database_now
from apps.runs.models import Page, Run
from apps.runs.statuses import STATUS_LOOKS, PageState, RunKind, RunOutcome, RunStatus
from tests.factories import make_flow, make_page, make_run, make_step_run, step_of

pytestmark = pytest.mark.django_db


def refused(function, *arguments, **fields):
    with pytest.raises(IntegrityError), transaction.atomic():
        function(*arguments, **fields)
    return True


def plan_of(queryset):
    return queryset.explain(**({"costs": False} if connection.vendor == "postgresql" else {}))


@pytest.fixture
def without_scans():
    """Our few rows fit in a page of the disk: the planner is asked what it would do with many."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
            )


class TestOneRunPer:
    def test_tick_of_a_schedule(self, flow, noon):
        make_run(flow, scheduled_for=noon)
        assert refused(make_run, flow, scheduled_for=noon)
        make_run(flow, scheduled_for=noon + timedelta(minutes=1))

    def test_due_slot_of_a_step(self, flow, noon):
        fields = {"kind": RunKind.AUTO_RETRY, "scheduled_for": noon}
        make_run(flow, start_step=step_of(flow), **fields)
        assert refused(make_run, flow, start_step=step_of(flow), **fields)
        make_run(flow, start_step=step_of(flow, "source"), **fields)

    def test_attempt_of_a_failed_run(self, flow):
        root = make_run(flow)
        make_run(flow, root_run=root, attempt=2)
        assert refused(make_run, flow, root_run=root, attempt=2)

    def test_runs_by_hand_are_as_many_as_one_likes(self, flow):
        make_run(flow)
        make_run(flow)
        assert Run.objects.of(flow.account).count() == 2


def test_a_page_has_each_part_once(flow):
    run = make_run(flow)
    make_page(run, seq=1, part=0)
    make_page(run, seq=1, part=1)
    assert refused(make_page, run, seq=1, part=1)


def test_the_balance_sheet_of_a_step_is_a_fact_about_itself(flow):
    counts = {"came_in": 1000, "success": 953, "ignored": 40, "errors": 7}
    assert make_step_run(make_run(flow), step_of(flow), **counts).is_balanced
    assert not make_step_run(make_run(flow), step_of(flow), **{**counts, "errors": 6}).is_balanced


def test_every_status_has_a_look_of_word_role_and_icon():
    words = set(RunStatus.values) | set(RunOutcome.values) | set(PageState.values)
    assert words <= set(STATUS_LOOKS)
    assert {look.role for look in STATUS_LOOKS.values()} <= {"ok", "warn", "err", "run", "retry", "idle"}


class TestQuestions:
    def test_due_runs_are_queued_and_their_time_has_come(self, flow):
        now = make_run(flow)
        later = make_run(flow)
        Run.unscoped.filter(pk=later.pk).update(not_before=database_now(seconds=60))
        make_run(flow, status=RunStatus.RUNNING)
        assert list(Run.unscoped.due(database_now())) == [now]

    def test_abandoned_runs_let_their_lease_run_out(self, flow):
        lost, kept = make_run(flow, status=RunStatus.RUNNING), make_run(flow, status=RunStatus.RUNNING)
        Run.unscoped.filter(pk=lost.pk).update(lease_until=database_now(seconds=-1))
        Run.unscoped.filter(pk=kept.pk).update(lease_until=database_now(seconds=30))
        assert list(Run.unscoped.abandoned(database_now())) == [lost]

    def test_parked_pages_wait_until_their_time(self, flow):
        run = make_run(flow)
        due, waiting = make_page(run, state=PageState.PARKED), make_page(run, state=PageState.PARKED)
        Page.unscoped.filter(pk=due.pk).update(not_before=database_now(seconds=-1))
        Page.unscoped.filter(pk=waiting.pk).update(not_before=database_now(seconds=60))
        assert list(Page.unscoped.parked_until(database_now())) == [due]

    def test_retry_runs_are_told_from_the_flows_own(self, flow):
        own, retry = make_run(flow), make_run(flow, kind=RunKind.RETRY)
        assert list(Run.unscoped.retries()) == [retry]
        assert list(Run.unscoped.without_retries()) == [own]

    @pytest.mark.parametrize(
        ("index", "question"),
        [
            ("runs_lease_running", lambda run: Run.unscoped.abandoned(database_now())),
            ("runs_not_empty_of_flow", lambda run: Run.unscoped.for_flow(run.flow_id).not_empty().newest_first()[:50]),
            ("runs_active_of_account", lambda run: Run.objects.of(run.account_id).active().newest_first()[:50]),
            ("runs_of_batch", lambda run: Run.unscoped.filter(batch=7)),
            ("pages_lease_delivering", lambda run: Page.unscoped.abandoned(database_now())),
            ("pages_parked_due", lambda run: Page.unscoped.parked_until(database_now())),
            ("pages_not_done", lambda run: Page.unscoped.for_run(run.pk).not_done().order_by("seq", "part")),
        ],
    )
    def test_its_index_answers_it(self, without_scans, index, question):
        assert index in plan_of(question(make_run(make_flow())))
