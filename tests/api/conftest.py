"""Who calls the API: the owner of the account by a token that may do everything."""

import pytest

from apps.accounts.models import Account, Member, Role
from apps.api import throttling
from apps.flows.models import Flow
from apps.flows.services import apply_definition
from tests.api.client import Api, api_of
from tests.factories import make_connection
from tests.flows.definitions import STRIKES


@pytest.fixture(autouse=True)
def _nobody_has_called() -> None:
    throttling._counted.clear()


@pytest.fixture
def owner(account: Account) -> Member:
    return Member.objects.of(account).get(role=Role.OWNER)


@pytest.fixture
def api(owner: Member) -> Api:
    return api_of(owner)


@pytest.fixture
def strikes(account: Account) -> Flow:
    """An export, a filter, a lookup and an import, every five minutes."""
    make_connection(account, name="files", kind="file")
    make_connection(account, name="warehouse", kind="sql")
    return apply_definition(account=account, text=STRIKES).flow
