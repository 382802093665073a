"""Series are sums of the buckets: by minute, by the reader's hours and days, for flows, integrations and everything."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Account
from apps.accounts.reach import Reach
from apps.analytics.axis import axis_of
from apps.analytics.series import Series, read_series
from apps.analytics.streams import Stream, StreamKind
from apps.flows.models import Flow
from tests.console.scenes import add_to_bucket
from tests.factories import make_flow, make_integration

NOW = datetime(2026, 10, 27, 10, 12, tzinfo=UTC)
BERLIN, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
ALL = Stream(StreamKind.ALL, 0, "All flows")


def stream_of(flow: Flow) -> Stream:
    return Stream(StreamKind.FLOW, flow.pk, flow.name, flow.integration_id)


def whole(flow: Flow) -> Stream:
    return Stream(StreamKind.INTEGRATION, flow.integration_id, flow.integration.name, flow.integration_id)


def read(account: Account, streams: list[Stream], length: timedelta, zone: ZoneInfo = BERLIN) -> list[Series]:
    return read_series(Reach(account.pk, "production", None), streams, axis_of(NOW - length, NOW, zone, NOW))


def test_minutes_are_the_buckets_of_their_minute(account: Account, flow: Flow) -> None:
    add_to_bucket(flow, NOW - timedelta(minutes=2), success=7, busy_ms=700)
    add_to_bucket(flow, NOW - timedelta(minutes=1), success=3, errors=2, ignored=1, resolved=4, busy_ms=30)
    (series,) = read(account, [stream_of(flow)], timedelta(minutes=3))
    assert series.sums == {
        "success": (0, 7, 3), "errors": (0, 0, 2), "ignored": (0, 0, 1), "resolved": (0, 0, 4), "busy_ms": (0, 700, 30),
    }  # fmt: skip
    assert series.ms_per_success == [None, 100, 10]


def test_a_half_hour_belongs_to_the_day_on_the_readers_wall_before_and_after_summer_time_ends(
    account: Account, flow: Flow
) -> None:
    first_in_day = {"24": "2026-10-23T22:00", "25": "2026-10-24T22:00", "26": "2026-10-25T23:00"}
    for number, text in enumerate(first_in_day.values(), 1):
        start = datetime.fromisoformat(text).replace(tzinfo=UTC)
        add_to_bucket(flow, start, success=number)
        add_to_bucket(flow, start - timedelta(minutes=1), errors=number)
    (series,) = read(account, [stream_of(flow)], timedelta(days=4, hours=1))
    assert series.sums["success"] == (0, 1, 2, 3, 0)  # 23 to 27 October
    assert series.sums["errors"] == (1, 2, 3, 0, 0)


def test_the_two_hours_of_the_same_name_are_kept_apart(account: Account, flow: Flow) -> None:
    for minute, number in ((0, 1), (30, 2), (60, 4), (90, 8)):
        add_to_bucket(flow, datetime(2026, 10, 25, 0, 0, tzinfo=UTC) + timedelta(minutes=minute), success=number)
    since = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
    axis = axis_of(since, since + timedelta(hours=5), BERLIN, NOW)
    (series,) = read_series(Reach(account.pk, "production", None), [stream_of(flow)], axis)
    assert series.sums["success"] == (0, 0, 3, 12, 0)  # 00, 01, 02 of summer, 02 of winter, 03


def test_days_of_a_zone_half_an_hour_off_begin_at_its_midnight(account: Account, flow: Flow) -> None:
    add_to_bucket(flow, datetime(2026, 10, 25, 18, 29, tzinfo=UTC), success=1)
    add_to_bucket(flow, datetime(2026, 10, 25, 18, 30, tzinfo=UTC), success=2)
    (series,) = read(account, [stream_of(flow)], timedelta(days=5), KOLKATA)
    assert series.sums["success"] == (0, 0, 0, 1, 2, 0)  # 22 to 27 October


def test_an_integration_is_the_sum_of_its_flows_and_all_of_everything_in_reach(account: Account, flow: Flow) -> None:
    sister = make_flow(integration=flow.integration)
    other, sandbox = make_flow(account), make_flow(integration=make_integration(account, environment="sandbox"))
    for number, each in enumerate((flow, sister, other, sandbox, make_flow())):
        add_to_bucket(each, NOW - timedelta(minutes=1), success=10**number)
    streams = [ALL, whole(flow), stream_of(sister), stream_of(other)]
    with CaptureQueriesContext(connection) as asked:
        found = read(account, streams, timedelta(hours=1))
    assert [series.sums["success"][-1] for series in found] == [111, 11, 10, 100]
    assert len(asked) == 3  # one for each kind of stream


@pytest.mark.parametrize("length", [timedelta(hours=2), timedelta(days=2), timedelta(days=300)])
def test_nothing_is_lost_between_the_points(account: Account, flow: Flow, length: timedelta) -> None:
    for number in range(20):
        add_to_bucket(flow, NOW - (number + 1) * length / 21, success=1)
    (series,) = read(account, [stream_of(flow)], length)
    assert sum(series.sums["success"]) == 20


def test_a_stream_tells_whether_another_counts_it_too(flow: Flow) -> None:
    one, integration = stream_of(flow), whole(flow)
    assert one.is_within([integration, one])
    assert integration.is_within([ALL])
    assert not one.is_within([one, stream_of(make_flow())])
    assert not ALL.is_within([ALL, one])
    assert [ALL.key, integration.key, one.key] == ["all", f"i-{flow.integration_id}", f"f-{flow.pk}"]
