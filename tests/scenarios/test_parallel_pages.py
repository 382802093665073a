"""Pages of one run at work at once: an owner and a helper, either of which may die; all is delivered and booked once.

The same ten records, deaths and audits as in `test_resume`.
"""

import pytest

from apps.execution.journal import RunJournal
from apps.execution.shared_run import SharedRunJournal
from tests.fakes.helping import helped
from tests.fakes.killing import Countdown, dying_at_statement, dying_before_target_commit
from tests.long_tests import SPREADS, moments
from tests.scenarios.scene import Scene
from tests.scenarios.test_resume import KILLS, PAGES, Trial, trial_over

pytestmark = pytest.mark.django_db
SHARED = "page_order: free\nparallel_pages: 2\n"
WITH_CHECKPOINTS = pytest.mark.parametrize("trial", ["table"], indirect=True)
"""Where the checkpoint moves with every page."""


@pytest.fixture(params=["file", "table"])
def trial(request, scene: Scene) -> Trial:
    return trial_over(scene, request.param, more=SHARED)


def test_an_owner_and_a_helper_deliver_and_book_all_once(trial):
    with helped() as helper:
        run = trial.run(dying_at_statement(Countdown()))

    assert trial.faults == []
    assert (run.pages_fetched, run.pages_done, run.fence) == (PAGES, PAGES, 1)
    assert 0 < helper.pages < PAGES


@WITH_CHECKPOINTS
@pytest.mark.parametrize("kind", KILLS)
def test_wherever_one_of_them_dies_around_the_targets_commit_all_is_delivered_and_booked_once(trial, kind):
    deaths = 0
    for at in range(1, PAGES + 1):
        with helped() as helper:
            trial.run(KILLS[kind](Countdown(at)))
        deaths += helper.deaths
        assert trial.faults == [], f"death {kind} of page {at}"
    assert 0 < deaths < PAGES, "it was the owner sometimes, and sometimes the helper"


@WITH_CHECKPOINTS
@pytest.mark.parametrize("kind", KILLS)
def test_a_page_on_which_both_die_again_and_again_is_delivered_and_booked_once(trial, kind):
    with helped():
        trial.run(KILLS[kind](Countdown(2, 4)))

    assert trial.faults == []


@SPREADS
@WITH_CHECKPOINTS
def test_whichever_statement_of_ours_one_of_them_dies_at_all_is_delivered_and_booked_once(trial, spread):
    trial.shorten(6)
    counted = Countdown()
    with helped():
        trial.run(dying_at_statement(counted))
    for at in moments(counted.calls, spread):
        with helped():
            trial.run(dying_at_statement(Countdown(at)))
        assert trial.faults == [], f"death at statement {at}"


@WITH_CHECKPOINTS
def test_a_checkpoint_that_moves_over_a_gap_is_caught_by_these_tests(trial, monkeypatch):
    monkeypatch.setattr(SharedRunJournal, "_move_checkpoint", RunJournal._move_checkpoint)
    with helped():
        trial.run(dying_before_target_commit(Countdown(1)))

    assert trial.faults == ["the checkpoint stands at {'watermark': 9}, but [2] are not in the target"]
