"""Digests: what is told, to whom, and that each error is told in exactly one window, whatever happens."""

from datetime import time, timedelta
from typing import Any

import pytest

from apps.accounts.models import Account, Member, MemberRole
from apps.errors.models import Error
from apps.errors.services import reopen_errors, resolve_errors, retry_errors
from apps.errors.services.notes import assign_errors
from apps.execution.dispatcher import dispatch
from apps.notifications.models import DigestWindow, HeldDigest, Message, MessageDelivery, Notice
from apps.notifications.services import set_preference
from apps.notifications.windows import end_window
from tests.conftest import NOON
from tests.factories import (
    make_account,
    make_error,
    make_flow,
    make_integration,
    make_member,
    make_run,
    make_user,
    step_of,
)
from tests.fakes.running import World, make_world
from tests.notifications.story import at, log, subjects, subscribed, work
from tests.scenarios.retry_world import attempt, flaky, mended, records, run_once

WINDOW_QUERIES = 23
"""Of one window, whatever it tells."""
pytestmark = pytest.mark.django_db


def fail(world: World, *ids: int, minutes: float) -> None:
    """Records that the destination refuses, at this time."""
    with at(minutes):
        world.refuse(*ids)
        run_once(world, records(*ids))


def settle(account: Account, minutes: float, **which: Any) -> None:
    with at(minutes):
        resolve_errors(account=account, member=None, errors=Error.objects.of(account).filter(**which))


# --- the story -------------------------------------------------------------------------------------------------------
def test_a_digest_tells_new_and_resolved_errors_once_and_is_silent_when_nothing_is_new(account, mara, world, post):
    subscribed(account, mara)
    fail(world, 1, 2, minutes=5)
    work(14)
    assert subjects(post) == []  # its window is under way
    work(15)
    (mail,) = post.taken
    assert mail.recipients == ("mara@example.org",)
    assert subjects(post) == ["2 new, 0 resolved, 2 open errors"]
    work(30)
    assert subjects(post) == []
    settle(account, 31)
    work(45)
    assert subjects(post) == ["0 new, 2 resolved, 0 open errors"]
    work(60)
    assert (subjects(post), log()) == ([], [("sent", 1), ("sent", 1)])


def test_the_whole_story_of_errors_that_are_tried_again_by_themselves(account, mara, world, post):
    """Records 1 and 2 fail for a passing reason: 1 goes through at its last attempt and is never told; 2 is told when
    its attempts are exhausted, and once more when a later run puts it through."""
    subscribed(account, mara)
    flaky(world, 1, 2)
    with at(10):
        run_once(world, records(1, 2))
    for seconds in (30, 90, 210):
        assert attempt(world, NOON, 600 + seconds) == 1
    work(15)
    assert subjects(post) == []
    mended(world)
    flaky(world, 2)
    assert attempt(world, NOON, 600 + 450) == 1
    work(30)
    assert subjects(post) == ["1 new, 0 resolved, 1 open errors"]
    mended(world)
    with at(31):
        run_once(world, records(2))
    work(45)
    work(60)
    assert subjects(post) == ["0 new, 1 resolved, 0 open errors"]


def test_an_error_under_retry_waits_for_its_end(account, mara, world, post):
    subscribed(account, mara)
    fail(world, 1, 2, minutes=5)
    with at(14):
        retry_errors(account=account, member=None, errors=Error.objects.of(account))
    work(15)
    assert subjects(post) == []


def test_an_error_that_is_reopened_and_resolved_again_is_told_as_resolved_once(account, mara, world, post):
    subscribed(account, mara)
    fail(world, 1, minutes=5)
    work(15)
    settle(account, 16)
    work(30)
    with at(31):
        reopen_errors(account=account, member=None, errors=Error.objects.of(account))
    settle(account, 40)
    work(45)
    assert subjects(post) == ["1 new, 0 resolved, 1 open errors", "0 new, 1 resolved, 0 open errors"]


# --- windows ---------------------------------------------------------------------------------------------------------
def test_windows_that_come_late_are_merged_and_each_error_is_told_once(account, mara, world, post):
    """Down from 12:05 to 12:52: three windows come as one, with an error that was written by an earlier transaction."""
    subscribed(account, mara)
    fail(world, 1, minutes=10)
    fail(world, 2, 3, minutes=25)
    settle(account, 40, key="3")
    work(52)
    assert subjects(post) == ["2 new, 0 resolved, 2 open errors"]
    make_error(make_run(world.flow), step=step_of(world.flow), key="late", occurred_at=NOON + timedelta(minutes=20))
    work(60)
    assert subjects(post) == ["1 new, 0 resolved, 3 open errors"]
    assert DigestWindow.unscoped.get(environment="production").next_at == NOON + timedelta(minutes=75)


def test_a_window_that_is_ended_twice_is_told_once(account, mara, world, post):
    subscribed(account, mara)
    fail(world, 1, minutes=5)
    with at(15):
        dispatch()
    work(15)
    work(15.01)
    assert (len(subjects(post)), len(log())) == (1, 1)


@pytest.mark.parametrize("broken", ["apps.notifications.windows.write_digests", "apps.notifications.digests.hold"])
def test_a_window_whose_worker_dies_is_ended_whole_by_another(account, mara, world, post, monkeypatch, broken):
    """What it had written is gone with its transaction, so nothing is told twice and nothing is missing."""
    subscribed(account, mara)
    fail(world, 1, minutes=5)
    with monkeypatch.context() as dying:
        dying.setattr(broken, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            work(15)
    assert (Notice.unscoped.count(), MessageDelivery.unscoped.count()) == (0, 0)
    work(16)
    assert subjects(post) == ["1 new, 0 resolved, 1 open errors"]


def test_what_had_failed_before_anybody_subscribed_is_told_to_nobody(account, mara, world, post):
    fail(world, 1, minutes=1)
    subscribed(account, mara, at=NOON + timedelta(minutes=3))
    fail(world, 2, minutes=5)
    work(15)
    assert subjects(post) == ["1 new, 0 resolved, 2 open errors"]
    ana = make_member(account)
    subscribed(account, ana, at=NOON + timedelta(minutes=16))
    settle(account, 17)
    work(30)
    assert [mail.recipients[0] for mail in post.taken] == ["mara@example.org"]  # she was told that they were new


def test_the_log_is_kept_for_ninety_days(account, mara, world, post):
    subscribed(account, mara)
    fail(world, 1, minutes=5)
    work(15)
    assert (MessageDelivery.unscoped.count(), Message.unscoped.count()) == (1, 1)
    work(60 * 24 * 91)
    assert (MessageDelivery.unscoped.count(), Message.unscoped.count()) == (0, 0)


# --- who is told what ------------------------------------------------------------------------------------------------
def test_a_mail_for_each_environment_and_sandbox_says_so(account, mara, world, post):
    subscribed(account, mara)
    subscribed(account, mara, environment="sandbox")
    other = make_world(account, integration=make_integration(account, environment="sandbox"), name="Trial")
    fail(world, 1, minutes=5)
    fail(other, 1, minutes=5)
    work(15)
    assert sorted(subjects(post)) == [
        "1 new, 0 resolved, 1 open errors",
        "[sandbox] 1 new, 0 resolved, 1 open errors",
    ]


def test_each_is_told_of_what_he_subscribed_to_and_may_see_once(account, mara, world, post):
    other = make_world(account, name="Invoices")
    ana, lea = make_member(account), Member.unscoped.create(account=account, user=make_user(), role="")
    MemberRole.unscoped.create(account=account, member=lea, integration=other.flow.integration, role="monitor")
    subscribed(account, mara)
    subscribed(account, mara, flow=world.flow)  # twice the same errors, told once
    subscribed(account, ana, integration=other.flow.integration)
    subscribed(account, lea)
    make_member(account)
    fail(world, 1, minutes=5)
    fail(other, 1, 2, minutes=5)
    fail(make_world(make_account()), 1, minutes=5)
    work(15)
    told = {mail.recipients[0].split("@")[0]: mail.subject for mail in post.taken}
    both, one = "3 new, 0 resolved, 3 open errors", "2 new, 0 resolved, 2 open errors"
    assert told == {"mara": both, str(ana): one, str(lea): one}


def test_assigned_errors_are_mailed_to_the_assignee_once_in_the_next_digest(account, mara, world, post):
    """Also to one who has not subscribed; what is not his any more, or is resolved, is not mailed."""
    fail(world, 1, 2, 3, minutes=1)
    ana = make_member(account)
    with at(2):
        dispatch()
        assign_errors(account=account, member=ana, errors=Error.objects.of(account), assignee=mara)
        assign_errors(account=account, member=ana, errors=Error.objects.of(account).filter(key="3"), assignee=ana)
    settle(account, 3, key="2")
    with at(4):
        dispatch()
    work(15)
    assert [(mail.recipients[0], mail.subject) for mail in post.taken] == [("mara@example.org", "1 assigned to you")]
    post.taken.clear()
    work(30)
    assert subjects(post) == []


def test_quiet_hours_hold_digests_back_and_a_daily_digest_comes_once(account, mara, world, post):
    subscribed(account, mara)
    set_preference(member=mara, quiet_from=time(12, 0), quiet_to=time(12, 40), daily_at=None, assigned=True)
    fail(world, 1, 2, minutes=5)
    work(15)
    settle(account, 20, key="2")
    work(30)
    assert subjects(post) == []
    work(45)
    assert subjects(post) == ["1 new, 0 resolved, 1 open errors"]  # 2 was resolved before its first mail
    set_preference(member=mara, quiet_from=None, quiet_to=None, daily_at=time(13, 10), assigned=True)
    settle(account, 50)
    work(60)
    assert subjects(post) == []
    work(75)
    assert subjects(post) == ["0 new, 1 resolved, 0 open errors"]
    assert HeldDigest.unscoped.count() == 0


# --- how much work it is ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1, 40])
def test_the_queries_of_a_window_do_not_depend_on_errors_and_subscriptions(account, size, django_assert_num_queries):
    flows = [make_flow(account) for _ in range(3)]
    for _ in range(size):
        subscribed(account, make_member(account))
    for number in range(size):
        flow = flows[number % 3]
        make_error(make_run(flow), step=step_of(flow), key=str(number), occurred_at=NOON + timedelta(minutes=1))
    window = DigestWindow.objects.of(account).get(environment="production")
    with at(15), django_assert_num_queries(WINDOW_QUERIES):
        end_window(account.pk, window.pk)
    assert MessageDelivery.unscoped.count() == size
