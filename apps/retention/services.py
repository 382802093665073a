"""Setting the retention, and closing an account."""

from typing import Any

from django.db import transaction

from apps.accounts.models import Account, Member, RetentionDays
from apps.accounts.services import Actor, record_audit
from apps.core.clock import read_now
from apps.core.queue import enqueue
from apps.flows.models import Flow
from apps.retention.models import ExportFormat, PurgeExport, PurgePlan
from apps.retention.schedule import NOTICE, due_after, next_night, oldest_kept
from apps.runs.models import Run
from apps.runs.services import cancel_run

LOOK_AHEAD = "apps.execution.tasks.look_ahead"
WORK_EXPORT = "apps.execution.tasks.work_export"


UNCOUNTED: dict[str, Any] = {"ahead": [], "counted_at": None, "big_at": None}


class RetentionRefused(ValueError):  # noqa: N818 (an answer, not a fault)
    """What cannot be set or closed; the message says why."""


def plan_of(account: Account) -> PurgePlan:
    """The account's plan; made where there is none yet."""
    plan, _ = PurgePlan.objects.get_or_create(account=account, defaults={"due_at": due_after(account, read_now())})
    return plan


@transaction.atomic
def set_retention(*, account: Account, member: Member, days: int) -> None:
    """Keep runs and errors for so many days. A shorter time takes nothing for a day. Raises RetentionRefused."""
    if days not in RetentionDays.values:
        allowed = ", ".join(str(value) for value in RetentionDays.values)
        raise RetentionRefused(f"Runs and errors are kept for {allowed} days. Choose one of these.")
    locked = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    before = locked.retention_days
    if days == before:
        return
    Account.objects.filter(pk=account.pk).update(retention_days=days)
    account.retention_days = days
    plan = plan_of(account)
    if days < before:
        due_at = next_night(account, read_now() + NOTICE)
        PurgePlan.objects.filter(pk=plan.pk).update(due_at=due_at, **UNCOUNTED)
    else:
        PurgePlan.objects.filter(pk=plan.pk).update(**UNCOUNTED)
    record_audit(
        account=account, actor=Actor.member(member), act="account.retention", target=account,
        before={"retention_days": before}, after={"retention_days": days},
    )  # fmt: skip
    enqueue(LOOK_AHEAD, account.pk)


@transaction.atomic
def close_account(*, account: Account, member: Member, typed_name: str) -> None:
    """Nothing runs and nobody signs in any more; all data go after a time of grace. Raises RetentionRefused."""
    if typed_name.strip() != account.name:
        raise RetentionRefused(f"Type the name of the account, {account.name}, to close it. Nothing was changed.")
    locked = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    if locked.closed_at is not None:
        return
    now = read_now()
    Account.objects.filter(pk=account.pk).update(closed_at=now)
    account.closed_at = now
    Flow.objects.of(account).update(enabled=False, next_due_at=None)
    for run in Run.objects.of(account).under_way().order_by("pk"):
        cancel_run(run=run, member=member, reason="the account was closed")
    PurgePlan.objects.update_or_create(account=account, defaults={"due_at": due_after(account, now), **UNCOUNTED})
    closed_by = {"closed_by": member.user.get_username()}
    record_audit(account=account, actor=Actor.member(member), act="account.close", target=account, after=closed_by)


@transaction.atomic
def begin_export(*, account: Account, member: Member, file_format: str) -> PurgeExport:
    """Have a worker write the errors that the next purge takes to a file. Raises RetentionRefused."""
    if file_format not in ExportFormat.values:
        raise RetentionRefused("An export is a CSV or JSON Lines file.")
    due_at = plan_of(account).due_at or read_now()
    export = PurgeExport(
        account=account, member=member, format=file_format, before=oldest_kept(account, due_at), hinted_at=read_now()
    )
    export.save(force_insert=True)
    record_audit(account=account, actor=Actor.member(member), act="purge.export", target=export)
    enqueue(WORK_EXPORT, export.pk)
    return export
