"""Rows by many keys at once."""

import pytest

from apps.accounts.models import Account
from apps.flows.models import Flow
from tests.factories import make_flow

pytestmark = pytest.mark.django_db


def test_rows_with_one_of_many_keys_are_found_by_one_parameter(account: Account) -> None:
    first, _, third = (make_flow(account) for _ in range(3))
    keys = [first.pk, third.pk, *range(10**15, 10**15 + 2_000)]
    rows = Flow.objects.of(account).filter(pk__among=keys)

    assert {flow.pk for flow in rows} == {first.pk, third.pk}
    assert len(rows.query.sql_with_params()[1]) == 2  # the account and the keys


def test_no_keys_find_no_rows(account: Account) -> None:
    make_flow(account)
    assert not Flow.objects.of(account).filter(integration__pk__among=[]).exists()
