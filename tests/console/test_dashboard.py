"""The dashboards: numbers that are what they say, filters in the address, a download, nothing of other accounts."""

import html as html_module
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.html import strip_tags

from apps.accounts.models import Account, Member, MemberRole, Profile, Role
from apps.accounts.reach import Reach
from apps.console.context import ENVIRONMENTS
from apps.console.ranges import Range
from apps.console.selectors.completed import range_sums
from apps.core.clock import wall_now
from apps.errors.models import Error
from apps.flows.models import Flow
from apps.runs.models import FlowState
from tests.console.scenes import Scene, add_ended_run, add_to_bucket, set_state, start_work
from tests.factories import make_account, make_connection, make_error, make_flow, make_integration, make_run, make_user

COMPLETED, RUNNING = "/dashboard/completed/", "/dashboard/running/"


def html_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def row_of(html: str, flow: Any, *, as_words: bool = True) -> str:
    """The words of a flow's row, or its markup."""
    found = re.search(rf'<tr id="flow-{flow.pk}">.*?</tr>', html, re.S)
    assert found, f"{flow} is not on the page"
    return words_of(found[0]) if as_words else found[0]


def words_of(html: str) -> str:
    """The text of a piece of a page, one space between the pieces of markup."""
    return " ".join(strip_tags(html.replace("<", " <")).split())


def names_in(html: str) -> list[str]:
    return re.findall(r'<a class="name"[^>]*>([^<]+)</a>', html)


def test_the_first_page_leads_to_the_dashboard(client: Client, scene: Scene) -> None:
    assert client.get("/").url == COMPLETED
    assert client.get("/dashboard/").url == COMPLETED


def test_a_user_without_an_account_is_told_what_to_do(client: Client, mara: Any) -> None:
    client.force_login(mara)
    for address in ("/", COMPLETED, RUNNING, "/integrations/", "/connections/"):
        assert "You are not a member of any account" in html_of(client, address)


def test_a_row_shows_what_is_open_now_and_how_the_runs_of_the_range_went(client: Client, scene: Scene) -> None:
    words = row_of(html_of(client, COMPLETED), scene.strikes)
    assert "Birds and airports 3 " in words
    assert "Completed with errors" in words
    assert "1 940 20 3 0 1 min 64 ms" in words  # runs, success, ignored, errors, auto-resolved, a run, ms a record


def test_a_queued_run_does_not_wear_the_times_of_the_one_before(client: Client, scene: Scene) -> None:
    FlowState.unscoped.filter(flow=scene.airports).update(last_status="queued")
    words = row_of(html_of(client, COMPLETED), scene.airports)
    assert re.search(r"Queued last \d+ \w+ [\d:]+ Last 4 runs|Queued last \d+ \w+ [\d:]+ 1 500", words), words


def test_retry_runs_and_runs_under_way_are_not_counted(client: Client, scene: Scene) -> None:
    before = row_of(html_of(client, COMPLETED), scene.airports)
    make_run(scene.airports, kind="retry", status="completed", outcome="completed", success=77, ended_at=wall_now())
    make_run(scene.airports, status="running", success=5)
    assert " 1 500 0 0 0 1 min 120 ms" in before
    assert row_of(html_of(client, COMPLETED), scene.airports) == before


def test_every_count_leads_to_what_it_counts(client: Client, scene: Scene) -> None:
    html = html_of(client, COMPLETED)
    assert f'href="/flows/{scene.strikes.pk}/errors/" aria-label="3 open errors">3</a>' in html
    assert re.search(rf'href="(/flows/{scene.strikes.pk}/history/[^"]+)" aria-label="1 runs \(snapshot\)"', html)
    assert '<a class="bad" href="/errors/?view=list">3</a> in <a class="cnt"' in html


def test_the_runs_of_a_range_are_those_that_their_link_lists(client: Client, scene: Scene) -> None:
    half_hour = wall_now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    now = wall_now()
    for minute in (-1, 0, 29, 31):  # the first half hour is counted whole, and so is the last one
        add_ended_run(scene.airports, ago=now - half_hour - timedelta(minutes=minute), success=1)
    make_run(scene.airports, kind="retry", status="completed", started_at=half_hour, ended_at=now)
    make_run(scene.airports, status="running", started_at=half_hour)
    stretch = [(half_hour + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%MZ") for minute in (7, 12)]
    html = html_of(client, f"{COMPLETED}?from={stretch[0]}&to={stretch[1]}")
    found = re.search(rf'href="(/flows/{scene.airports.pk}/history/[^"]+)" aria-label="2 runs', html)
    assert found
    listed = html_of(client, found[1].replace("&amp;", "&"))
    assert listed.count('<tr id="r-') == 2


def test_the_range_decides_about_the_runs_and_never_about_what_is_open(client: Client, scene: Scene) -> None:
    words = row_of(html_of(client, COMPLETED + "?range=24h"), scene.airports)
    assert "500" not in words
    assert "Completed" in words
    assert "500" in row_of(html_of(client, COMPLETED + "?range=30d"), scene.airports)
    since = (wall_now() - timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    until = (wall_now() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    html = html_of(client, f"{COMPLETED}?from={since}&to={until}")
    assert "500" in row_of(html, scene.airports)
    assert "940" not in row_of(html, scene.strikes)
    assert "Birds and airports 3 " in row_of(html, scene.strikes)


@pytest.mark.parametrize("query", ["range=99y", "from=yesterday", "from=2026-03-02&to=2026-03-01", "range=custom"])
def test_a_range_that_cannot_be_read_is_told_and_seven_days_are_shown(client: Client, scene: Scene, query: str) -> None:
    html = html_of(client, f"{COMPLETED}?{query}")
    assert 'role="alert"' in html
    assert "500" in row_of(html, scene.airports)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("flow=STRI", ["Wildlife strikes"]),
        ("integration=birds", ["Wildlife strikes", "Airports"]),
        ("integration=nowhere", []),
        ("status=completed", ["Airports"]),
        ("open=1", ["Wildlife strikes"]),
        ("flow=%00%27", []),
    ],
)
def test_filters_stand_in_the_address(client: Client, scene: Scene, query: str, expected: list[str]) -> None:
    html = html_of(client, f"{COMPLETED}?{query}")
    assert names_in(html) == expected
    assert expected or "No flow matches this filter" in html


def test_a_range_counts_each_of_its_half_hours_once(scene: Scene) -> None:
    """Whole quarters of days are read as such; what begins and ends within one is read in half hours."""
    midnight = datetime(2026, 11, 10, tzinfo=UTC)
    for half_hour in range(96):
        add_to_bucket(scene.airports, midnight + half_hour * timedelta(minutes=30), run_success=1)
    reach = Reach(scene.account.pk, "production", None)
    for first, end in [(0, 96), (1, 95), (11, 13), (12, 24), (12, 25), (13, 23), (5, 6), (30, None)]:
        until = None if end is None else midnight + end * timedelta(minutes=30)
        span = Range("custom", "", midnight + first * timedelta(minutes=30), until)
        sums = range_sums(reach, span, [scene.airports.pk])[scene.airports.pk]
        runs_before = 500 if end is None else 0  # the scene's own run, which is younger
        assert sums.success == (end or 96) - first + runs_before, (first, end)


def test_an_empty_list_names_its_filters_and_offers_to_drop_one(client: Client, scene: Scene) -> None:
    words = words_of(html_of(client, f"{COMPLETED}?flow=air&status=failed&range=24h"))
    assert "No flow matches these 2 filters 2 flows without them. Flow name: air. Last run: Failed." in words
    html = html_of(client, f"{COMPLETED}?flow=air&status=failed&range=24h")
    assert f'href="{COMPLETED}?flow=air&amp;range=24h">Without “Last run: Failed” (1)</a>' in html
    assert "Without “Flow name" not in html  # it would still be empty
    assert f'href="{COMPLETED}?range=24h">Clear filters</a>' in html
    html = html_of(client, f"{COMPLETED}?flow=strikes&integration=nowhere&open=1")
    assert "Integration: nowhere. Only flows with open errors." in words_of(html)
    assert "Without “Integration: nowhere” (1)" in html


def test_columns_are_left_out_until_they_are_ticked_again(client: Client, scene: Scene) -> None:
    def heads() -> str:
        return words_of(html_of(client, COMPLETED).split("<thead>")[1].split("</thead>")[0])

    before = heads()
    assert "Ignored" in before
    assert "Auto-resolved" in before
    kept = ["open", "status", "runs", "success", "errors"]
    answer = client.post("/columns/choose/", {"list": "completed", "column": kept, "next": COMPLETED})
    assert answer.url == COMPLETED
    left = heads()
    assert "Success" in left
    assert "Latest run" in left
    assert not [name for name in ("Ignored", "Auto-resolved", "Last 12 runs", "Average run") if name in left]
    assert "1 940 3" in row_of(html_of(client, COMPLETED), scene.strikes)  # runs, success, errors
    client.post("/columns/choose/", {"list": "completed"})
    assert names_in(html_of(client, COMPLETED)) == ["Wildlife strikes", "Airports"]
    assert client.post("/columns/choose/", {"list": "nowhere"}).status_code == 400
    assert Profile.objects.get(user__username="mara").hidden_columns.keys() == {"completed"}


def test_rows_are_made_higher_from_the_foot_of_the_list(client: Client, scene: Scene) -> None:
    assert 'data-density="compact"' in html_of(client, COMPLETED)
    client.post("/density/choose/", {"density": "comfortable", "next": COMPLETED})
    assert 'data-density="comfortable"' in html_of(client, COMPLETED)
    assert client.post("/density/choose/", {"density": "huge"}).status_code == 400


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("", "Wildlife strikes"),
        ("flow", "Airports"),
        ("-flow", "Wildlife strikes"),
        ("open", "Airports"),
        ("-success", "Wildlife strikes"),
        ("-ms", "Airports"),
        ("ms", "Wildlife strikes"),
        ("success", "Airports"),
        ("-last_error", "Wildlife strikes"),
        ("last_error", "Wildlife strikes"),  # what has none stands last either way
        ("nonsense", "Wildlife strikes"),
    ],
)
def test_any_column_sorts(client: Client, scene: Scene, sort: str, first: str) -> None:
    assert names_in(html_of(client, f"{COMPLETED}?sort={sort}"))[0] == first


def test_a_column_head_says_its_order_and_turns_it(client: Client, scene: Scene) -> None:
    html = html_of(client, COMPLETED)
    assert html.count("aria-sort") == 1
    assert 'aria-sort="descending"><a href="/dashboard/completed/?sort=open">' in html


def test_the_strip_sums_the_account_up(client: Client, scene: Scene) -> None:
    error = Error.unscoped.order_by("pk").first()
    assert error is not None
    Error.unscoped.filter(pk=error.pk).update(next_attempt_at=wall_now() + timedelta(seconds=48))
    add_to_bucket(scene.strikes, wall_now() - timedelta(days=3), success=100_000)
    found = re.search(r'<dl class="strip".*?</dl>', html_of(client, COMPLETED), re.S)
    assert found
    words = words_of(found[0])
    assert "Open errors Live 3 in 1 flow" in words
    assert "Root causes Live 1 1 new today" in words
    assert "Auto-retrying Live 1 next in 0:4" in words
    assert "940 records" in words
    assert "0.31 % of records" in words


def test_of_very_many_errors_that_wait_the_strip_says_that_there_are_more(
    client: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.console.selectors.strip.MOST_WAITING", 2)
    Error.unscoped.update(next_attempt_at=wall_now() + timedelta(minutes=2))
    assert "Auto-retrying Live 2+ next in " in words_of(html_of(client, COMPLETED))
    Error.unscoped.filter(key="A-1").update(next_attempt_at=None)
    assert "Auto-retrying Live 2 next in " in words_of(html_of(client, COMPLETED))


def test_a_download_has_the_rows_that_are_shown_and_no_formula(client: Client, scene: Scene) -> None:
    scene.airports.__class__.unscoped.filter(pk=scene.airports.pk).update(name='=HYPERLINK("x")')
    answer = client.get(COMPLETED + "?format=csv&sort=flow")
    assert answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]
    head, first, second = answer.content.decode("utf-8-sig").splitlines()
    assert head.startswith("Flow,Integration,")
    assert first.startswith('"\'=HYPERLINK(""x"")",Birds and airports,0,,Completed,')
    assert second.startswith("Wildlife strikes,Birds and airports,3,")
    assert "Wildlife" not in client.get(COMPLETED + "?format=csv&status=completed").content.decode()


def test_nothing_of_another_account_or_environment_is_shown(client: Client, scene: Scene) -> None:
    stranger = make_flow(make_account(), name="Not yours")
    make_error(make_run(stranger, status="running"), key="X")
    sandbox = make_integration(scene.account, environment="sandbox", slug="try-out", name="Try-out")
    trial = make_flow(integration=sandbox, name="Trial")
    make_error(make_run(trial, status="running"), key="X")
    for address in (COMPLETED, RUNNING, "/integrations/"):
        html = html_of(client, address)
        assert "Not yours" not in html
        assert "Tri" not in html
    assert '<a class="bad" href="/errors/?view=list">3</a>' in html_of(client, COMPLETED)
    client.post("/environment/choose/", {"environment": ENVIRONMENTS[1]})
    assert names_in(html_of(client, COMPLETED)) == ["Trial"]


def test_a_member_of_single_integrations_sees_only_those(client: Client, scene: Scene, mara: Any) -> None:
    other = make_flow(integration=make_integration(scene.account, slug="payroll", name="Payroll"), name="Salaries")
    make_error(make_run(other, status="running"), key="X")
    member = Member.objects.of(scene.account).get(user=mara)
    MemberRole.unscoped.create(account=scene.account, member=member, integration=scene.shop, role=Role.MONITOR)
    Member.unscoped.filter(pk=member.pk).update(role="")
    assert names_in(html_of(client, COMPLETED)) == ["Wildlife strikes", "Airports"]
    assert "Salaries" not in html_of(client, RUNNING)
    assert "Payroll" not in html_of(client, "/integrations/")
    assert client.get("/integrations/payroll/flows/").status_code == 404
    assert client.get("/integrations/payroll/dashboard/completed/").status_code == 404
    assert '<a class="bad" href="/errors/?view=list">3</a>' in html_of(client, COMPLETED)


def test_before_the_first_flow_the_dashboard_leads_to_it(client: Client, mara: Any) -> None:
    make_account("Empty", owner=mara)
    client.force_login(mara)
    for address in (COMPLETED, RUNNING):
        html = html_of(client, address)
        assert "manage.py flow apply FILE" in html
        assert "manage.py up --demo" in html
        assert 'href="/connections/new/"' in html
        assert 'href="/integrations/new/"' in html
    make_integration(Account.objects.get(name="Empty"), slug="first")
    make_connection(Account.objects.get(name="Empty"))
    html = html_of(client, COMPLETED)
    assert 'href="/integrations/first/flows/new/"' in html
    assert 'href="/connections/new/"' not in html


def test_many_flows_come_in_pages(client: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.console.views.dashboard.ROWS_A_PAGE", 1)
    html = html_of(client, COMPLETED)
    assert names_in(html) == ["Wildlife strikes"]
    assert "?page=2" in html
    assert names_in(html_of(client, COMPLETED + "?page=2")) == ["Airports"]
    assert names_in(html_of(client, COMPLETED + "?page=900")) == ["Airports"]
    assert names_in(html_of(client, COMPLETED + "?page=x")) == ["Wildlife strikes"]


# --- running --------------------------------------------------------------------------------------------------------
def test_a_run_under_way_tells_how_far_it_is_and_can_be_canceled(client: Client, scene: Scene) -> None:
    run = start_work(scene)
    html = html_of(client, RUNNING)
    words = words_of(html)
    assert "Wildlife strikes schedule · Birds and airports Running 1 min" in words
    assert "2 of 2 Target 2 of 3+ 300 0 2 " in words
    assert f'action="/runs/{run.pk}/cancel"' in html
    assert f'href="/runs/{run.pk}/" aria-label="2 errors in this run"' in html


def test_the_queue_stands_below_with_each_place_and_reason(client: Client, scene: Scene) -> None:
    run = start_work(scene)
    make_run(scene.strikes, wait_reason=f"run {run} of this flow goes first")
    make_run(scene.airports)
    words = words_of(html_of(client, RUNNING))
    assert words.index("first in queue") < words.index("second in queue")
    assert f"run {run} of this flow goes first first in queue" in words
    assert "1 running, 2 queued" in words
    assert words.count("Remove") == 2


def test_a_place_in_the_queue_is_the_same_whatever_the_page_shows_of_it(client: Client, scene: Scene) -> None:
    make_run(scene.strikes)
    run = make_run(scene.airports)
    html = html_of(client, f"{RUNNING}?flow=airports")
    assert "second in queue" in html
    address = html_module.unescape(re.findall(r'hx-get="(/live/[^"]+)"', html)[0])
    make_run(scene.strikes)
    changed = client.get(address).content.decode()
    assert f'id="run-{run.pk}-pages"' in changed
    assert "second in queue" in changed
    assert "first in queue" not in changed


def test_runs_that_no_filter_lets_through_are_told_as_such(client: Client, scene: Scene) -> None:
    start_work(scene)
    words = words_of(html_of(client, f"{RUNNING}?state=queued&flow=strikes"))
    assert "No run matches these 2 filters 1 run without them." in words
    assert "Without “State: queued” (1)" in words


@pytest.mark.parametrize(
    ("query", "number"), [("state=running", 1), ("by=manual", 1), ("flow=air", 1), ("integration=x", 0)]
)
def test_the_runs_are_filtered_by_the_address(client: Client, scene: Scene, query: str, number: int) -> None:
    start_work(scene)
    make_run(scene.airports)
    assert len(names_in(html_of(client, f"{RUNNING}?{query}"))) == number


def test_nothing_running_says_so(client: Client, scene: Scene) -> None:
    assert "No flow has a schedule" in html_of(client, RUNNING)
    due = wall_now() + timedelta(minutes=5)
    Flow.unscoped.filter(pk=scene.strikes.pk).update(next_due_at=due)
    assert "Nothing runs now" in html_of(client, RUNNING)
    assert "The next one by a schedule is Wildlife strikes, " in words_of(html_of(client, RUNNING))


# --- queries --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("address", "number"),
    [
        (COMPLETED, 9),
        (COMPLETED + "?sort=-runs&range=30d", 9),
        (COMPLETED + "?format=csv", 6),
        (RUNNING, 11),
        ("/integrations/", 8),
        ("/integrations/birds/flows/", 7),
        ("/integrations/birds/connections/", 7),
        ("/integrations/birds/settings/", 5),
        ("/integrations/birds/dashboard/completed/", 10),
        ("/integrations/birds/dashboard/running/", 12),
    ],
)
def test_a_page_asks_the_database_this_often_however_many_rows_it_has(
    client: Client, scene: Scene, address: str, number: int, django_assert_num_queries: Any
) -> None:
    start_work(scene)
    for _ in range(8):
        flow = make_flow(integration=scene.shop)
        set_state(flow, add_ended_run(flow, ago=timedelta(hours=2), success=5), "o")
        make_run(flow, started_by=make_account(owner=make_user()).members.get())
        make_error(step=flow.steps.get(key="target"), key="K")
    with django_assert_num_queries(number):
        html_of(client, address)
