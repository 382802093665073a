"""Who calls the API: the owner of the account by a token that may do everything."""

import pytest

from apps.accounts.models import Account, Member, Role
from apps.api import throttling
from tests.api.client import Api, api_of


@pytest.fixture(autouse=True)
def _nobody_has_called() -> None:
    throttling._counted.clear()


@pytest.fixture
def owner(account: Account) -> Member:
    return Member.objects.of(account).get(role=Role.OWNER)


@pytest.fixture
def api(owner: Member) -> Api:
    return api_of(owner)
