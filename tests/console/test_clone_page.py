"""An integration is cloned from its settings: into which environment, and what its flows use there."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, Role
from apps.flows.models import Connection, Flow, Integration
from apps.flows.services import apply_definition
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_account, make_connection, make_member

TEXT = """\
flow: orders
name: Orders
integration: {key: shop, name: Shop}
steps:
  - key: source
    export: {connection: Store, query: "SELECT 1 AS id"}
"""
PAGE = "/integrations/shop/clone/"


def store(account: Account, environment: str, name: str = "Store") -> Connection:
    config = {"database": "sqlite", "file": "store.db"}
    return make_connection(account, name=name, environment=environment, config=config)


@pytest.fixture
def shop(account: Account) -> Integration:
    store(account, "production")
    apply_definition(account=account, text=TEXT)
    return Integration.objects.of(account).get(slug="shop")


def test_the_settings_lead_there_and_it_offers_what_is_in_the_other_environment(
    page: Client, shop: Integration, account: Account
) -> None:
    there = store(account, "sandbox", "Trial store")
    assert f'href="{PAGE}"' in html_of(page, "/integrations/shop/settings/")
    html = html_of(page, PAGE)
    assert f'<option value="{there.pk}" selected>Trial store</option>' in html
    assert "a new one in sandbox, without credentials" in html
    assert (
        "1 flow with its steps, settings and schedules, each under a key of its own and disabled: Orders."
        in text_of(html)
    )
    assert 'value="shop-production"' not in html
    beside = html_of(page, f"{PAGE}?to=production")
    assert 'value="shop-copy"' in beside
    assert ">Store</option>" in beside


def test_it_is_cloned_with_the_connections_that_were_chosen(page: Client, shop: Integration, account: Account) -> None:
    there = store(account, "sandbox", "Trial store")
    bound = page.get(PAGE).context["connections"][0].name
    answer = page.post(PAGE, {"name": "Trial", "key": "trial", bound: there.pk}, follow=True)
    assert answer.redirect_chain[-1][0] == "/integrations/trial/flows/?environment=sandbox"
    assert "Trial is made in sandbox: 1 flow, disabled until you enable them." in text_of(answer.content.decode())
    flow = Flow.objects.of(account).get(key="orders-sandbox")
    assert flow.steps.get().connection == there


def test_a_connection_without_credentials_is_made_and_named(page: Client, shop: Integration) -> None:
    bound = page.get(PAGE).context["connections"][0].name
    text = text_of(page.post(PAGE, {"name": "Trial", "key": "trial", bound: "new"}, follow=True).content.decode())
    assert "Give credentials to Store first." in text
    assert Connection.unscoped.filter(environment="sandbox").count() == 1


def test_a_key_that_is_taken_or_a_strange_connection_is_refused(page: Client, shop: Integration) -> None:
    bound = page.get(PAGE).context["connections"][0].name
    stranger = store(make_account(), "sandbox")
    for given, words in (
        ({"name": "Trial", "key": "shop", bound: "new"}, "There is an integration with the key shop already"),
        ({"name": "Trial", "key": "trial", bound: str(stranger.pk)}, "Select a valid choice"),
        ({"name": "Trial", "key": "trial"}, "This field is required"),
    ):
        answer = page.post(PAGE, given)
        assert answer.status_code == 422
        assert words in text_of(answer.content.decode())
    assert Integration.unscoped.filter(account=shop.account).count() == 1


def test_it_takes_the_role_manager_in_the_whole_account(shop: Integration, account: Account) -> None:
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    assert monitor.get(PAGE).status_code == 403
    assert monitor.post(PAGE, {}).status_code == 403
    assert 'disabled title="It takes the role manager in the whole account"' in html_of(
        monitor, "/integrations/shop/settings/"
    )
    assert signed_in(make_member(make_account()).user).get(PAGE).status_code == 404


def test_the_page_takes_few_queries(page: Client, shop: Integration, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(12):
        html_of(page, PAGE)
