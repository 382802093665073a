"""What is told at once: failed runs, connections that go and come, thresholds; in quiet hours when they end."""

from datetime import time

import pytest

from apps.accounts.models import Member
from apps.engine.plan import WorkflowRetry
from apps.errors.rules.definition import Acts, Conditions, Definition
from apps.errors.rules.looking import look_by_rule
from apps.errors.services.rules import save_rule, switch_rule
from apps.flows.models import Connection, Step
from apps.flows.services.health import bring_online, note_outage
from apps.notifications.channels import add_channel
from apps.notifications.models import MessageDelivery, Subscription
from apps.notifications.services import set_preference
from apps.runs.models import Run
from apps.runs.reruns import end_failed
from apps.runs.services import start_run
from apps.webhooks.models import Announcement
from tests.conftest import NOON
from tests.factories import make_connection, make_flow, make_member, make_user
from tests.notifications.story import at, subjects, subscribed, work
from tests.scenarios.retry_world import records, run_once

pytestmark = pytest.mark.django_db


def end_badly(flow, *, attempts=0):
    """A run whose export failed, with so many further attempts by its flow's rule."""
    run = start_run(flow=flow)
    end_failed(run, WorkflowRetry(attempts=attempts, minutes=1))
    return run


def go_offline(connection, *, minutes):
    with at(minutes):
        note_outage(
            account_id=connection.account_id, environment=connection.environment, name=connection.name,
            message="no route to host",
        )  # fmt: skip


def test_a_failed_run_is_told_at_once_to_those_who_asked(account, mara, post):
    flow = make_flow(account, name="Orders")
    subscribed(account, mara, flow=flow, failed_runs=True)
    subscribed(account, make_member(account), errors=True)
    subscribed(account, make_member(account), flow=make_flow(account), failed_runs=True)
    with at(1):
        run = end_badly(flow)
    work(1.1)
    (mail,) = post.taken
    assert (mail.recipients, mail.subject) == (("mara@example.org",), f"Run r-{run.pk} of Orders failed")
    work(1.2)
    assert len(post.taken) == 1


def test_a_run_that_is_run_again_is_told_after_its_last_attempt_only(account, mara, post):
    flow = make_flow(account, name="Orders")
    subscribed(account, mara, failed_runs=True)
    with at(1):
        end_badly(flow, attempts=1)
    work(1.1)
    assert subjects(post) == []
    assert not Announcement.unscoped.exists()


def test_a_connection_that_goes_and_comes_is_told_at_once_each_time_once(account, mara, post):
    connection = make_connection(account, name="Shop", offline_after=1)
    flow = make_flow(account)
    Step.unscoped.filter(flow=flow, key="target").update(connection=connection)
    subscribed(account, mara, integration=flow.integration, connections=True)
    subscribed(account, make_member(account), integration=make_flow(account).integration, connections=True)
    go_offline(connection, minutes=1)
    go_offline(connection, minutes=2)
    work(2)
    (mail,) = post.taken
    assert "no route to host" in mail.message.get_body(("plain",)).get_content()
    assert subjects(post) == ["Connection Shop is offline"]
    with at(3):
        bring_online(Connection.unscoped.get(pk=connection.pk))
    work(3.1)
    work(4)
    assert subjects(post) == ["Connection Shop is online again"]


def test_a_rule_notifies_the_members_and_channels_that_it_names(account, mara, world, post):
    """Whatever they have subscribed to; but nobody who does not see the flow, and nobody who has left."""
    blind, gone = Member.unscoped.create(account=account, user=make_user(), role=""), make_member(account)
    ops, _ = add_channel(account=account, by=mara, name="ops", kind="slack", address="http://127.0.0.1:9/hook")
    acts = Acts(notify_members=(mara.pk, blind.pk, gone.pk), notify_channels=(ops.pk,))
    rule = save_rule(member=mara, name="Watch", definition=Definition(Conditions(flow=world.flow.pk), acts))
    switch_rule(rule=rule, member=mara, mode="on")
    Member.unscoped.filter(pk=gone.pk).update(disabled_at=NOON)
    with at(1):
        world.refuse(1, 2)
        run_once(world, records(1, 2))
        look_by_rule(account.pk, rule.pk)
    work(2)
    work(3)
    (mail,) = post.taken
    assert (mail.recipients, mail.subject) == (("mara@example.org",), "Rule Watch@1 met 2 errors in Orders")
    text = mail.message.get_body(("plain",)).get_content()
    assert "key 1" in text
    assert "/errors/retry?all=1" in text
    told = {(row.message.kind, row.member, row.channel) for row in MessageDelivery.unscoped.all()}
    assert told == {("rule_met", mara, None), ("rule_met", None, ops)}


def test_in_quiet_hours_it_is_told_when_they_end(account, mara, post):
    connection = make_connection(account, name="Shop", offline_after=1)
    subscribed(account, mara, connections=True)
    set_preference(member=mara, quiet_from=time(11, 0), quiet_to=time(12, 30), daily_at=None, assigned=True)
    go_offline(connection, minutes=1)
    work(2)
    work(29)
    assert subjects(post) == []
    work(30)
    assert subjects(post) == ["Connection Shop is offline"]


def test_thresholds_are_told_when_they_are_passed_not_while_it_lasts(account, mara, world, post):
    subscribed(account, mara, more_new=1, more_open=2)
    for minutes, ids in ((5, (1, 2)), (20, (3,)), (35, (4,))):
        with at(minutes):
            world.refuse(*ids)
            run_once(world, records(*ids))
        work(minutes + 10)
    told = [mail.message.get_body(("plain",)).get_content().splitlines()[2] for mail in post.taken]
    assert told == ["2 new errors in one window, more than 1.", "3 open errors, more than 2."]
    assert Subscription.unscoped.get().is_over


def test_what_nobody_asked_for_is_forgotten(account, mara, post):
    subscribed(account, mara, errors=True)
    go_offline(make_connection(account, name="Shop", offline_after=1), minutes=1)
    assert Announcement.unscoped.count() == 1
    work(2)
    assert (subjects(post), Announcement.unscoped.count(), Run.unscoped.count()) == ([], 0, 0)
