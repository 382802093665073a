"""How connections have been doing: last OK, latency, credentials that expire, incidents, and the live page."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.http import urlencode

from apps.accounts.models import AuditEntry
from apps.console.selectors import connection_health
from apps.core.clock import frozen, wall_now
from apps.execution import probing
from apps.flows.models import Connection, Flow, Step
from apps.flows.services.health import note_outage, note_success
from apps.runs.models import Run
from apps.runs.waking import waiting_reason
from tests.console.screens import html_of, text_of
from tests.factories import make_cause, make_connection, make_error, make_page, make_run

NOW = datetime(2026, 11, 20, 14, 2, 41, tzinfo=UTC)


@pytest.fixture
def shop(orders: Flow) -> Connection:
    """The connection of the flow's import."""
    found = make_connection(orders.account, name="Shop", kind="http", config={"base_url": "https://api.example.org"})
    Step.unscoped.filter(flow=orders, key="target").update(connection=found)
    return found


def note_tests(connection: Connection, *times_ms: int, is_ok: bool = True) -> None:
    for ms in times_ms:
        AuditEntry.unscoped.create(
            account=connection.account, actor_kind="command", act="connection.test", object_kind="connection",
            object_id=connection.pk, after={"ok": is_ok, "tried": "GET /", "found": "answer 200", "ms": ms},
        )  # fmt: skip


def token(ends_at: datetime) -> str:
    """A JSON web token that says when it ends."""
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": "flow", "exp": int(ends_at.timestamp())})
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*texts, "c2lnbmF0dXJl"])


def break_down(connection: Connection, message: str = "connection refused") -> None:
    for _ in range(connection.offline_after):
        note_outage(
            account_id=connection.account_id, environment=connection.environment, name=connection.name, message=message
        )


def keep_waiting(flow: Flow, connection: Connection, records: int) -> Run:
    reason = f"{waiting_reason(connection.name)} connection refused"
    run = make_run(flow, status="running", wait_reason=reason, not_before=wall_now() + timedelta(hours=1))
    make_page(run, state="fetched", records=records)
    return run


def test_the_list_tells_when_a_connection_answered_and_the_median_of_its_tests(page: Client, shop: Connection) -> None:
    Connection.unscoped.filter(pk=shop.pk).update(state="online", last_ok_at=NOW - timedelta(minutes=9))
    note_tests(shop, 9_000, *[50] * 10, *[70] * 10)  # the first is older than the last 20
    note_tests(shop, 5_000, is_ok=False)
    with frozen(NOW):
        html = html_of(page, "/connections/")
    assert 'title="9 min ago">20 Nov 13:53:41</time>' in html
    assert "70 ms" in html
    assert "1 flow" in html


@pytest.mark.parametrize(
    ("ends_in", "told"),
    [
        (timedelta(days=90), "18 Feb 2027 14:02"),
        (timedelta(days=3), 'class="st warn"'),
        (-timedelta(hours=1), "Expired"),
    ],
)
def test_a_token_that_says_when_it_expires_is_told_before_it_does(
    page: Client, shop: Connection, ends_in: timedelta, told: str
) -> None:
    ending = token(NOW + ends_in)
    made = make_connection(shop.account, name="Signed", kind="http", secrets={"bearer_token": ending, "password": "x"})
    with frozen(NOW):
        for path in ("/connections/", f"/connections/{made.pk}/"):
            html = html_of(page, path)
            assert told in html
            assert ending not in html


@pytest.mark.parametrize(
    "secret", ["hunter2", "ey.x.y", "eyJhIjoxfQ.bm9uc2Vuc2U.s", "eyJhIjoxfQ.eyJleHAiOiJ4In0.s", "ey..s"]
)
def test_a_secret_that_says_nothing_of_its_end_is_no_problem(page: Client, shop: Connection, secret: str) -> None:
    made = make_connection(shop.account, kind="http", secrets={"bearer_token": secret})
    assert "its secrets do not say" in text_of(html_of(page, f"/connections/{made.pk}/"))


def test_an_incident_has_a_start_an_end_a_reason_and_what_waited(
    page: Client, shop: Connection, orders: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = keep_waiting(orders, shop, records=1_204)
    with frozen(NOW):
        break_down(shop)
    with frozen(NOW + timedelta(minutes=5)):
        during = html_of(page, f"/connections/{shop.pk}/")
    assert f'<a href="/runs/{run.pk}/">r-{run.pk}</a>' in during
    for told in ("connection refused", "Not yet", "1,204 records so far in 1 run", "5 min"):
        assert told in text_of(during)
    monkeypatch.setattr(probing, "answers", lambda connection: True)
    with frozen(NOW + timedelta(minutes=20)):
        probing.probe(shop.pk)
        html = text_of(html_of(page, f"/connections/{shop.pk}/"))
    for told in ("20 Nov 14:02:41 20 Nov 14:22:41 20 min connection refused 1,204 records in 1 run", "Online"):
        assert told in html
    assert Connection.unscoped.get(pk=shop.pk).last_ok_at == NOW + timedelta(minutes=20)


def test_open_errors_of_the_class_connection_lead_to_exactly_these(
    page: Client, shop: Connection, orders: Flow
) -> None:
    step = Step.unscoped.get(flow=orders, key="target")
    run = make_run(orders)
    refused = make_cause(step, classification="connection", pattern="refused")
    for key in ("A-1", "A-2"):
        make_error(run, step=step, cause=refused, key=key, message="refused")
    make_error(run, step=step, key="A-3", message="too long")
    html = html_of(page, f"/connections/{shop.pk}/")
    path = f"/flows/{orders.pk}/steps/{step.pk}/errors/open/?class=connection"
    assert f'href="{path}" aria-label="2 open errors of the class connection">2</a>' in html
    listed = html_of(page, path)
    assert ("A-1" in listed, "A-2" in listed, "A-3" in listed) == (True, True, False)


def test_work_that_goes_well_is_noted_once_a_minute(shop: Connection) -> None:
    place = {"account_id": shop.account_id, "environment": shop.environment, "names": ["Shop"]}
    with frozen(NOW):
        note_success(**place)
    with frozen(NOW + timedelta(seconds=30)):
        note_success(**place)
    assert Connection.unscoped.get(pk=shop.pk).last_ok_at == NOW
    with frozen(NOW + timedelta(seconds=90)):
        note_success(**place)
    assert Connection.unscoped.get(pk=shop.pk).last_ok_at == NOW + timedelta(seconds=90)


def live_of(page: Client, path: str) -> str:
    """The address that keeps this page live, as it is now."""
    return str(page.get(path).context["live_url"])


def test_both_pages_say_when_a_connection_goes_offline(page: Client, shop: Connection) -> None:
    one, many = live_of(page, f"/connections/{shop.pk}/"), live_of(page, "/connections/")
    assert (page.get(one).status_code, page.get(many).status_code) == (204, 204)
    break_down(shop)
    told, row = page.get(one).content.decode(), page.get(many).content.decode()
    assert 'id="connection-now" hx-swap-oob="true"' in told
    assert "Show its tests and incidents anew" in told
    assert f'id="connection-{shop.pk}-state" hx-swap-oob="true"' in row
    assert ("Offline" in told, "Offline" in row, "connection refused" in row) == (True, True, True)
    assert "other connections" not in row
    make_connection(shop.account)
    assert "There are other connections now." in page.get(many).content.decode()


def test_a_connection_out_of_reach_has_no_live_page(page: Client, shop: Connection) -> None:
    theirs = make_connection()
    for key in (theirs.pk, "x", 2**70):
        assert page.get(f"/live/?{urlencode({'t': f'connection:{key}', 'v': ''})}").status_code == 404


def test_both_pages_take_nine_and_thirteen_queries_whatever_there_is_to_tell(
    page: Client, shop: Connection, orders: Flow, django_assert_max_num_queries: Any
) -> None:
    note_tests(shop, *range(30))
    break_down(shop)
    for _ in range(3):
        keep_waiting(orders, shop, records=5)
        note_tests(make_connection(shop.account), 5)
    with django_assert_max_num_queries(9):
        html_of(page, "/connections/")
    with django_assert_max_num_queries(13):
        html_of(page, f"/connections/{shop.pk}/")


def test_only_the_last_twenty_tests_and_incidents_are_read(page: Client, shop: Connection) -> None:
    for act in ("connection.offline", "connection.online") * 25:
        AuditEntry.unscoped.create(
            account=shop.account, actor_kind="system", act=act, object_kind="connection", object_id=shop.pk, after=None
        )
    assert len(connection_health.incidents_of(shop)) == 20
    assert "not counted" in html_of(page, f"/connections/{shop.pk}/")
