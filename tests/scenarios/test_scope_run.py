"""Scope `run`: all pages of a run in one transaction of the target and one of the books, or nothing of them."""

from collections.abc import Iterator
from contextlib import ExitStack

import orjson
import pytest
from django.db import connection

from apps.core.clock import read_now
from apps.errors.models import Error
from apps.errors.states import ErrorState, Reason
from apps.execution.worker import work_slice
from apps.runs.models import Page, Run
from apps.runs.reruns import start_rerun
from apps.runs.services import cancel_run, start_run
from apps.runs.statuses import RunOutcome, RunStatus
from tests.fakes.killing import (
    Countdown,
    Killed,
    dying_after_target_commit,
    dying_at_statement,
    dying_before_target_commit,
)
from tests.fakes.mail_server import MailServer, for_recipient, once
from tests.fakes.running import books
from tests.long_tests import SPREADS, moments
from tests.scenarios.calls import FAILING, Calls, F, child_of, head_of, indented, parent_of, write_mark
from tests.scenarios.scene import Scene
from tests.scenarios.test_resume import Trial

pytestmark = pytest.mark.django_db

RUN = "scope: run\nmax_records: 1000\npage_size: 2\n"
GOOD = "P,C,F,D,N"


def test_all_pages_are_written_and_booked_together(calls):
    flow = calls.apply(parent_of("R", RUN), child_of("R"))
    run = calls.run(flow, *["good"] * 5)
    assert [calls.marks(n) for n in range(1, 6)] == [GOOD] * 5
    assert (run.outcome, run.success, run.pages_done) == (RunOutcome.COMPLETED, 5, 3)


def test_one_record_that_fails_takes_back_the_whole_run(calls):
    flow = calls.apply(parent_of("R", RUN), child_of("R"))
    run = calls.run(flow, "good", "good", "good", "refused", "good", "good")
    assert calls.scene.place.rows("SELECT * FROM marks") == []
    assert run.status == RunStatus.FAILED
    assert (run.success, run.failed, run.rolled_back, run.errors, run.unit_errors) == (0, 0, 6, 0, 1)
    error = calls.scene.only_error(run)
    assert (error.unit, error.state, error.step.key) == ("window", "open", "source")
    assert 'the record "4" at Parent › Call child › Child › F failed' in error.message


def test_its_retry_runs_the_window_again(calls):
    flow = calls.apply(parent_of("R", RUN), child_of("R"))
    error = calls.scene.only_error(calls.run(flow, "good", "good", "refused"))

    (again,) = calls.retry([error])
    error.refresh_from_db()
    assert (error.state, error.reason, again.rolled_back) == ("resolved", Reason.RETRY_FAILED, 3)
    second = calls.scene.only_error(again)
    assert (second.unit, second.state, second.previous_error_id) == ("window", "open", error.pk)

    calls.apply(parent_of("R", RUN), child_of("R").replace(F, "'F'"))
    (third,) = calls.retry([second])
    assert (third.success, third.outcome) == (3, RunOutcome.COMPLETED)
    second.refresh_from_db()
    assert (second.state, second.reason) == ("resolved", Reason.RETRIED)
    assert [calls.marks(n) for n in (1, 2, 3)] == [GOOD] * 3


@pytest.mark.parametrize(
    ("sub", "parent", "kept"),
    [("R", "CR/e", "PH"), ("CR/e", "R", "H,N"), ("CR/x", "CW/e", "P,H,PH"), ("CW/x", "CO", "P,C,H,N"),
     ("CO", "R", "P,C,D,N"), ("R", "R", None), ("CW/x", "CR/x", None)],
)  # fmt: skip
def test_handlings_work_inside_as_in_scope_record(calls, sub, parent, kept):
    flow = calls.apply(parent_of(parent, RUN), child_of(sub))
    run = calls.run(flow, "good", *FAILING, "good")
    stays = [GOOD, kept, kept, GOOD] if kept else [""] * 4
    assert [calls.marks(n) for n in range(1, 5)] == stays
    assert (run.success, run.rolled_back) == ((4, 0) if kept else (0, 4))
    still_open = [e.unit for e in calls.scene.errors(run) if e.state == ErrorState.OPEN]
    assert still_open == ([] if kept else ["window"])


def test_a_run_of_more_records_than_its_bound_fails_and_keeps_nothing(calls):
    flow = calls.apply(parent_of("R", RUN.replace("1000", "3")), child_of("R"))
    run = calls.run(flow, *["good"] * 4)
    assert (run.status, run.records_in) == (RunStatus.FAILED, 0)
    assert "more than 3 records" in calls.scene.only_error(run).message
    assert calls.scene.place.rows("SELECT * FROM marks") == []


def test_a_row_that_is_no_record_does_not_take_the_run_back(calls):
    flow = calls.apply(parent_of("R", RUN), child_of("R"))
    calls.scene.write("records.jsonl", b'{"id": 1, "way": "good"}\nnonsense\n{"id": 3, "way": "good"}')
    run = calls.scene.run(flow)
    assert (run.success, run.failed, run.outcome) == (2, 1, RunOutcome.COMPLETED_WITH_ERRORS)


def test_another_attempt_of_a_run_that_failed_takes_over_its_pages(calls):
    flow = calls.apply(parent_of("R", RUN + "workflow_retry: 1\n"), child_of("R"))
    run = calls.run(flow, "good", "good", "refused")
    assert run.status == RunStatus.RETRYING
    assert Page.unscoped.filter(run=run, payload__isnull=False).count() == 2


# --- canceled --------------------------------------------------------------------------------------------------------
def test_canceled_midway_nothing_stays(calls, monkeypatch):
    flow = calls.apply(parent_of("R", RUN), child_of("R"))
    calls.scene.write("records.jsonl", b"\n".join(orjson.dumps({"id": n, "way": "good"}) for n in range(1, 7)))
    run = start_run(flow=flow)
    asked = []

    def asks_at_the_second_page() -> bool:
        asked.append(1)
        if len(asked) == 6:
            cancel_run(run=run, member=None)
        return False

    monkeypatch.setattr("apps.execution.drain.is_asked", asks_at_the_second_page)
    calls.scene.work_to_the_end(run)
    assert len(asked) >= 6
    assert (run.status, run.records_in) == (RunStatus.CANCELED, 0)
    assert calls.scene.place.rows("SELECT * FROM marks") == []
    assert not Error.objects.of(run.account_id).exists()


# --- kills -----------------------------------------------------------------------------------------------------------
class WholeTrial(Trial):
    """Nobody fails: so all ten records are delivered."""

    def audit(self, run: Run) -> None:
        if (run.status, run.outcome, run.success) != (RunStatus.COMPLETED, RunOutcome.COMPLETED, 10):
            self.faults.append(f"{run} ended {run.status}: {self.scene.messages(run)}")
        for table in ("orders", "journal"):
            if self.scene.loaded(table) != list(range(10)):
                self.faults.append(f"{table} holds {self.scene.loaded(table)}")
        self.faults += books()

    def check_checkpoint(self) -> None:
        """It stands behind all that is in the target, or at the beginning."""
        reached = self.scene.checkpoint(self.flow)
        if reached is not None and len(self.scene.loaded()) < 10:
            self.faults.append(f"the checkpoint stands at {reached}")


@pytest.fixture
def trial(scene: Scene) -> WholeTrial:
    scene.place.execute("CREATE TABLE incoming (id bigint PRIMARY KEY, amount integer)")
    for n in range(10):
        scene.place.execute(f"INSERT INTO incoming VALUES ({n}, {n})")
    head = "flow: orders\nintegration: {key: trial, name: Trial}\nenabled: true\n" + RUN
    export = "{connection: target, query: 'SELECT id, amount FROM incoming', unique: [id], watermark: id}"
    use = "mapping: {id: record.id, amount: record.amount}\n"
    steps = f"steps:\n  - key: source\n    export: {export}\n"
    steps += "  - key: load\n    import: {connection: target, operation: upsert, table: orders, keys: [id]}\n"
    steps += f"    {use}  - key: note\n    import: {{connection: target, operation: insert, table: journal}}\n    {use}"
    return WholeTrial(scene, scene.apply(head + steps))


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("death", [dying_before_target_commit, dying_after_target_commit])
def test_killed_around_the_targets_commit_all_is_there_once(trial, death, times):
    run = trial.run(death(Countdown(1, times)))
    assert (run.fence, trial.faults) == (times + 1, [])


@SPREADS
def test_killed_at_any_statement_of_ours_all_is_there_once(trial, spread):
    counted = Countdown()
    trial.run(dying_at_statement(counted))
    assert counted.calls > 50
    for at in moments(counted.calls, spread)[:: fewer(trial)]:
        trial.run(dying_at_statement(Countdown(at)))
        assert trial.faults == [], f"death at statement {at}"


def fewer(trial: WholeTrial) -> int:
    """The statements are ours: one in three is enough where the target is of the other kind."""
    return 1 if trial.scene.place.kind == connection.vendor else 3


@SPREADS
def test_killed_at_any_statement_of_a_run_that_fails_nothing_is_there_and_one_error_is_open(trial, spread):
    trial.scene.place.execute("UPDATE incoming SET amount = -1 WHERE id = 8")
    counted = Countdown()
    run_that_fails(trial, counted)
    assert counted.calls > 50
    for at in moments(counted.calls, spread)[:: 2 * fewer(trial) if spread == 1 else 1]:
        run = run_that_fails(trial, Countdown(at))
        assert (run.status, run.rolled_back, run.unit_errors) == (RunStatus.FAILED, 10, 1), f"death at statement {at}"
        assert (trial.scene.loaded(), trial.scene.loaded("journal"), books()) == ([], [], [])
        assert trial.scene.checkpoint(trial.flow) is None


def run_that_fails(trial: WholeTrial, countdown: Countdown) -> Run:
    run = start_run(flow=trial.flow)
    with dying_at_statement(countdown):
        trial.work_until_death(run)
    return trial.scene.work_to_the_end(run)


def test_a_later_run_that_goes_through_resolves_the_window(trial):
    trial.scene.place.execute("UPDATE incoming SET amount = -1 WHERE id = 8")
    error = trial.scene.only_error(trial.scene.run(trial.flow))
    trial.scene.place.execute("UPDATE incoming SET amount = 8 WHERE id = 8")
    run = trial.scene.run(trial.flow)
    error.refresh_from_db()
    assert (run.success, error.state, error.reason) == (10, ErrorState.RESOLVED, Reason.SUCCEEDED)


def test_another_attempt_writes_what_the_failed_one_had_exported(calls):
    flow = calls.apply(parent_of("R", RUN + "workflow_retry: 1\n"), child_of("R"))
    failed = calls.run(flow, "good", "good", "refused")
    calls.apply(parent_of("R", RUN + "workflow_retry: 1\n"), child_of("R").replace(F, "'F'"))
    calls.scene.write("records.jsonl", b"")
    Run.unscoped.filter(pk=failed.pk).update(not_before=read_now())
    failed.refresh_from_db()
    run = calls.scene.work_to_the_end(start_rerun(failed))
    assert (run.outcome, run.success, run.pages_done) == (RunOutcome.COMPLETED, 3, 2)
    assert [calls.marks(n) for n in (1, 2, 3)] == [GOOD] * 3
    assert not Error.objects.of(run.account_id).open().exists()


def test_workers_that_die_again_and_again_fail_the_run_in_the_end(trial):
    run = start_run(flow=trial.flow)
    with ExitStack() as stack:
        stack.enter_context(dying_before_target_commit(Countdown(1, 9)))
        trial.work_until_death(run)
    trial.scene.work_to_the_end(run)
    assert run.status == RunStatus.FAILED
    error = trial.scene.only_error(run)
    assert ("died 3 times" in error.message, error.in_doubt) == (True, True)


def test_canceled_after_the_target_has_committed_all_is_booked(trial):
    run = start_run(flow=trial.flow)
    with dying_after_target_commit(Countdown(1)), pytest.raises(Killed):
        work_slice(run.pk)
    cancel_run(run=run, member=None)
    trial.let_lease_end(run)
    trial.scene.work_to_the_end(run)
    assert (run.status, run.success) == (RunStatus.CANCELED, 10)
    assert trial.scene.loaded("journal") == list(range(10))


# --- what cannot be rolled back --------------------------------------------------------------------------------------
@pytest.fixture
def mail(calls: Calls) -> Iterator[MailServer]:
    server = MailServer()
    with server.running():
        place = {"host": server.host, "port": server.port, "security": "none"}
        calls.scene.connect("post", "email", **place, sender="o@example.org", allowed_domains=["example.org"])
        yield server


def mailing(when: str, n: str = "'N'", more: str = "") -> str:
    """P, a mail, N."""
    send = (
        "- key: send\n  import: {connection: post, to: '{{ record.id }}@example.org', subject: 'Order {{ record.id }}',"
    )
    send += f" text: Hello}}\n  when: {when}\n{more}"
    return head_of("mailing", RUN) + indented(write_mark("p", "'P'") + send + write_mark("n", n), 2)


SUBJECTS = [f"Order {n}" for n in range(1, 6)]
REFUSED = "'X' if record.way == 'refused' else 'N'"


def test_a_held_mail_goes_out_when_the_scope_has_committed(calls, mail):
    run = calls.run(calls.scene.apply(mailing("after_commit")), *["good"] * 5)
    assert (run.outcome, run.success, mail.subjects) == (RunOutcome.COMPLETED, 5, SUBJECTS)


def test_a_held_mail_is_dropped_with_the_run(calls, mail):
    run = calls.run(calls.scene.apply(mailing("after_commit", REFUSED)), "good", "good", "good", "refused", "good")
    assert (run.status, run.rolled_back, mail.subjects) == (RunStatus.FAILED, 5, [])


def test_a_held_mail_that_is_refused_is_an_error_of_its_record_and_the_run_stands(calls, mail):
    mail.faults["RCPT"] = for_recipient("4@example.org", "550 5.1.1 No such user")
    run = calls.run(calls.scene.apply(mailing("after_commit")), *["good"] * 5)
    assert (run.success, run.failed, calls.scene.only_error(run).unit) == (4, 1, "record")
    assert [calls.marks(n) for n in range(1, 6)] == ["P,N"] * 5


def test_held_mails_wait_for_their_server_and_nothing_is_written_again(calls, mail):
    mail.faults["MAIL"] = once("421 closing down")
    run = calls.run(calls.scene.apply(mailing("after_commit")), *["good"] * 5)
    run = calls.scene.work_to_the_end(run)
    assert (run.outcome, run.failed, sorted(mail.subjects)) == (RunOutcome.COMPLETED, 0, SUBJECTS)
    assert [calls.marks(n) for n in range(1, 6)] == ["P,N"] * 5


def test_mails_that_went_out_at_once_are_told_as_uncompensated(calls, mail):
    run = calls.run(calls.scene.apply(mailing("now", REFUSED)), "good", "good", "good", "refused", "good")
    assert (run.rolled_back, calls.scene.place.rows("SELECT * FROM marks")) == (5, [])
    assert len(mail.subjects) == calls.scene.only_error(run).effects["uncompensated_count"] == 4


def test_a_canceled_run_says_what_went_out_and_stands(calls, mail, monkeypatch):
    flow = calls.scene.apply(mailing("now"))
    calls.scene.write("records.jsonl", b"\n".join(orjson.dumps({"id": n, "way": "good"}) for n in range(1, 6)))
    run = start_run(flow=flow)
    monkeypatch.setattr("apps.execution.whole_run.WholeRunJournal.is_cancel_asked", canceling(run))
    calls.scene.work_to_the_end(run)
    assert (run.status, calls.scene.place.rows("SELECT * FROM marks")) == (RunStatus.CANCELED, [])
    assert "2 sends went out before and stand." in calls.scene.log(run)
    assert len(mail.subjects) == 2


def canceling(run: Run):
    """Somebody asks for the run's end while it is delivered."""

    def is_asked(journal) -> bool:
        cancel_run(run=run, member=None)
        return True

    return is_asked


def test_a_wait_begins_the_whole_run_again_and_sends_nothing_twice(calls, mail):
    mail.faults["RCPT"] = for_recipient("4@example.org", "451 later")
    again = "  on_error: {policy: retry, seconds: 60, attempts: 2}\n"
    flow = calls.scene.apply(mailing("now", more=again))
    run = calls.run(flow, *["good"] * 5)
    assert (run.status, run.records_in, calls.scene.place.rows("SELECT * FROM marks")) == (RunStatus.RUNNING, 0, [])
    mail.faults.clear()
    run = calls.scene.work_to_the_end(run)
    assert (run.outcome, run.success, sorted(mail.subjects)) == (RunOutcome.COMPLETED, 5, SUBJECTS)
    assert [calls.marks(n) for n in range(1, 6)] == ["P,N"] * 5


def test_killed_between_the_commits_a_held_mail_goes_out_once(calls, mail):
    flow = calls.scene.apply(mailing("after_commit"))
    with dying_after_target_commit(Countdown(1)), pytest.raises(Killed):
        calls.run(flow, *["good"] * 5)
    assert mail.subjects == []
    run = calls.scene.work_to_the_end(Run.unscoped.get())
    assert (run.outcome, mail.subjects) == (RunOutcome.COMPLETED, SUBJECTS)
    assert [calls.marks(n) for n in range(1, 6)] == ["P,N"] * 5
