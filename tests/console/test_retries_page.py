"""The retries of a step and of a flow, and what a retry run's own page says about its errors."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, Role
from apps.core import clock
from apps.errors.models import Error, RetryItem
from apps.execution.dispatcher import start_retries
from apps.flows.models import Step
from apps.runs.models import Run
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_account, make_member, make_run, make_step, step_of
from tests.fakes.running import World, books, make_world
from tests.fakes.world import chain, table_step
from tests.scenarios.retry_world import flaky, retry, retry_runs, run_once, work_retries

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(account: Account) -> Client:
    return signed_in(make_member(account, role=Role.MANAGER).user)


def step_url(step: Step) -> str:
    return f"/flows/{step.flow_id}/steps/{step.pk}/errors/retries/"


# --- the list --------------------------------------------------------------------------------------------------------
def test_a_retry_is_a_row_with_who_when_state_and_results(page: Client, account: Account, world: World) -> None:
    member = make_member(account)
    retry(world, member=member)
    text = text_of(html_of(page, step_url(step_of(world.flow))))
    (run,) = retry_runs(world)
    assert f"r-{run.pk}" in text
    assert f"retry, {member.user.username} from Target on Queued 3 0 0 3 waiting Cancel" in text
    world.refuse(3)
    work_retries(world)
    html = html_of(page, step_url(step_of(world.flow)))
    assert "Completed with errors 3 2 1" in text_of(html)
    assert f'href="/errors/?run={run.pk}&amp;state=all"' in html
    assert books() == []


def test_without_retries_the_page_says_what_to_do(page: Client, world: World) -> None:
    text = text_of(html_of(page, step_url(step_of(world.flow))))
    assert "Nothing has been retried yet" in text
    assert "3 open" in text


def test_automatic_attempts_are_among_the_retries(page: Client, account: Account, noon: datetime) -> None:
    world = make_world(account)
    flaky(world, 1)
    run_once(world, [{"id": 1}])
    with clock.frozen(noon + timedelta(seconds=31)):
        start_retries()
        work_retries(world)
    assert "auto-retry" in text_of(html_of(page, step_url(step_of(world.flow))))


def test_a_step_shows_the_retries_of_its_own_errors(page: Client, account: Account) -> None:
    plan = chain(table_step(1, "target"), table_step(2, "second"))
    world = make_world(account, plan=plan)
    second = make_step(world.flow, key="second", name="Second", position=2)
    world.database.fails = lambda table, body: "no" if table == "second" else None
    run_once(world, [{"id": 1}])
    retry(world)
    (run,) = retry_runs(world)
    assert f"/runs/{run.pk}/" in html_of(page, step_url(second))
    assert f"/runs/{run.pk}/" not in html_of(page, step_url(step_of(world.flow)))
    assert f"/runs/{run.pk}/" in html_of(page, f"/flows/{world.flow.pk}/errors/retries/")


def test_a_retry_is_canceled_from_the_list(page: Client, world: World) -> None:
    retry(world)
    (run,) = retry_runs(world)
    url = step_url(step_of(world.flow))
    answer = page.post(f"/runs/{run.pk}/cancel", {"next": url}, follow=True)
    text = text_of(answer.content.decode())
    assert "Canceling" in text
    work_retries(world)
    assert "Canceled by" in text_of(html_of(page, url))
    assert {error.shown_state for error in Error.unscoped.all()} == {"open"}
    assert books() == []


def test_the_list_is_kept_live(page: Client, world: World) -> None:
    retry(world)
    live = f"/live/?t=retries:{world.flow.pk}.{step_of(world.flow).pk}&v="
    version = page.get(live)["Live-Version"]
    assert page.get(live + version).status_code == 204
    world.refuse()
    work_retries(world)
    html = page.get(live + version).content.decode()
    (run,) = retry_runs(world)
    assert f'<tr id="retry-{run.pk}" hx-swap-oob="true">' in html
    assert "A newer retry has begun" not in html
    world.refuse(9)
    run_once(world, [{"id": 9}])
    retry(world)
    assert "A newer retry has begun" in page.get(live + version).content.decode()


def test_pages_of_retries_take_ten_queries_whatever_their_number(
    page: Client, world: World, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        world.refuse(10 + number)
        run_once(world, [{"id": 10 + number}])
        retry(world)
    step = step_of(world.flow)
    for path in (step_url(step), f"/flows/{world.flow.pk}/errors/retries/"):
        with django_assert_max_num_queries(10):
            html_of(page, path)


def test_a_damaged_place_in_the_list_says_so(page: Client, world: World) -> None:
    text = text_of(html_of(page, step_url(step_of(world.flow)) + "?page=damaged"))
    assert "This place in the list is not there" in text


def test_retries_of_another_account_are_not_there(world: World) -> None:
    stranger = signed_in(make_member(make_account()).user)
    assert stranger.get(step_url(step_of(world.flow))).status_code == 404
    assert stranger.get(f"/flows/{world.flow.pk}/errors/retries/").status_code == 404
    assert stranger.get(f"/live/?t=retries:{world.flow.pk}.0&v=").status_code == 404


# --- one retry -------------------------------------------------------------------------------------------------------
def test_the_page_of_a_retry_lists_its_errors_with_the_result_of_each(page: Client, world: World) -> None:
    retry(world)
    world.refuse(3)
    (run,) = work_retries(world)
    html = html_of(page, f"/runs/{run.pk}/")
    text = text_of(html)
    assert "3 errors retried 2 went through , 1 failed again" in text
    failed = Error.unscoped.get(retry_failed=True)
    assert f"Failed again {failed} refused" in text
    assert f"/errors/{failed.pk}/" in html


@pytest.mark.parametrize(("result", "keys"), [("success", {"1", "2"}), ("failed", {"3"}), ("nothing", {"1", "2", "3"})])
def test_the_errors_of_a_retry_are_filtered_by_result(page: Client, world: World, result: str, keys: set[str]) -> None:
    retry(world)
    world.refuse(3)
    (run,) = work_retries(world)
    items = page.get(f"/runs/{run.pk}/?result={result}").context["retried"].items
    assert {item.error.key for item in items} == keys


def test_a_result_that_no_error_has_says_so(page: Client, world: World) -> None:
    retry(world)
    (run,) = retry_runs(world)
    assert "No error of this retry has this result" in text_of(html_of(page, f"/runs/{run.pk}/?result=failed"))


def test_the_results_of_a_retry_are_kept_live(page: Client, world: World) -> None:
    retry(world)
    (run,) = retry_runs(world)
    world.refuse()
    work_retries(world)
    assert "3 went through" in page.get(f"/live/?t=run:{run.pk}&v=").content.decode()


def test_the_page_of_a_retry_takes_twelve_queries_whatever_its_size(
    page: Client, world: World, django_assert_max_num_queries: Any
) -> None:
    retry(world)
    (run,) = work_retries(world)
    with django_assert_max_num_queries(12):
        html_of(page, f"/runs/{run.pk}/")


def test_the_errors_of_a_large_retry_come_in_pages(page: Client, world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr("apps.console.selectors.retry_runs.ITEMS_A_PAGE", 2)
    retry(world)
    (run,) = retry_runs(world)
    first = page.get(f"/runs/{run.pk}/")
    second = page.get(first.context["older_url"])
    shown = [[item.error.key for item in answer.context["retried"].items] for answer in (first, second)]
    assert shown == [["1", "2"], ["3"]]
    assert page.get(f"/runs/{run.pk}/?page=damaged").status_code == 200


def test_the_page_of_any_other_run_has_no_such_list(page: Client, world: World) -> None:
    assert "errors retried" not in text_of(html_of(page, f"/runs/{make_run(world.flow).pk}/"))
    assert not RetryItem.unscoped.exists()
    assert Run.unscoped.count() == 2
