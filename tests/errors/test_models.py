"""What the table of errors refuses, the state that people see, and which index answers which question."""

import pytest
from django.db import IntegrityError, transaction

from apps.core.clock import database_now, wall_now
from apps.errors.models import Cause, Error, StepState
from apps.errors.states import ERROR_LOOKS, Classification, Reason
from tests.factories import key_hash_of, make_cause, make_error, make_flow, make_member, make_run, step_of
from tests.runs.test_models import plan_of, without_scans  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db


class TestOneOpenErrorPerKey:
    def test_a_second_open_error_of_a_key_is_refused(self, flow):
        make_error(step=step_of(flow), key="A-1")
        with pytest.raises(IntegrityError), transaction.atomic():
            make_error(step=step_of(flow), key="A-1")

    def test_a_collision_within_one_run_is_told_apart_by_its_number(self, flow):
        make_error(step=step_of(flow), key="A-1")
        make_error(step=step_of(flow), key="A-1", collision_no=1)
        assert Error.unscoped.open().count() == 2

    def test_resolved_errors_other_steps_and_blank_keys_do_not_collide(self, flow):
        make_error(step=step_of(flow), key="A-1")
        make_error(step=step_of(flow), key="A-1", state="resolved", reason=Reason.SUPERSEDED)
        make_error(step=step_of(flow, "source"), key="A-1")
        make_error(step=step_of(flow))
        make_error(step=step_of(flow))
        assert Error.unscoped.count() == 5


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, "open"),
        ({"state": "resolved", "reason": "manual"}, "resolved"),
        ({"state": "resolved", "reason": "superseded"}, "auto_resolved"),
        ({"state": "resolved", "reason": "retried", "retry_failed": True}, "resolved"),
        ({"retry_failed": True}, "retry_failed"),
        ({"in_doubt": True, "retry_failed": True}, "in_doubt"),
        ({"in_doubt": True, "next_attempt_at": wall_now()}, "auto_retrying"),
        ({"retry_run_id": 7, "next_attempt_at": wall_now(), "in_doubt": True}, "retrying"),
    ],
)
def test_the_state_that_people_see(fields, shown):
    error = Error(**{"state": "open", **fields})
    assert error.shown_state == shown
    assert shown in ERROR_LOOKS


class TestQuestions:
    def test_open_means_that_no_retry_has_it(self, flow):
        free = make_error(step=step_of(flow))
        taken = make_error(step=step_of(flow), retry_run=make_run(flow))
        done = make_error(step=step_of(flow), state="resolved", reason="manual")
        assert list(Error.unscoped.open()) == [free]
        assert list(Error.unscoped.retrying()) == [taken]
        assert list(Error.unscoped.resolved()) == [done]

    def test_auto_resolve_looks_at_open_ones_and_at_those_that_nothing_has_passed_yet(self, flow):
        run, step = make_run(flow), step_of(flow)
        is_open = make_error(step=step, key="A")
        unpassed = make_error(step=step, key="A", state="resolved", reason="manual")
        make_error(step=step, key="A", state="resolved", reason="succeeded", passed_run=run, passed_outcome="success")
        make_error(step=step, key="B")
        found = Error.unscoped.to_auto_resolve(flow, [key_hash_of("A")]).order_by("id")
        assert list(found) == [is_open, unpassed]

    def test_the_class_of_an_error_is_that_of_its_cause(self, flow):
        cause = make_cause(step_of(flow), classification=Classification.VALUE)
        error = make_error(cause=cause)
        make_error(step=step_of(flow))
        assert list(Error.unscoped.of_class(Classification.VALUE)) == [error]

    def test_open_counts_are_sums_over_step_states(self, flow):
        make_error(step=step_of(flow))
        make_error(step=step_of(flow, "source"))
        make_error(step=step_of(flow), state="resolved", reason="manual")
        make_error(step=step_of(make_flow(flow.account)))
        assert StepState.objects.of(flow.account).open_total() == 3
        assert StepState.objects.of(flow.account).for_flow(flow).open_total() == 2
        assert StepState.unscoped.none().open_total() == 0

    @pytest.mark.parametrize(
        ("index", "question"),
        [
            ("errors_open_by_step", lambda e: Error.unscoped.for_step(e.step_id).open().newest_first()[:50]),
            ("errors_inbox", lambda e: Error.objects.of(e.account_id).open().newest_first()[:50]),
            (
                "errors_resolved_by_step",
                lambda e: Error.unscoped.for_step(e.step_id).resolved().order_by("-resolved_at", "-id")[:50],
            ),
            ("errors_by_cause", lambda e: Error.unscoped.of_cause(e.cause_id).newest_first()[:50]),
            ("errors_of_run", lambda e: Error.unscoped.for_run(e.run_id).filter(step=e.step_id).order_by("id")[:50]),
            (
                "errors_to_auto_resolve",
                lambda e: Error.unscoped.to_auto_resolve(e.flow_id, [1, 2, 3]).values_list("id", "payload_hash"),
            ),
            (
                "errors_journey",
                lambda e: Error.objects.of(e.account_id).with_key(e.key_hash).order_by("id"),
            ),
            ("errors_due", lambda e: Error.unscoped.due(database_now()).order_by("next_attempt_at")[:50]),
            ("errors_under_retry", lambda e: Error.unscoped.retrying().filter(retry_run=7).order_by("id")[:50]),
            (
                "errors_mine",
                lambda e: Error.unscoped.filter(state="open", assignee=7).newest_first()[:50],
            ),
            (
                "errors_to_purge",
                lambda e: Error.objects.of(e.account_id).occurred_between(None, database_now()).order_by("occurred_at"),
            ),
            ("causes_open_of_account", lambda e: Cause.objects.of(e.account_id).open().order_by("-last_seen_at")[:50]),
        ],
    )
    def test_its_index_answers_it(self, without_scans, index, question):  # noqa: F811
        assert index in plan_of(question(make_error(key="A-1")))


def test_errors_of_one_member_are_his(flow):
    member = make_member(flow.account)
    mine = make_error(step=step_of(flow), assignee=member)
    make_error(step=step_of(flow))
    assert list(Error.objects.of(flow.account).assigned_to(member)) == [mine]


def test_a_row_of_another_account_is_not_there(flow):
    make_error(step=step_of(flow))
    other = make_flow()
    assert not Error.objects.of(other.account).exists()
