"""The harness is complete and fits the product: it plays for hours, and nobody wants to hear at the end of them."""

from pathlib import Path

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from apps.execution import worker
from apps.execution.claims import Heartbeat
from apps.execution.journal import RunJournal
from apps.execution.owned_run import OwnedRun
from tests.chaos.promises import PROMISES
from tests.chaos.setups import SETUPS
from tests.chaos.suites import DOUBLES


def test_every_promise_has_its_command():
    assert [name for name in PROMISES if "-" not in name] == [f"P{number}" for number in range(1, 22)]


@pytest.mark.parametrize("name", PROMISES)
def test_what_shows_a_promise_is_there(name):
    promise = PROMISES[name]
    if promise.story:
        assert import_string(promise.story).play
        assert set(promise.setups) <= set(SETUPS)
    for words in promise.tests:
        if words.startswith("tests/"):
            file, _, test = words.partition("::")
            assert f"def {test}" in (Path(settings.BASE_DIR) / file).read_text()


@pytest.mark.parametrize("double", DOUBLES)
def test_what_a_wrong_engine_replaces_is_there(double):
    assert import_string(f"tests.chaos.doubles.apps.{double}")
    assert DOUBLES[double][0] in PROMISES
    for place, name in [(worker, "RunJournal"), (worker, "identity"), (OwnedRun, "_mine"), (Heartbeat, "is_lost")]:
        assert hasattr(place, name)
    assert callable(RunJournal._settle_page)
