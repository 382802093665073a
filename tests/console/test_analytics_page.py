"""The page of charts: what is chosen, what is said, tables and downloads that are the buckets, nothing of others."""

import csv
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import AuditEntry, Member, MemberRole, Profile, Role
from apps.core.clock import wall_now
from apps.runs.models import Bucket, Grain
from tests.console.scenes import Scene, add_to_bucket
from tests.console.screens import html_of, text_of
from tests.factories import make_account, make_flow, make_integration, make_user

ACCOUNT, BIRDS = "/analytics/", "/integrations/birds/analytics/"


def own(flow: Any) -> str:
    return f"/flows/{flow.pk}/analytics/"


def streams_of(html: str) -> list[str]:
    """The chips of the legend."""
    return re.findall(r'<a class="chip[^>]*data-stream="([^"]+)"', html)


def values_of(html: str, chart: str) -> list[list[str]]:
    """What the script draws: a list of numbers for each stream."""
    found = re.search(rf'<data id="values-{chart}" value="([^"]*)"', html)
    assert found, f"there is no chart {chart}"
    return [numbers.split(",") for numbers in found[1].split(";")]


def table_of(html: str, chart: str) -> list[list[str]]:
    found = re.search(rf'id="table-{chart}".*?<tbody>(.*?)</tbody>', html, re.S)
    assert found, f"the table of {chart} is not open"
    rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.S)
    return [re.findall(r'<td class="r num">([^<]*)</td>', row) for row in rows]


def download(client: Client, address: str) -> list[dict[str, str]]:
    answer = client.get(address)
    assert answer["Content-Disposition"] == 'attachment; filename="flowmend-analytics.csv"'
    return list(csv.DictReader(answer.content.decode("utf-8-sig").splitlines()))


def test_account_integration_and_flow_have_charts_and_the_ways_to_them(client: Client, scene: Scene) -> None:
    whole, strikes, airports = f"i-{scene.shop.pk}", f"f-{scene.strikes.pk}", f"f-{scene.airports.pk}"
    html = html_of(client, ACCOUNT)
    assert streams_of(html) == [whole, airports, strikes]  # one integration: its flows too
    assert '<a href="/analytics/" title="Analytics" aria-current="page"' in html
    assert re.findall(r'<h2 id="chart-\w+">([^<]+)', html) == [
        "Success", "Errors", "Ignored", "Resolved", "Average processing time",
    ]  # fmt: skip
    assert streams_of(html_of(client, BIRDS)) == [whole, airports, strikes]
    assert '<a href="/integrations/birds/analytics/" aria-current="page">Analytics</a>' in html_of(client, BIRDS)
    html = html_of(client, own(scene.strikes))
    assert streams_of(html) == [strikes]
    assert f'<a href="{own(scene.strikes)}" aria-current="page">Analytics</a>' in html


def test_several_integrations_are_compared_with_each_other_and_with_the_whole(client: Client, scene: Scene) -> None:
    other = make_flow(integration=make_integration(scene.account, name="Zebras"))
    add_to_bucket(other, wall_now(), success=5, busy_ms=100)
    html = html_of(client, f"{ACCOUNT}?range=7d")
    assert streams_of(html) == ["all", f"i-{scene.shop.pk}", f"i-{other.integration_id}"]
    everything, birds, zebras = (sum(map(int, numbers)) for numbers in values_of(html, "success"))
    assert (everything, birds, zebras) == (1445, 1440, 5)
    assert "1,445 records" in html  # nothing is counted twice
    assert "83 ms on average" in html


def total_url(html: str, chart: str) -> str:
    """Where the total above a chart leads; "" for a plain one."""
    found = re.search(rf'<a class="cnt snap" href="([^"]+)"><span class="fs12 num" id="total-{chart}"', html)
    return found[1].replace("&amp;", "&") if found else ""


def test_a_total_of_errors_leads_to_exactly_these_errors(client: Client, scene: Scene) -> None:
    add_to_bucket(scene.strikes, wall_now(), errors=3, resolved=1)
    add_to_bucket(scene.airports, wall_now(), errors=1)
    flow = html_of(client, f"{own(scene.strikes)}?range=24h")
    address = total_url(flow, "errors")
    assert address.startswith(f"/errors/?view=list&state=all&flow={scene.strikes.pk}&from=")
    assert all(key in html_of(client, address) for key in ("A-1", "A-2", "A-3"))
    assert f"state=resolved&flow={scene.strikes.pk}&resolved_from=" in total_url(flow, "resolved")
    assert "state=all&integration=birds&from=" in total_url(html_of(client, f"{BIRDS}?range=24h"), "errors")


def test_a_total_of_records_leads_to_the_runs_that_brought_them(client: Client, scene: Scene) -> None:
    flow = html_of(client, f"{own(scene.strikes)}?range=24h")
    for chart in ("success", "ms"):
        address = total_url(flow, chart)
        assert address.startswith(f"/flows/{scene.strikes.pk}/history/?from=")
        assert "<tr id=" in html_of(client, address)
    whole = total_url(html_of(client, f"{BIRDS}?range=24h"), "success")
    assert whole.startswith("/integrations/birds/dashboard/completed/?from=")
    assert "Wildlife strikes" in html_of(client, whole)


def test_a_total_of_nothing_or_of_several_streams_is_plain(client: Client, scene: Scene) -> None:
    both = f"{BIRDS}?range=24h&stream=f-{scene.strikes.pk}&stream=f-{scene.airports.pk}"
    assert total_url(html_of(client, both), "success") == ""
    assert total_url(html_of(client, f"{own(scene.airports)}?range=1h"), "success") == ""


def test_table_and_download_are_the_sums_of_the_buckets(client: Client, scene: Scene) -> None:
    now = wall_now()
    for ago in range(0, 60 * 24 * 4, 7 * 60):
        at = now - timedelta(minutes=ago)
        add_to_bucket(scene.strikes, at, success=ago + 1, errors=2, ignored=1, resolved=1, busy_ms=ago * 3)
    for key, length in (("1h", timedelta(hours=1)), ("4d", timedelta(days=4)), ("7d", timedelta(days=7))):
        address = f"{own(scene.strikes)}?range={key}"
        tables = html_of(client, f"{address}&tables=success,errors,ignored,resolved,ms")
        rows = download(client, f"{address}&format=csv")
        since = int((now - length).timestamp()) // 60
        buckets = Bucket.unscoped.filter(flow=scene.strikes, grain=Grain.MINUTE, slot__gte=since)
        for name, column in (
            ("success", "Success"), ("errors", "Errors"), ("ignored", "Ignored"), ("resolved", "Resolved"),
        ):  # fmt: skip
            in_table = [int(cells[0].replace(",", "")) for cells in table_of(tables, name)]
            assert in_table[::-1] == [int(row[column]) for row in rows]
            assert in_table[::-1] == [int(number) for number in values_of(tables, name)[0]]
            # the first hour or day begins before the range
            assert sum(in_table) >= (buckets.aggregate(sum=Sum(name))["sum"] or 0)
        assert sum(int(row["Success"]) for row in rows) <= 5 + 940 + sum(range(1, 60 * 24 * 4 + 1, 7 * 60))
        speeds = [row["ms per successful record"] for row in rows]
        assert [number.strip() for number in values_of(tables, "ms")[0]] == [
            f"{float(speed):.3f}" if speed else "" for speed in speeds
        ]
        assert {row["Stream"] for row in rows} == {"Wildlife strikes"}


def test_a_ninth_stream_is_refused_and_the_eight_stay(client: Client, scene: Scene) -> None:
    flows = [make_flow(integration=scene.shop) for _ in range(8)]
    keys = [f"f-{flow.pk}" for flow in flows]
    query = "&".join(f"stream={key}" for key in keys)
    html = html_of(client, f"{BIRDS}?{query}")
    assert streams_of(html) == keys
    assert "Up to 8 streams. Remove one first." not in html
    html = html_of(client, f"{BIRDS}?{query}&stream=f-{scene.strikes.pk}")
    assert streams_of(html) == keys
    assert "Up to 8 streams. Remove one first." in html
    assert "Streams 8 of 8" in text_of(html)
    assert len(streams_of(html_of(client, BIRDS))) == 8  # of the ten that there are


def test_what_the_address_says_in_vain_is_said_and_the_rest_is_shown(client: Client, scene: Scene) -> None:
    strikes = f"f-{scene.strikes.pk}"
    foreign = make_flow(make_account())
    html = html_of(client, f"{ACCOUNT}?stream={strikes}&stream=f-{foreign.pk}&stream=x")
    assert streams_of(html) == [strikes]
    assert "A stream of the address is not here" in html
    assert foreign.name not in html
    assert "There is no range" in html_of(client, f"{ACCOUNT}?range=2000y")
    assert "A range covers a year at most" in html_of(client, f"{ACCOUNT}?from=2020-01-01&to=2026-01-01")
    assert "The range has not begun yet" in html_of(client, f"{ACCOUNT}?from=2999-01-01")
    past = (wall_now() - timedelta(days=9)).strftime("%Y-%m-%dT%H:00Z")
    later = (wall_now() - timedelta(days=9, hours=-2)).strftime("%Y-%m-%dT%H:00Z")
    html = html_of(client, f"{ACCOUNT}?from={past}&to={later}")
    assert "Minutes are kept for 5 days: this range is shown by hour." in html
    assert "records per hour" in html


def test_the_address_holds_everything(client: Client, scene: Scene) -> None:
    strikes = f"f-{scene.strikes.pk}"
    html = html_of(client, f"{BIRDS}?range=4h&stream={strikes}&off={strikes}&tables=ms")
    kept = f"stream={strikes}&amp;off={strikes}&amp;tables=ms"
    assert f'href="?range=1h&amp;{kept}"' in html or f"{kept}&amp;range=1h" in html
    assert f'<input type="hidden" name="off" value="{strikes}">' in html  # beside a range of one's own
    assert 'class="chip off"' in html
    assert "records per minute" in html
    assert 'id="table-ms"' in html
    assert 'id="table-errors"' not in html


def test_changes_are_listed_and_marked_with_who_made_them(client: Client, scene: Scene, mara: Any) -> None:
    AuditEntry.unscoped.create(
        account=scene.account, actor_kind="member", member=Member.unscoped.get(user=mara), act="flow.apply",
        object_kind="flow", object_id=scene.strikes.pk, before={"revision": 1}, after={"revision": 2},
        at=wall_now() - timedelta(minutes=5),
    )  # fmt: skip
    html = html_of(client, f"{ACCOUNT}?range=1h")
    assert f'<a href="/flows/{scene.strikes.pk}/definition/?revision=2">Wildlife strikes: revision 2</a>' in html
    assert re.search(r'data-at="\d+" data-mark="[^"]*Wildlife strikes: revision 2, Mara"', html)
    assert "revision 2" not in html_of(client, f"{own(scene.airports)}?range=1h")


def test_hours_and_days_are_those_of_the_member(client: Client, scene: Scene, mara: Any, noon: Any) -> None:
    Profile.objects.create(user=mara, time_zone="Asia/Kolkata")
    html = html_of(client, f"{BIRDS}?range=4h&tables=errors")
    assert '<th scope="row">2 Mar 17:30</th>' not in html  # the range ends now, at 17:30
    assert '<th scope="row">2 Mar 17:29</th>' in html
    assert '<th scope="row">2 Mar</th>' in html_of(client, f"{BIRDS}?range=7d&tables=errors")
    assert download(client, f"{BIRDS}?range=7d&format=csv")[0]["From"] == "2026-02-23T00:00:00+05:30"


def test_only_what_a_member_sees_is_counted(client: Client, scene: Scene) -> None:
    hidden = make_flow(integration=make_integration(scene.account, name="Hidden"))
    add_to_bucket(hidden, wall_now(), success=7)
    guest = Member.unscoped.create(account=scene.account, user=make_user(), role="")
    MemberRole.unscoped.create(account=scene.account, member=guest, integration=scene.shop, role=Role.MONITOR)
    client.force_login(guest.user)
    html = html_of(client, f"{ACCOUNT}?range=7d&stream=all")
    assert "Hidden" not in html
    assert "1,440 records" in html
    for address in (own(hidden), f"/integrations/{hidden.integration.slug}/analytics/"):
        assert client.get(address).status_code == 404
    topic = f"/live/?t=charts:{hidden.integration_id}/range=1h&v=x"
    assert client.get(topic).status_code == 404


def test_live_updates_bring_the_numbers_of_now_and_days_are_not_live(client: Client, scene: Scene) -> None:
    html = html_of(client, f"{BIRDS}?range=1h&tables=success")
    (address,) = re.findall(r'data-live="([^"]+)"', html)
    answer = client.get(address.replace("&amp;", "&"))
    assert answer.status_code == 204 or b"values-success" in answer.content  # a minute may have passed
    add_to_bucket(scene.strikes, wall_now() - timedelta(minutes=1), success=4321)
    told = client.get(re.sub(r"v=.*", "v=old~old", address.replace("&amp;", "&"))).content.decode()
    assert "4321" in "".join(values_of(told, "success")[0])
    assert 'id="table-success"' in told
    assert 'id="total-success" hx-swap-oob="true"' in told
    assert "charts%3A" not in html_of(client, f"{BIRDS}?range=30d")


def test_an_account_without_flows_is_told_so(client: Client, mara: Any) -> None:
    make_account(owner=mara)
    client.force_login(mara)
    assert "Nothing to count yet" in html_of(client, ACCOUNT)


@pytest.mark.parametrize("query", ["", "?range=1y&tables=success,errors,ignored,resolved,ms"])
def test_the_number_of_queries_is_fixed(client: Client, scene: Scene, query: str) -> None:
    make_flow(integration=make_integration(scene.account))
    add_to_bucket(scene.airports, wall_now(), success=1)
    for address, most in ((ACCOUNT, 10), (BIRDS, 11), (own(scene.strikes), 12)):
        with CaptureQueriesContext(connection) as asked:
            html_of(client, address + query)
        assert len(asked) <= most, [each["sql"][:120] for each in asked]
