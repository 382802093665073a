"""What asks our database is tried on PostgreSQL too; a test that asks without saying so is refused by pytest-django."""

from pathlib import Path

import pytest
from django.conf import settings

from apps.accounts.models import Account
from tests.own_database import ASK_NOTHING_OF_THEIR_OWN


@pytest.mark.django_db
def test_by_its_mark(request: pytest.FixtureRequest) -> None:
    assert "database" in request.node.keywords


def test_by_a_fixture_that_needs_it(account: Account, request: pytest.FixtureRequest) -> None:
    assert "database" in request.node.keywords


def test_not_what_asks_for_nothing(request: pytest.FixtureRequest) -> None:
    assert "database" not in request.node.keywords


def test_every_place_that_is_left_out_is_there() -> None:
    assert [place for place in ASK_NOTHING_OF_THEIR_OWN if not (Path(settings.BASE_DIR) / place).exists()] == []
