"""The address of a flow that takes requests: shown, renewed, and tried out."""

import pytest
from django.test import Client

from apps.accounts.models import Account, Role
from apps.flows.hooks import hook_address, hook_of
from apps.flows.models import Flow
from apps.flows.services import apply_definition, disable_flow, set_connection
from apps.runs.models import Arrival, Run
from tests.console.screens import html_of, orders_flow, signed_in, text_of
from tests.factories import make_member

DEFINITION = """
flow: arrivals
name: Arrivals
integration: {key: post, name: Post}
enabled: true
steps:
  - key: sender
    export: {connection: Sender, record_path: items, max_waiting: 3}
    trace_key: "{{ record.id }}"
  - key: note
    log: "{{ record.id }}"
"""


@pytest.fixture
def flow(account: Account) -> Flow:
    config = {"verification": "hmac"}
    set_connection(account=account, name="Sender", kind="webhook", config=config, secrets={"secret": "s" * 32})
    return apply_definition(account=account, text=DEFINITION).flow


@pytest.fixture
def page(account: Account) -> Client:
    return signed_in(make_member(account, role=Role.MANAGER).user)


def page_of(flow: Flow) -> str:
    return f"/flows/{flow.pk}/address/"


def test_the_page_shows_the_address_how_requests_are_verified_and_what_waits(page: Client, flow: Flow) -> None:
    html = html_of(page, page_of(flow))
    assert f'value="{hook_address(hook_of(flow))}"' in html
    text = text_of(html)
    assert "each request is signed in the header X-Signature" in text
    assert "0 of 3 records" in text
    assert "Sender, webhook export" in text


def test_the_tab_stands_only_at_flows_that_take_requests(page: Client, account: Account, flow: Flow) -> None:
    other = orders_flow(account)
    assert page_of(flow) in html_of(page, f"/flows/{flow.pk}/")
    assert "/address/" not in html_of(page, f"/flows/{other.pk}/")
    assert page.get(page_of(other)).status_code == 404
    assert page.post(page_of(other) + "renew/").status_code == 404


def test_who_may_not_edit_flows_does_not_see_the_address(account: Account, flow: Flow) -> None:
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    html = html_of(monitor, page_of(flow))
    assert hook_address(hook_of(flow)) not in html
    assert "Renew address" not in html
    assert "To see the address takes the role manager" in html
    before = hook_address(hook_of(flow))
    assert monitor.post(page_of(flow) + "renew/").status_code == 403
    assert hook_address(hook_of(flow)) == before


def test_the_address_is_renewed_after_a_question(page: Client, flow: Flow) -> None:
    before = hook_address(hook_of(flow))
    assert "The present address stops working at once" in text_of(html_of(page, page_of(flow) + "renew/"))
    assert hook_address(hook_of(flow)) == before

    answer = page.post(page_of(flow) + "renew/", follow=True)
    assert "Arrivals has another address" in answer.content.decode()
    after = hook_address(hook_of(flow))
    assert before != after
    assert after in answer.content.decode()


def test_a_request_written_by_hand_is_taken_in_and_a_run_starts(page: Client, flow: Flow) -> None:
    body = '{"items": [{"id": 1}, {"id": 2}]}'
    answer = page.post(page_of(flow) + "send", {"body": body}, follow=True)
    assert "2 records taken in. A run of Arrivals takes what waits." in text_of(answer.content.decode())
    assert "2 of 3 records" in text_of(answer.content.decode())
    assert (Arrival.unscoped.get().records, Run.unscoped.get().trigger) == (2, "webhook")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "The body is empty"),
        ('{"items": [1', "The body is not valid JSON"),
        ('{"others": 1}', "items"),
        ('{"items": ["<b>"]}', "an object"),
    ],
)
def test_what_is_wrong_with_a_request_is_told_beside_it_and_nothing_is_taken_in(
    page: Client, flow: Flow, body: str, words: str
) -> None:
    answer = page.post(page_of(flow) + "send", {"body": body})
    assert answer.status_code == 422
    assert words in text_of(answer.content.decode())
    assert 'aria-describedby="body-error"' in answer.content.decode()
    assert "<b>" not in answer.content.decode().replace("</b>", "")
    assert not Arrival.unscoped.exists()


def test_a_full_queue_and_a_disabled_flow_are_told_too(page: Client, flow: Flow) -> None:
    body = {"body": '{"items": [{"id": 1}, {"id": 2}, {"id": 3}]}'}
    page.post(page_of(flow) + "send", body)
    assert "3 records wait for this flow already" in page.post(page_of(flow) + "send", body).content.decode()
    assert "senders are told to come back later" in html_of(page, page_of(flow))
    disable_flow(flow=flow)
    assert "disabled" in page.post(page_of(flow) + "send", body).content.decode()
