"""Tests that need a server are left out where it is missing, but never in CI."""

import subprocess
import sys

import pytest
from django.conf import settings as django_settings

from tests import services

ANY = ["tests/core/test_queue.py", "--collect-only", "-q"]


@pytest.fixture
def nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(services, "PORTS", {"postgresql": 1, "redis": 1})


def test_a_newcomers_machine_may_miss_both(nothing_answers: None) -> None:
    assert services.missing() == ["postgresql", "redis"]


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("DATABASE_URL", "postgres://postgres@127.0.0.1/x")])
def test_where_they_are_promised_none_may_be_missing(
    nothing_answers: None, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert services.missing() == []


def collected(prelude: str) -> str:
    program = f"import os, sys, pytest; from tests import services; {prelude}; sys.exit(pytest.main({ANY!r}))"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=django_settings.BASE_DIR, capture_output=True, text=True, timeout=120
    )
    return run.stdout


def test_what_is_left_out_is_counted_and_the_rest_stays() -> None:
    without = collected("[os.environ.pop(n, None) for n in ('CI', 'DATABASE_URL')]; services.PORTS.update(redis=1)")
    assert "redis does not answer on loopback" in without or "deselected" in without
    assert "test_a_hint_is_sent_when_the_transaction_has_committed" not in without
    assert "test_a_hint_carries_nothing_but_ids" in without
