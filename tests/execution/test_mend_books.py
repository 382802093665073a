"""`check_books --mend` sets every kept counter right and says what it changed."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from apps.errors.models import RetryData
from apps.execution.check_books import CHECKS, Check, Kind, differences
from apps.runs.models import Bucket, Run
from tests.fakes.running import books, make_world
from tests.scenarios.retry_world import records, retry, run_once, work_retries

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(account):
    """Runs with errors of which one was retried in vain: every counter has a row, and all are right."""
    made = make_world(account)
    made.refuse(1, 2)
    run_once(made, records(1, 2, 3))
    retry(made)
    work_retries(made)
    assert books() == []
    return made


def told(*arguments: str) -> tuple[int, str]:
    """Exit status and what was printed."""
    out = StringIO()
    try:
        call_command("check_books", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue().strip()
    return 0, out.getvalue().strip()


def spoil(check: Check) -> None:
    """Make what a check compares wrong by seven."""
    if check.kind is Kind.KEPT:
        sql = f"UPDATE {check.table} SET {check.column} = {check.column} + 7"
    else:
        grain = 30 if check.kind is Kind.HALF_HOURS else 360
        sql = f"UPDATE bucket SET {check.column} = {check.column} + 7 WHERE grain = {grain}"
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_each_counter_alone_and_all_together_are_set_right(world):
    countable = [check for check in CHECKS if check.kind is not Kind.PRESENT]
    for check in countable:
        spoil(check)
        assert any(line.startswith(check.what) for line in books()), check.what
        assert told("--mend")[0] == 0
        assert books() == [], check.what
    for check in countable:
        spoil(check)
    status, text = told("--mend")
    assert status == 0
    assert list(differences()) == []
    assert not [check.what for check in countable if check.kind is Kind.KEPT and f"{check.what} " not in text]


def test_it_says_each_change_in_a_line_and_as_json(world):
    run = Run.unscoped.order_by("pk")[0]
    Run.unscoped.filter(pk=run.pk).update(errors=9)
    status, text = told("--json")
    assert (status, json.loads(text)[0]["what"]) == (1, f"errors of run {run.pk}")
    status, text = told("--mend")
    assert (status, text.splitlines()[0]) == (0, f"errors of run {run.pk}: was 9, set to {run.errors}")
    assert text.splitlines()[-1].endswith("0 differences are left.")
    Run.unscoped.filter(pk=run.pk).update(errors=9)
    assert json.loads(told("--mend", "--json")[1])[0] == {
        "what": f"errors of run {run.pk}", "kept": 9, "counted": run.errors, "mended": True,
    }  # fmt: skip
    assert told("--mend", "--json") == (0, "[]")


def test_half_hours_that_are_not_there_come_back_with_their_sums(world):
    Bucket.unscoped.filter(grain__gt=1).delete()
    assert told("--mend")[0] == 0
    assert books() == []


def test_a_row_that_is_missing_is_told_and_left(world):
    RetryData.unscoped.order_by("pk")[:1].get().delete()
    status, text = told("--mend")
    assert status == 1
    assert "orphaned errors" in text
    assert "1 differences are left" in text
