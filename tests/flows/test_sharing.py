"""The gate, the pace and the token that all workers of a connection share."""

import threading
import time

import pytest
from django.db import connection

from apps.connectors.shared import Token
from apps.flows.models import Share
from apps.flows.sharing import DatabaseShared
from tests.factories import make_account


@pytest.fixture
def shared(account) -> DatabaseShared:
    return DatabaseShared(account.pk)


def test_a_gate_is_open_until_somebody_closes_it_and_never_opens_early(shared):
    assert shared.gate("k") == 0
    shared.close_gate("k", 200.0)
    shared.close_gate("k", 100.0)

    assert shared.gate("k") == 200.0
    assert shared.gate("another") == 0


@pytest.mark.django_db
def test_the_pace_is_booked_one_after_the_other(shared):
    begins = [shared.reserve("k", 0.5) for _ in range(3)]

    assert begins[1] - begins[0] == pytest.approx(0.5)
    assert begins[2] - begins[1] == pytest.approx(0.5)


def test_a_token_is_renewed_only_when_there_is_none_or_it_is_stale(shared):
    renewed = []

    def renew(last):
        renewed.append(last)
        return Token(f"t{len(renewed)}", time.time() + 3600, "refresh")

    assert shared.token("k", renew, "").access == "t1"
    assert shared.token("k", renew, "").access == "t1"
    assert shared.token("k", renew, "t1").access == "t2"
    assert [last and last.access for last in renewed] == [None, "t1"]


def test_a_stored_token_is_sealed(shared):
    shared.token("k", lambda last: Token("very-secret-token", 0, "refresh-secret"), "")

    stored = bytes(Share.unscoped.get().token)
    assert b"very-secret" not in stored
    assert b"refresh-secret" not in stored


def test_what_renewing_raises_goes_through_and_the_next_one_may_try(shared):
    def broken(last):
        raise RuntimeError("refused")

    with pytest.raises(RuntimeError):
        shared.token("k", broken, "")
    assert shared.token("k", lambda last: Token("t"), "").access == "t"


def test_accounts_share_nothing(shared, db):
    shared.close_gate("k", 50.0)

    assert DatabaseShared(make_account().pk).gate("k") == 0


@pytest.mark.django_db(transaction=True)
def test_many_workers_renew_a_token_once(account):
    shared = DatabaseShared(account.pk)
    renewed = []
    found = []

    def renew(last):
        time.sleep(0.1)
        renewed.append(1)
        return Token("t", time.time() + 3600)

    def work():
        try:
            found.append(shared.token("k", renew, "").access)
        finally:
            connection.close()

    shared.close_gate("k", 0)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert (found, renewed) == (["t"] * 4, [1])
