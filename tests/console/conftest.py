"""Who looks at the pages, and a flow to look at."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from apps.accounts.models import Account, Member
from apps.flows.models import Flow, Step
from tests.console.scenes import Scene, make_scene
from tests.console.screens import orders_flow, signed_in
from tests.factories import make_member, step_of
from tests.fakes.running import World, make_world
from tests.scenarios.retry_world import run_once


@pytest.fixture
def mara(db: None) -> Any:
    return get_user_model().objects.create_user("mara", "mara@example.com", "a long password", first_name="Mara")


@pytest.fixture
def scene(client: Client, mara: Any) -> Scene:
    """The account of Mara, who is signed in."""
    client.force_login(mara)
    return make_scene(mara)


@pytest.fixture
def member(account: Account) -> Member:
    return make_member(account)


@pytest.fixture
def page(member: Member) -> Client:
    """The browser of the member."""
    return signed_in(member.user)


@pytest.fixture
def orders(account: Account) -> Flow:
    return orders_flow(account)


@pytest.fixture
def step(orders: Flow) -> Step:
    return step_of(orders)


@pytest.fixture
def world(account: Account) -> World:
    """Three open errors of the flow Orders, of the records 1, 2 and 3; the target goes on refusing them."""
    world = make_world(account, name="Orders")
    world.refuse(1, 2, 3)
    run_once(world, [{"id": number} for number in (1, 2, 3)])
    return world
