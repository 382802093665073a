"""A worker dies at any moment of a run of five pages, another goes on: all is delivered once, all is booked once.

Each run reads ten records, of which two are bad, and writes the others by an upsert (repeatable) and by an insert into
a table without a key (only the ledger keeps it from doubling).
"""

import json
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.db import connection

from apps.core.clock import read_now
from apps.errors.models import Error
from apps.execution.worker import work_slice
from apps.flows.models import Flow
from apps.runs.models import Page, Run
from apps.runs.services import start_run
from apps.runs.statuses import PageState, RunOutcome, RunStatus
from tests.fakes.hasty import HastyJournal
from tests.fakes.killing import (
    Countdown,
    Killed,
    dying_after_target_commit,
    dying_at_statement,
    dying_before_target_commit,
)
from tests.fakes.running import books
from tests.long_tests import SPREADS, moments
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.django_db

COUNT, PAGES = 10, 5
BAD = [3, 8]
GOOD = [n for n in range(COUNT) if n not in BAD]
STEPS = """
  - key: load
    import: {connection: target, operation: upsert, table: orders, keys: [id]}
    mapping: {id: record.id, amount: record.amount}
  - key: note
    import: {connection: target, operation: insert, table: journal}
    mapping: {id: record.id, amount: record.amount}
"""
FILE = "{connection: files, path: a.jsonl}"
TABLE = "{connection: target, query: 'SELECT id, amount FROM incoming', unique: [id], watermark: id}"
KILLS = {
    "before the target's commit": dying_before_target_commit,
    "after the target's commit": dying_after_target_commit,
}


@dataclass
class Trial:
    """One flow, run again and again, each time with a death."""

    scene: Scene
    flow: Flow
    count: int = COUNT
    faults: list[str] = field(default_factory=list)

    def shorten(self, count: int) -> None:
        """Only the first records are there: less pages of the same kind."""
        path = self.scene.folder / "a.jsonl"
        path.write_bytes(b"\n".join(path.read_bytes().splitlines()[:count]))
        self.scene.place.execute(f"DELETE FROM incoming WHERE id >= {count}")
        self.count = count

    @property
    def bad(self) -> list[int]:
        return [n for n in BAD if n < self.count]

    @property
    def good(self) -> list[int]:
        return [n for n in GOOD if n < self.count]

    def run(self, death: AbstractContextManager[Any]) -> Run:
        """Run until the worker dies, let another one go on once the lease is over, and look at what is there."""
        for table in ("orders", "journal"):
            self.scene.place.execute(f"DELETE FROM {table}")
        self.scene.forget_checkpoint(self.flow)
        run = start_run(flow=self.flow)
        with death:
            self.work_until_death(run)
        self.check_checkpoint()
        self.scene.work_to_the_end(run)
        self.audit(run)
        return run

    def work_until_death(self, run: Run) -> None:
        for _ in range(10):
            try:
                if not work_slice(run.pk):
                    return
            except Killed:
                self.let_lease_end(run)

    def let_lease_end(self, run: Run) -> None:
        past = read_now() - timedelta(seconds=1)
        Run.unscoped.filter(pk=run.pk, status=RunStatus.RUNNING).update(lease_until=past)
        Page.unscoped.filter(run=run, state=PageState.DELIVERING).update(lease_until=past)

    def check_checkpoint(self) -> None:
        """Nothing that the checkpoint has passed may be missing."""
        reached = self.scene.checkpoint(self.flow)
        if reached is None:
            return
        missing = {n for n in self.good if n <= reached["watermark"]} - set(self.scene.loaded())
        if missing:
            self.faults.append(f"the checkpoint stands at {reached}, but {sorted(missing)} are not in the target")

    def audit(self, run: Run) -> None:
        if (run.status, run.outcome) != (RunStatus.COMPLETED, RunOutcome.COMPLETED_WITH_ERRORS):
            self.faults.append(f"{run} ended {run.status}: {self.scene.messages(run)}")
        for table in ("orders", "journal"):
            if self.scene.loaded(table) != self.good:
                self.faults.append(f"{table} holds {self.scene.loaded(table)}")
        if (counted := Counter(error.ordinal for error in self.scene.errors(run))) != Counter(self.bad):
            self.faults.append(f"errors of {dict(counted)}")
        if Error.objects.of(run.account_id).filter(flow=self.flow).open().count() != len(self.bad):
            self.faults.append("open errors: not one for each bad record")
        self.faults += books()


@pytest.fixture(params=["file", "table"])
def trial(request, scene: Scene) -> Trial:
    return trial_over(scene, request.param)


def trial_over(scene: Scene, source: str, *, more: str = "") -> Trial:
    """A flow whose source is a file, or a table read by a watermark (whose checkpoint moves with every page).

    `more`: further lines of its definition.
    """
    rows = [{"id": n, "amount": -1 if n in BAD else n} for n in range(COUNT)]
    scene.write("a.jsonl", b"\n".join(map(orjson.dumps, rows)))
    scene.place.execute("CREATE TABLE incoming (id bigint PRIMARY KEY, amount integer)")
    for row in rows:
        scene.place.execute(f"INSERT INTO incoming VALUES ({row['id']}, {row['amount']})")
    export = FILE if source == "file" else TABLE
    text = f"flow: orders\nintegration: {{key: trial, name: Trial}}\nenabled: true\npage_size: 2\n{more}steps:\n"
    steps = f'  - key: source\n    export: {export}\n    trace_key: "{{{{ record.id }}}}"' + STEPS
    return Trial(scene, scene.apply(text + steps))


def test_without_a_death_all_is_delivered_and_booked_once(trial):
    run = trial.run(dying_at_statement(Countdown()))

    assert trial.faults == []
    assert (run.pages_fetched, run.pages_done, run.fence) == (PAGES, PAGES, 1)


@pytest.mark.parametrize("kind", KILLS)
def test_wherever_a_worker_dies_around_the_targets_commit_all_is_delivered_and_booked_once(trial, kind):
    for at in range(1, PAGES + 1):
        run = trial.run(KILLS[kind](Countdown(at)))
        assert run.fence == 2
        assert trial.faults == [], f"death {kind} of page {at}"


@pytest.mark.parametrize("times", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", KILLS)
def test_a_page_on_which_workers_die_again_and_again_is_delivered_and_booked_once(trial, kind, times):
    """After three deaths it is halved; what stood in the target by then is not written again."""
    trial.run(KILLS[kind](Countdown(3, times)))

    assert trial.faults == []


@pytest.mark.parametrize("kind", KILLS)
def test_a_record_that_kills_every_worker_is_one_error_in_doubt_and_the_others_go_through(trial, kind):
    run = trial.run(KILLS[kind](Countdown(3, 6)))

    deadly = [error for error in trial.scene.errors(run) if error.cause.code == "worker_died"]
    assert [(error.ordinal, error.in_doubt, error.step.key) for error in deadly] == [(4, True, "load")]
    stands = [4] if kind == "after the target's commit" else []
    assert trial.scene.loaded("journal") == sorted([0, 1, 2, 5, 6, 7, 9, *stands])
    assert json.loads(trial.scene.retry_data(deadly[0])) == {"id": 4, "amount": 4}


@SPREADS
def test_whichever_statement_of_ours_a_worker_dies_at_all_is_delivered_and_booked_once(trial, spread, request):
    trial.shorten(6)  # the first page, one in the middle, and the last
    counted = Countdown()
    trial.run(dying_at_statement(counted))
    assert counted.calls > 20 * 3
    step = step_of_deaths(request.node.callspec.params) if spread == 1 else 1
    for at in moments(counted.calls, spread)[::step]:
        trial.run(dying_at_statement(Countdown(at)))
        assert trial.faults == [], f"death at statement {at}"


def step_of_deaths(params: dict[str, str]) -> int:
    """Every statement once; where only the database or the source differs, each of a few primes is enough."""
    ours, target = connection.vendor, params["scene"]
    if ours == target:
        return 3 if params["trial"] == "file" or ours == "postgresql" else 1
    return 11


def test_a_journal_that_moves_the_checkpoint_before_the_page_is_caught_by_this_test(trial, monkeypatch):
    monkeypatch.setattr("apps.execution.worker.RunJournal", HastyJournal)
    trial.run(dying_at_statement(Countdown()))
    assert trial.faults == [], "without a death it gets away with it"

    trial.run(dying_before_target_commit(Countdown(2)))

    lost = [n for n in GOOD if n not in (2, 3)]
    assert f"orders holds {lost}" in trial.faults
    assert f"journal holds {lost}" in trial.faults
    assert books() == ["pages done of run: kept 4, counted 5"], "and the books tell of the page that was never done"
    Run.unscoped.update(pages_done=PAGES)


def test_what_a_stopping_worker_had_not_written_yet_is_written_by_the_next_one(scene, monkeypatch):
    """It stops in the middle of a page without a scope, and dies before the part that it wrote is booked."""
    scene.write("a.jsonl", b"\n".join(orjson.dumps({"id": n, "amount": 1}) for n in range(2500)))
    load = "{connection: target, operation: insert, table: journal}"
    change = 'note: "default(record.note, None)"'
    flow = scene.flow_of_file(
        "a.jsonl", load=load, page_size=2500, change=lambda text: "scope: none\n" + text.replace(f", {change}", "")
    )
    run = start_run(flow=flow)
    asked = iter([False, False])
    monkeypatch.setattr("apps.execution.drain.is_asked", lambda: next(asked, True))
    with dying_after_target_commit(Countdown(1)), pytest.raises(Killed):
        work_slice(run.pk)
    monkeypatch.undo()
    assert 0 < len(scene.loaded("journal")) < 2500

    scene.work_to_the_end(run)

    assert (run.outcome, run.success) == (RunOutcome.COMPLETED, 2500)
    assert scene.loaded("journal") == list(range(2500))


# --- sources that change ------------------------------------------------------------------------------------------
def die_on_page(trial: Trial, page: int) -> Run:
    """A run whose worker has died with a page stored and nothing of it delivered."""
    run = start_run(flow=trial.flow)
    with dying_before_target_commit(Countdown(page)), pytest.raises(Killed):
        work_slice(run.pk)
    trial.let_lease_end(run)
    assert Page.unscoped.filter(run=run).exclude(state=PageState.DONE).count() == 1
    return run


@pytest.mark.parametrize("trial", ["table"], indirect=True)
def test_what_was_stored_before_a_death_is_delivered_though_the_source_has_changed_since(trial):
    """Rows of the stored page are gone, others have moved before it and behind it."""
    run = die_on_page(trial, 2)
    trial.scene.place.execute("DELETE FROM incoming WHERE id IN (2, 4)")
    trial.scene.place.execute("INSERT INTO incoming VALUES (20, 20)")
    trial.scene.place.execute("UPDATE incoming SET id = -5 WHERE id = 9")

    trial.scene.work_to_the_end(run)

    assert run.outcome == RunOutcome.COMPLETED_WITH_ERRORS
    assert trial.scene.loaded() == trial.scene.loaded("journal") == [0, 1, 2, 5, 6, 7, 20]
    assert [error.key for error in trial.scene.errors(run)] == ["3", "8"]


@pytest.mark.parametrize("trial", ["file"], indirect=True)
@pytest.mark.parametrize("change", ["longer", "shorter", "other", "gone"])
def test_a_file_that_changed_after_a_death_is_refused_and_the_stored_page_still_delivered(trial, change):
    run = die_on_page(trial, 2)
    path = trial.scene.folder / "a.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    changed = {"longer": [*lines, b"\n", *lines[:1]], "shorter": lines[:5], "other": lines[::-1]}
    path.unlink() if change == "gone" else path.write_bytes(b"".join(changed[change]))

    trial.scene.work_to_the_end(run)

    window = [error for error in trial.scene.errors(run) if error.unit == "window"]
    assert (run.status, len(window)) == (RunStatus.FAILED, 1)
    assert window[0].cause.code == "file_changed"
    assert window[0].message.startswith("a.jsonl ")
    assert trial.scene.loaded() == trial.scene.loaded("journal") == [0, 1, 2]
    assert run.records_in == 4


@pytest.mark.parametrize("trial", ["file"], indirect=True)
def test_a_file_that_changed_after_its_last_page_was_stored_does_no_harm(trial):
    run = die_on_page(trial, PAGES)
    (trial.scene.folder / "a.jsonl").write_bytes(b"something else\n")

    trial.scene.work_to_the_end(run)
    trial.audit(run)

    assert trial.faults == []
