"""The checkpoint of a flow: shown, moved and reset by hand after its effect was named."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, Role
from apps.flows.models import Checkpoint, Flow, Step
from apps.runs.models import Run
from tests.console.screens import ended_run, html_of, orders_flow, signed_in, text_of
from tests.factories import make_connection, make_member, make_run

OLD, NEW = '"2026-01-31"', '"2026-02-01"'


@pytest.fixture
def flow(account: Account) -> Flow:
    return orders_flow(account)


@pytest.fixture
def page(account: Account) -> Client:
    return signed_in(make_member(account, role=Role.MANAGER).user)


@pytest.fixture
def checkpoint(flow: Flow, noon: Any) -> Checkpoint:
    source = Step.unscoped.get(flow=flow, key="source")
    run = ended_run(flow, noon)
    found: Checkpoint = Checkpoint.unscoped.create(
        account_id=flow.account_id,
        flow=flow,
        step=source,
        value="2026-01-31",
        moved_by_run=run,
        moved_at=noon,
        version=4,
    )
    return found


def address(flow: Flow, rest: str = "") -> str:
    return f"/flows/{flow.pk}/checkpoint/{rest}"


def value_of(checkpoint: Checkpoint) -> Any:
    checkpoint.refresh_from_db()
    return checkpoint.value


def test_the_page_shows_the_value_when_it_moved_and_by_which_run(
    page: Client, flow: Flow, checkpoint: Checkpoint
) -> None:
    text = text_of(html_of(page, address(flow)))
    assert "&quot;2026-01-31&quot;" in text
    assert f"by run {checkpoint.moved_by_run}" in text
    assert "Never: only runs have moved it." in text


def test_it_is_moved_after_its_effect_was_named(page: Client, flow: Flow, checkpoint: Checkpoint) -> None:
    text = text_of(page.get(address(flow, "move/"), {"value": NEW}).content.decode())
    assert "The next run of Orders exports from &quot;2026-02-01&quot;." in text
    assert value_of(checkpoint) == "2026-01-31"

    answer = page.post(address(flow, "move/"), {"value": NEW, "version": 4}, follow=True)
    text = text_of(answer.content.decode())
    assert "The checkpoint of Orders is moved: the next run exports from &quot;2026-02-01&quot;." in text
    assert "by hand" in text
    assert value_of(checkpoint) == "2026-02-01"


def test_it_is_reset_after_its_effect_was_named(page: Client, flow: Flow, checkpoint: Checkpoint) -> None:
    query = {"value": OLD, "clear": "1"}
    assert "exports from the beginning" in page.get(address(flow, "move/"), query).content.decode()
    page.post(address(flow, "move/"), {"clear": "1", "version": 4})
    assert value_of(checkpoint) is None
    assert "the next run exports from the beginning" in html_of(page, address(flow))


def test_it_is_not_moved_while_a_run_is_under_way(page: Client, flow: Flow, checkpoint: Checkpoint) -> None:
    make_run(flow, status="running")
    assert "A run of this flow is under way." in html_of(page, address(flow))
    answer = page.post(address(flow, "move/"), {"value": NEW, "version": 4})
    assert answer.status_code == 409
    assert "has a run under way" in answer.content.decode()
    assert value_of(checkpoint) == "2026-01-31"


def test_it_is_not_moved_by_who_has_read_an_older_one(page: Client, flow: Flow, checkpoint: Checkpoint) -> None:
    answer = page.post(address(flow, "move/"), {"value": NEW, "version": 3})
    assert answer.status_code == 409
    assert "has moved since you looked at it" in answer.content.decode()
    assert value_of(checkpoint) == "2026-01-31"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("yesterday", "This is not JSON"),
        ("", "This is not JSON"),
        ("17", "The present checkpoint is a text in quotes; this is a number"),
        ("null", "To forget the checkpoint use Reset."),
        ('"a\\u0000"', "zero characters"),
        ("[" * 5000, "This is not JSON"),
        ('"' + "x" * 20_000 + '"', "at most 10,000 characters"),
    ],
)
def test_a_value_that_is_none_is_told(page: Client, flow: Flow, checkpoint: Checkpoint, value: str, words: str) -> None:
    for answer in (
        page.get(address(flow, "move/"), {"value": value}),
        page.post(address(flow, "move/"), {"value": value, "version": 4}),
    ):
        assert answer.status_code == 422
        assert words in answer.content.decode()
    assert value_of(checkpoint) == "2026-01-31"


def test_a_monitor_sees_it_and_cannot_move_it(account: Account, flow: Flow, checkpoint: Checkpoint) -> None:
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    assert 'title="Needs the role manager"' in html_of(monitor, address(flow))
    assert monitor.get(address(flow, "move/"), {"value": NEW}).status_code == 403
    assert monitor.post(address(flow, "move/"), {"value": NEW, "version": 4}).status_code == 403
    assert value_of(checkpoint) == "2026-01-31"


def test_a_checkpoint_of_another_account_is_not_there(flow: Flow, checkpoint: Checkpoint) -> None:
    stranger = signed_in(make_member().user)
    assert stranger.get(address(flow)).status_code == 404
    assert stranger.post(address(flow, "move/"), {"value": NEW, "version": 4}).status_code == 404


def test_what_takes_requests_has_nothing_to_move(account: Account, page: Client, flow: Flow) -> None:
    sender = make_connection(account, name="Sender", kind="webhook")
    Step.unscoped.filter(flow=flow, key="source").update(connection=sender)
    assert "there is nothing to move" in html_of(page, address(flow))


def test_the_page_takes_ten_queries(
    page: Client, flow: Flow, checkpoint: Checkpoint, django_assert_max_num_queries: Any
) -> None:
    for day in range(2, 9):
        page.post(address(flow, "move/"), {"value": f'"2026-02-0{day}"', "version": day + 2})
    assert Run.unscoped.count() == 1
    with django_assert_max_num_queries(10):
        html_of(page, address(flow))
