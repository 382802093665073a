"""A closed account: nothing runs, and after the time of grace all its rows go; the account itself stays, closed."""

from datetime import timedelta

import pytest
from django.apps import apps

from apps.accounts.models import Account, AuditEntry, KeptAnswer, Member, MemberRole, Role
from apps.core import clock
from apps.core.models import AccountScoped
from apps.errors.models import Cause, Error, SavedView, Tag, Upload
from apps.errors.services.notes import assign_errors, comment_on_error, tag_errors
from apps.execution.purging import begin_purges, purge_slice
from apps.flows.models import Checkpoint, Flow, Ledger
from apps.retention.models import NOT_ENDED, Purge, PurgePlan
from apps.retention.services import RetentionRefused, begin_export, close_account
from apps.retention.stages import account as account_stage
from apps.retention.stages import base
from apps.runs.models import Run
from tests.conftest import NOON
from tests.factories import make_connection, make_flow, make_member, make_webhook, step_of
from tests.fakes.running import World, books, make_world
from tests.scenarios.retry_world import records, run_once

pytestmark = pytest.mark.django_db

SCOPED = [model for model in apps.get_models() if issubclass(model, AccountScoped)]


def rows_of(account: Account) -> dict[str, int]:
    counts = {model.__name__: model.objects.of(account).count() for model in SCOPED}
    return {name: count for name, count in counts.items() if count}


def lived_in(world: World) -> Member:
    """Rows of many kinds, which point to each other."""
    account, flow = world.flow.account, world.flow
    member = make_member(account, role=Role.OWNER)
    with clock.frozen(NOON):
        world.refuse(1, 2)
        run_once(world, records(1, 2, 3))
        world.begin()
        error = Error.objects.of(account).order_by("pk")[0]
        Error.objects.of(account).filter(pk=error.pk).update(keep=True)
        tag = Tag.objects.of(account).create(account=account, name="waiting")
        tag_errors(account=account, member=member, errors=Error.objects.of(account), add=[tag])
        assign_errors(account=account, member=member, errors=Error.objects.of(account), assignee=member)
        comment_on_error(error=error, member=member, text="Asked.")
    flow.integration.owner = member
    flow.integration.save()
    follower = make_flow(integration=flow.integration, run_after=flow)
    cause = Cause.objects.of(account).order_by("pk")[0]
    Cause.objects.of(account).create(
        account=account, flow=flow, step=cause.step, fingerprint="x", pattern="x", merged_into=cause, assignee=member
    )
    Checkpoint.objects.of(account).create(account=account, flow=follower, step=step_of(follower, "source"))
    Ledger.objects.of(account).create(account=account, connection=make_connection(account))
    MemberRole.objects.of(account).create(account=account, member=member, integration=flow.integration, role="monitor")
    SavedView.objects.of(account).create(account=account, member=member, name="Mine", query="")
    Upload.objects.of(account).create(account=account, member=member, name="a.csv", content=b"")
    KeptAnswer.objects.of(account).create(account=account, key_sha256="k", request_sha256="r")
    make_webhook(account)
    begin_export(account=account, member=member, file_format="csv")
    return member


def test_after_the_time_of_grace_all_rows_of_the_account_are_gone(world, monkeypatch):
    monkeypatch.setattr(account_stage, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(base.take, "__defaults__", (3,))
    owner, other = lived_in(world), make_world()
    with clock.frozen(NOON - timedelta(days=50)):
        other.refuse(1)
        run_once(other, records(1))
    theirs = rows_of(other.flow.account)
    account = world.flow.account
    with clock.frozen(NOON):
        close_account(account=account, member=owner, typed_name=account.name)
    assert not Flow.objects.of(account).filter(enabled=True).exists()
    for days, is_there in ((6, True), (8, False)):
        with clock.frozen(NOON + timedelta(days=days)):
            PurgePlan.objects.exclude(account=account).delete()
            begin_purges()
            PurgePlan.objects.exclude(account=account).update(due_at=None)
            for key in Purge.objects.of(account).filter(NOT_ENDED).values_list("pk", flat=True):
                purge_slice(key)
        assert Error.objects.of(account).exists() is is_there
    assert rows_of(account) == {"Purge": 1, "AuditEntry": AuditEntry.objects.of(account).count()}
    assert set(AuditEntry.objects.of(account).values_list("object_kind", flat=True)) == {"account"}
    assert Account.objects.get(pk=account.pk).closed_at == NOON
    assert PurgePlan.objects.get(account=account).due_at is None
    assert {name: count for name, count in rows_of(other.flow.account).items() if name in theirs} == theirs
    assert books() == []


def test_what_runs_is_canceled_and_nothing_is_deleted_before_the_time_of_grace(world):
    owner = lived_in(world)
    account = world.flow.account
    with clock.frozen(NOON):
        close_account(account=account, member=owner, typed_name=account.name)
    assert not Run.objects.of(account).under_way().filter(cancel_requested_at=None).exists()
    with clock.frozen(NOON + timedelta(days=6)):
        assert begin_purges() == 0
    assert Error.objects.of(account).count() == 2


def test_an_account_that_is_opened_again_in_time_keeps_all(world):
    owner = lived_in(world)
    account = world.flow.account
    with clock.frozen(NOON):
        close_account(account=account, member=owner, typed_name=account.name)
        Account.objects.filter(pk=account.pk).update(closed_at=None)
    with clock.frozen(NOON + timedelta(days=8)):
        begin_purges()
        for key in Purge.objects.of(account).filter(NOT_ENDED).values_list("pk", flat=True):
            purge_slice(key)
    assert Error.objects.of(account).count() == 2
    assert PurgePlan.objects.get(account=account).due_at is not None


def test_the_name_has_to_be_typed(world):
    owner = lived_in(world)
    with pytest.raises(RetentionRefused, match="Nothing was changed"):
        close_account(account=world.flow.account, member=owner, typed_name="something else")
    assert Account.objects.get(pk=world.flow.account_id).closed_at is None
