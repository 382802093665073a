"""Two runs of a flow beside each other, and how they are chosen in the history."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account
from apps.errors.models import Cause
from apps.flows.models import Flow, Revision
from apps.runs.models import Run
from tests.console.screens import ended_run, html_of, keyed_error, text_of, with_steps
from tests.factories import make_account, make_cause, make_flow, step_of


def address(first: Run, second: Run) -> str:
    return f"/flows/{first.flow_id}/history/compare/?a={first.pk}&b={second.pk}"


@pytest.fixture
def runs(orders: Flow, noon: datetime) -> tuple[Run, Run]:
    first = ended_run(orders, noon - timedelta(hours=2))
    second = ended_run(orders, noon, success=960, failed=0, errors=0, ended_at=noon + timedelta(seconds=145))
    with_steps(first)
    with_steps(second, success=960, errors=0)
    return first, second


def test_two_runs_that_are_ticked_in_the_history_stand_beside_each_other(page: Client, runs: tuple[Run, Run]) -> None:
    first, second = runs
    html = html_of(page, f"/flows/{first.flow_id}/history/")
    assert f'<input type="checkbox" name="run" value="{first.pk}" form="compare"' in html
    answer = page.get(f"/flows/{first.flow_id}/history/compare/?run={second.pk}&run={first.pk}")
    assert answer.headers["Location"] == address(first, second)


@pytest.mark.parametrize(("ticked", "said"), [("", "You chose none."), ("?run=1", "You chose 1.")])
def test_another_number_of_runs_is_said(page: Client, runs: tuple[Run, Run], ticked: str, said: str) -> None:
    answer = page.get(f"/flows/{runs[0].flow_id}/history/compare/{ticked}", follow=True)
    assert f"Choose two runs to compare. {said}" in answer.content.decode()


def test_counts_and_durations_are_told_with_what_changed(page: Client, runs: tuple[Run, Run]) -> None:
    text = text_of(html_of(page, address(*runs)))
    minus = "\N{MINUS SIGN}"
    assert "Duration 1 min 20 s 2 min 25 s +1 min 5 s" in text
    assert "Records in 1,000 1,000 0" in text
    assert "Success 953 960 +7" in text
    assert f"Errors 7 0 {minus}7" in text
    assert f"Target 1,000 1,000 953 960 +7 40 40 7 0 {minus}7 39 39" in text


def test_errors_of_a_run_lead_to_exactly_these(page: Client, runs: tuple[Run, Run]) -> None:
    step = step_of(runs[0].flow)
    assert f'href="/errors/?run={runs[0].pk}&amp;state=all&amp;step={step.pk}"' in html_of(page, address(*runs))


def test_errors_are_new_gone_or_in_both_by_root_cause(page: Client, runs: tuple[Run, Run]) -> None:
    first, second = runs
    step = step_of(first.flow)
    causes = {name: make_cause(step, pattern=f"{name} shape") for name in ("gone", "new", "kept", "merged")}
    Cause.unscoped.filter(pk=causes["merged"].pk).update(merged_into=causes["kept"])
    for run, name, count in ((first, "gone", 2), (second, "new", 3), (first, "merged", 1), (second, "kept", 4)):
        for number in range(count):
            keyed_error(run, step, f"{name}-{run.pk}-{number}", cause=causes[name])
    html = html_of(page, address(first, second))
    text = text_of(html)
    assert f"Errors that are new 1 Errors that are new Root cause {first} {second} new shape Target 0 3" in text
    assert f"Errors that are gone 1 Errors that are gone Root cause {first} {second} gone shape Target 2 0" in text
    assert f"Errors in both 1 Errors in both Root cause {first} {second} kept shape Target 1 4" in text
    assert f'href="/errors/?run={second.pk}&amp;state=all&amp;cause={causes["new"].pk}"' in html


def test_a_change_of_the_definition_between_them_is_one_click_away(page: Client, runs: tuple[Run, Run]) -> None:
    first, second = runs
    assert "What changed between them" not in html_of(page, address(first, second))
    newer = Revision.unscoped.create(account_id=first.account_id, flow=first.flow, number=2, definition="", sha256="")
    Run.unscoped.filter(pk=second.pk).update(revision=newer)
    href = f"/flows/{first.flow_id}/definition/?from=1&amp;to=2"
    assert f'<a href="{href}">What changed between them</a>' in html_of(page, address(first, second))
    assert href in html_of(page, address(second, first))


def test_the_comparison_takes_eleven_queries_whatever_there_is(
    page: Client, runs: tuple[Run, Run], django_assert_max_num_queries: Any
) -> None:
    step = step_of(runs[0].flow)
    for number in range(10):
        keyed_error(runs[number % 2], step, f"A-{number}", cause=make_cause(step, pattern=f"shape {number}"))
    with django_assert_max_num_queries(11):
        html_of(page, address(*runs))


def test_runs_of_others_are_not_there(page: Client, account: Account, runs: tuple[Run, Run], noon: datetime) -> None:
    foreign, sister = ended_run(make_flow(make_account()), noon), ended_run(make_flow(account), noon)
    for other in (foreign, sister):
        html_of(page, f"/flows/{runs[0].flow_id}/history/compare/?a={runs[0].pk}&b={other.pk}", status=404)
    html_of(page, address(foreign, foreign), status=404)
    html_of(page, f"/flows/{runs[0].flow_id}/history/compare/?a={runs[0].pk}&b=nonsense", status=404)


# --- the history as a file -------------------------------------------------------------------------------------------
def test_the_history_is_downloaded_with_its_filters(
    page: Client, orders: Flow, runs: tuple[Run, Run], django_assert_max_num_queries: Any
) -> None:
    html = html_of(page, f"/flows/{orders.pk}/history/?status=completed")
    assert f'href="/flows/{orders.pk}/history/?status=completed&amp;format=csv"' in html
    with django_assert_max_num_queries(10):
        answer = page.get(f"/flows/{orders.pk}/history/?format=csv")
    lines = answer.content.decode("utf-8-sig").splitlines()
    assert answer.headers["Content-Disposition"] == 'attachment; filename="runs-orders.csv"'
    assert lines[0].startswith("run,status,started at,ended at,seconds,started by")
    assert lines[1].startswith(f"r-{runs[1].pk},completed_with_errors,2026-03-02T12:00:00+00:00,")
    assert lines[1].endswith(",1000,960,40,0,0,43.1")
    assert len(page.get(f"/flows/{orders.pk}/history/?format=csv&range=1h").content.splitlines()) == 2
