"""The e-mails in a bundle: what they said about its flow, and nothing else."""

from typing import Any

import pytest

from apps.accounts.models import Account
from apps.errors.models import Error
from apps.support.mails import mail_texts
from apps.support.subjects import about_error
from tests.factories import make_error, make_flow, make_member, make_run, make_user
from tests.fakes.running import make_world
from tests.notifications.conftest import post
from tests.notifications.story import at, subscribed, work
from tests.scenarios.retry_world import records, run_once

__all__ = ["post"]
pytestmark = pytest.mark.django_db


def test_the_digest_that_told_of_an_error_is_told_with_whom_it_went_to(account: Account, post: Any) -> None:
    mara = make_member(account, user=make_user("mara"))
    subscribed(account, mara)
    world, other = make_world(account, name="Orders"), make_flow(account, name="Salaries")
    with at(5):
        world.refuse(1, message="No such article")
        run_once(world, records(1))
        make_error(make_run(other), message="Somebody earns too much")
    work(15)
    error = Error.objects.of(account).select_related("flow__integration__account").get(flow=world.flow)
    (told,) = mail_texts(about_error(error))
    assert told.startswith("=== 1 new, 0 resolved, 1 open errors\nTo mara@example.org: sent, 2026-03-02 12:15:")
    assert "No such article" in told
    assert "Salaries" not in told
    assert "Somebody" not in told
    assert "End these mails" not in told


def test_an_error_of_which_no_mail_told_has_none(account: Account) -> None:
    error = make_error(make_run(make_flow(account)))
    assert list(mail_texts(about_error(error))) == []
