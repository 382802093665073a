"""`/live/`: quiet while nothing changes, then exactly the cells that did."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.core.clock import wall_now
from apps.flows.models import Flow
from apps.runs.models import FlowState, Run
from tests.console.scenes import Scene, start_work
from tests.console.test_dashboard import html_of
from tests.factories import make_account, make_error, make_flow, make_run, step_of


def live_address(client: Client, page: str) -> str:
    """What the page's script asks."""
    address: str = client.get(page).context["live_url"]
    return address


PAGES = [
    "/dashboard/completed/",
    "/dashboard/running/",
    "/integrations/",
    "/integrations/birds/flows/",
    "/integrations/birds/dashboard/completed/",
    "/integrations/birds/dashboard/running/",
    "/connections/",
    "/errors/?view=causes",
]


@pytest.mark.parametrize("page", PAGES)
def test_nothing_has_changed_right_after_the_page_was_read(client: Client, scene: Scene, page: str) -> None:
    start_work(scene)
    assert client.get(live_address(client, page)).status_code == 204


def test_a_new_error_changes_its_cell_the_strip_and_the_navigation(client: Client, scene: Scene) -> None:
    address = live_address(client, "/dashboard/completed/")
    make_error(Run.unscoped.filter(flow=scene.strikes).latest("pk"), key="A-4")
    answer = client.get(address)
    html = answer.content.decode()
    assert answer.status_code == 200
    assert f'<td class="r gl two-line" id="flow-{scene.strikes.pk}-open" hx-swap-oob="true"' in html
    assert 'aria-label="4 open errors">4</a>' in html
    assert '<dd id="strip-open" hx-swap-oob="true">' in html
    assert client.get(address_with_version(address, answer["Live-Version"])).status_code == 204


def address_with_version(address: str, version: str) -> str:
    return f"{address.rsplit('&v=', 1)[0]}&v={version}"


@pytest.mark.parametrize("page", PAGES)
def test_every_fragment_finds_its_place_on_the_page(client: Client, scene: Scene, page: str) -> None:
    start_work(scene)
    address, html = live_address(client, page), html_of(client, page)
    Run.unscoped.update(change_no=9, pages_done=3)
    make_error(step=step_of(scene.strikes), key="A-4")
    FlowState.unscoped.update(changed_at=wall_now(), queued=5)
    fragments = client.get(address_with_version(address, "0")).content.decode()
    places = [part.split('"')[0] for part in fragments.split(' id="')[1:] if "hx-swap-oob" in part[:60]]
    assert places
    assert [place for place in places if f' id="{place}"' not in html] == []


def test_a_cell_of_the_live_answer_is_the_cell_of_the_page(client: Client, scene: Scene) -> None:
    start_work(scene)
    for page in ("/dashboard/completed/", "/dashboard/running/"):
        html = html_of(client, page)
        answer = client.get(address_with_version(live_address(client, page), "0")).content.decode()
        cell = f'id="flow-{scene.strikes.pk}-open"' if "completed" in page else "-success"
        fragment = answer[answer.index(cell) :].split("</td>")[0].replace(' hx-swap-oob="true"', "")
        assert fragment in html


def test_a_run_moves_on_cell_by_cell_and_a_new_one_only_rings(client: Client, scene: Scene) -> None:
    run = start_work(scene)
    address = live_address(client, "/dashboard/running/")
    Run.unscoped.filter(pk=run.pk).update(success=450, change_no=2)
    make_run(scene.airports)
    html = client.get(address).content.decode()
    assert f'id="run-{run.pk}-success" hx-swap-oob="true" data-th="Success"><a' in html
    assert 'aria-label="450 records that have gone through">450</a>' in html
    assert "1 new run. Show it" in html
    assert "Airports" not in html


def test_a_run_that_ended_says_so_in_its_row_and_cannot_be_canceled(client: Client, scene: Scene) -> None:
    run = start_work(scene)
    address = live_address(client, "/dashboard/running/")
    Run.unscoped.filter(pk=run.pk).update(status="completed", outcome="completed", ended_at=wall_now())
    html = client.get(address).content.decode()
    assert "Completed" in html
    assert "/cancel" not in html


def test_the_queue_and_the_workers_are_kept_up_to_date_in_the_shell(client: Client, scene: Scene) -> None:
    address = live_address(client, "/connections/")
    make_run(scene.airports)
    FlowState.unscoped.filter(flow=scene.airports).update(queued=2)
    html = client.get(address).content.decode()
    assert '<dd id="fact-queue" hx-swap-oob="true">2 runs</dd>' in html


def test_whoever_is_signed_out_is_told_so(client: Client, scene: Scene) -> None:
    address = live_address(client, "/connections/")
    client.logout()
    assert client.get(address).status_code == 401
    assert client.post(address).status_code == 405


@pytest.mark.parametrize("topics", ["nonsense", "dashboard:x", "dashboard:0.1-x", "dashboard:99", "running:-1.2"])
def test_a_topic_that_is_not_there_is_not_found(client: Client, scene: Scene, topics: str) -> None:
    expected = 204 if topics == "dashboard:99" else 404  # an integration without flows of ours: nothing to tell
    status = client.get(f"/live/?t={topics}&v=0").status_code
    assert status == (200 if expected == 204 else 404)


def test_rows_of_other_accounts_are_never_told_about(client: Client, scene: Scene) -> None:
    theirs = make_flow(make_account(), name="Theirs")
    their_run = make_run(theirs, status="running", started_at=wall_now() - timedelta(seconds=5))
    rows = f"{theirs.integration_id}.{theirs.pk}"
    topics = [
        f"dashboard:0.{theirs.pk}",
        f"dashboard:{rows}",
        f"running:0.0-{their_run.pk}",
        f"tiles:0.{theirs.integration_id}",
    ]
    for topic in topics:
        html = client.get(f"/live/?t={topic}&v=0").content.decode()
        assert f"-{theirs.pk}-open" not in html
        assert f"run-{their_run.pk}-" not in html
        assert f"tile-{theirs.integration_id}-" not in html
    assert Flow.unscoped.filter(pk=theirs.pk).exists()


def test_asking_whether_something_changed_takes_few_queries(
    client: Client, scene: Scene, django_assert_max_num_queries: Any
) -> None:
    start_work(scene)
    address = live_address(client, "/dashboard/running/")
    with django_assert_max_num_queries(4):  # session, user, member, pulse
        client.get(address)
