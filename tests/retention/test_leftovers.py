"""Root causes without errors, and flows that were removed, go after the retention with all that is theirs."""

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps

from apps.accounts.models import AuditEntry, Member
from apps.core import clock
from apps.errors.models import Cause, CauseBucket, Comment, Error
from apps.flows.models import Flow, Revision, Step
from apps.flows.services.removing import remove_flow
from apps.notifications.models import Subscription
from apps.retention.stages import base
from apps.retention.stages.removed_flows import theirs
from apps.runs.models import Bucket, Run
from tests.factories import make_cause, make_member, step_of
from tests.fakes.running import World, books, make_world
from tests.retention.conftest import NOON, purge
from tests.scenarios.retry_world import records, run_once

pytestmark = pytest.mark.django_db


# --- root causes -----------------------------------------------------------------------------------------------------
def test_a_cause_without_errors_goes_when_none_has_come_for_the_retention(world, ran_before):
    ran_before(40, 1, refused=(1,))
    cause = Cause.unscoped.get()
    Comment.unscoped.create(account=cause.account, cause=cause, member=make_member(cause.account), text="Asked.")
    ran_before(29, 2)
    (done,) = purge()
    assert (Cause.unscoped.count(), CauseBucket.unscoped.count(), Comment.unscoped.count()) == (0, 0, 0)
    assert done.counts["root_causes"] == 1
    ran_before(0, 1, refused=(1,))
    assert Cause.unscoped.get().state == "new"
    assert books() == []


@pytest.mark.parametrize("why", ["recent", "has errors", "classified", "asleep", "merged into one with errors", "busy"])
def test_a_cause_that_is_needed_stays(world, ran_before, why):
    ran_before(40, 1, refused=(1,))
    cause = Cause.unscoped.get()
    old, member = Cause.unscoped.filter(pk=cause.pk), make_member(cause.account)
    if why == "recent":
        old.update(last_seen_at=NOON - timedelta(days=29))
    elif why == "has errors":
        Error.unscoped.update(keep=True)
    elif why == "classified":
        old.update(classified_by=member)
    elif why == "asleep":
        old.update(snoozed_until=NOON + timedelta(days=1))
    elif why == "busy":
        world.begin()
    else:
        old.update(merged_into=make_cause(cause.step, last_seen_at=NOON, pattern="Other"))
    purge()
    assert old.exists()


def test_merged_causes_go_before_the_one_they_are_merged_into(world, ran_before):
    ran_before(40, 1, refused=(1,))
    head = Cause.unscoped.get()
    make_cause(head.step, merged_into=head, pattern="Other", last_seen_at=head.last_seen_at)
    purge()
    assert list(Cause.unscoped.all()) == [head]
    purge(NOON + timedelta(days=1))
    assert not Cause.unscoped.exists()


# --- removed flows ---------------------------------------------------------------------------------------------------
def removed(world: World, *, days: float) -> Flow:
    with clock.frozen(NOON - timedelta(days=days)):
        remove_flow(flow=world.flow)
    flow: Flow = Flow.unscoped.get(pk=world.flow.pk)
    return flow


def left_of(flow: Flow) -> set[str]:
    """Tables in which something names the flow or a step of it."""
    found = set()
    for model in apps.get_models():
        for field in model._meta.local_fields:
            target = field.remote_field.model if field.is_relation else None
            path = {Flow: field.name, Step: f"{field.name}__flow"}.get(target)
            if path and model._base_manager.filter(**{path: flow.pk}).exists():
                found.add(model.__name__)
    return found


def test_a_flow_that_was_removed_goes_with_all_but_its_sums_and_the_audit_log(world, ran_before, monkeypatch):
    monkeypatch.setattr(base.take, "__defaults__", (2,))
    ran_before(45, 1, 2, refused=(1,))
    ran_before(41, 3)
    flow = removed(world, days=40)
    Subscription.unscoped.create(account=flow.account, flow=flow, member=Member.unscoped.first())
    other = make_world(flow.account)
    cause = make_cause(step_of(other.flow), merged_into=Cause.unscoped.get(), last_seen_at=NOON)
    (done,) = purge()
    assert left_of(flow) == {"Bucket", "PurgedSums"}
    assert not Run.unscoped.exists()
    assert done.counts["runs"] == 2
    assert AuditEntry.unscoped.filter(act="flow.remove", object_id=flow.pk).exists()
    cause.refresh_from_db()
    assert cause.merged_into is None
    assert Step.unscoped.filter(flow=other.flow).exists()
    assert books() == []
    purge(NOON + timedelta(days=340))
    assert not Flow.unscoped.filter(pk=flow.pk).exists()
    assert left_of(flow) == set()
    assert not Bucket.unscoped.exists()


def test_a_flow_stays_that_was_removed_lately_or_has_an_error_that_is_kept(world, ran_before):
    ran_before(40, 1, refused=(1,))
    flow = removed(world, days=29)
    purge()
    assert flow.revision_id is not None
    Error.unscoped.all().delete()
    other = make_world(flow.account)
    with clock.frozen(NOON - timedelta(days=45)):
        other.refuse(1)
        run_once(other, records(1))
    Error.unscoped.update(keep=True)
    kept = removed(other, days=40)
    purge(NOON + timedelta(hours=1))
    assert {"Error", "StepRun", "Cause", "FlowState"} <= left_of(kept)
    assert Revision.unscoped.filter(flow=flow).exists()


def test_every_table_that_points_to_a_flow_or_a_step_goes_before_it():
    """A new one belongs into the list, or its rows would keep the flow for ever."""
    covered = {model for model, _ in theirs()} | {Run, Revision, Flow}
    pointing: set[Any] = {
        model
        for model in apps.get_models()
        for field in model._meta.local_fields
        if field.is_relation and field.remote_field.model in (Flow, Step) and field.db_constraint
    }
    assert pointing <= covered
