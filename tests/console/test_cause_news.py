"""The page and the list of root causes: a corrected class that is taken back, and what is kept live."""


import pytest
from django.test import Client

from apps.accounts.models import Account, Member
from apps.flows.models import Step
from tests.console.screens import html_of, orders_flow, signed_in
from tests.console.test_causes import failing, post
from tests.factories import make_member, step_of


@pytest.fixture
def step(account: Account) -> Step:
    return step_of(orders_flow(account))


@pytest.fixture
def member(account: Account) -> Member:
    return make_member(account)


@pytest.fixture
def page(member: Member) -> Client:
    return signed_in(member.user)


def test_a_corrected_class_is_taken_back(page: Client, step: Step) -> None:
    cause = failing(step, classification="missing")
    address = f"/errors/causes/{cause.pk}/"
    assert "Back to the class by rule" not in html_of(page, address)
    assert "Back to the class by rule: Missing" in post(page, address + "classify", **{"class": "value"})
    text = post(page, address + "unclassify")
    assert "The class is Missing again, as the rules say." in text
    assert "Missing (set by rule)" in text
    assert "is that of the rules already" in post(page, address + "unclassify")
