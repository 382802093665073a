"""The windows of digests: every quarter of an hour each environment's news are gathered, exactly once.

A window and the deliveries that follow from it are one transaction; sending them is another matter. A window that
comes late, after downtime, takes in all that happened since the one before.

Which error was told in which window stands in its notice. It is found by when it occurred and written down by its own
transaction later, so every window looks back by more than any transaction lasts.
"""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Exists, OuterRef, Q

from apps.accounts.models import Account
from apps.core.clock import database_now, read_now
from apps.core.transactions import repeated
from apps.errors.models import Assignment, Error
from apps.errors.states import ErrorState
from apps.flows.models import Environment
from apps.notifications.deliveries import forget_old
from apps.notifications.digests import write_digests
from apps.notifications.models import DigestWindow, Notice, Subscription
from apps.notifications.thresholds import write_thresholds

WINDOW = timedelta(minutes=15)
LOOK_BACK = timedelta(hours=1)
MOST_AT_ONCE = 100
LOG_KEPT = timedelta(days=90)
A_DAY = timedelta(days=1) // WINDOW
KEPT = 30 * A_DAY
"""So many windows after an error was told as resolved its notice is forgotten."""
LONGEST_KEPT = 200 * A_DAY
"""Longer than an account keeps its errors."""


def next_end(now: datetime) -> datetime:
    """The next full quarter of an hour."""
    begun = now.replace(minute=now.minute - now.minute % 15, second=0, microsecond=0)
    return begun + WINDOW


# --- when ------------------------------------------------------------------------------------------------------------
def begin_windows() -> None:
    """Give an account its windows when somebody subscribes, or is given an error."""
    begun = DigestWindow.objects.of(OuterRef("pk"))
    wanted = Exists(Subscription.objects.of(OuterRef("pk"))) | Exists(
        Assignment.objects.of(OuterRef("pk")).filter(mailed_at__isnull=True)
    )
    for account in Account.objects.filter(wanted, ~Exists(begun), closed_at__isnull=True)[:MOST_AT_ONCE]:
        begin_windows_of(account)


def begin_windows_of(account: Account) -> None:
    """What has occurred before is told to nobody. Harmless where they have begun."""
    now = read_now()
    rows = [
        DigestWindow(account=account, environment=name, told_from=now, ended_at=now, next_at=next_end(now))
        for name in Environment.values
    ]
    DigestWindow.objects.of(account).bulk_create(rows, ignore_conflicts=True)


# --- what ------------------------------------------------------------------------------------------------------------
@repeated
def end_window(account_id: int, window_id: int) -> int:
    """End a window that is due; returns how many deliveries follow from it. Harmless when it was ended by another."""
    rows = DigestWindow.objects.of(account_id).select_for_update(of=("self",)).select_related("account")
    window = rows.filter(pk=window_id, next_at__lte=database_now()).first()
    if window is None:
        return 0
    before, now = window.ended_at, read_now()
    window.number, window.ended_at, window.next_at, window.hinted_until = window.number + 1, now, next_end(now), None
    is_heard = window.account.closed_at is None and has_listeners(window)
    if is_heard:
        note_errors(window, before)
    else:
        window.told_from = now
    window.save()
    forget_old(window.account_id, now - LOG_KEPT)
    if window.account.closed_at is not None:
        return 0
    return write_digests(window, before) + (write_thresholds(window) if is_heard else 0)


def has_listeners(window: DigestWindow) -> bool:
    wanted = Q(errors=True) | Q(more_new__isnull=False) | Q(more_open__isnull=False)
    subscriptions = Subscription.objects.of(window.account_id).filter(wanted, environment=window.environment)
    return bool(subscriptions.exists())


def note_errors(window: DigestWindow, before: datetime) -> None:
    """Write down which errors this window tells as new and which as resolved; five statements, however many there are.

    An error that is tried again by itself, or is being retried, waits until that has ended; one that is resolved
    meanwhile is never told.
    """
    see_errors(window, max(window.told_from, before - LOOK_BACK))
    notices = Notice.objects.of(window.account_id).filter(environment=window.environment)
    waiting = notices.filter(new_window__isnull=True)
    settled = {"error__retry_run__isnull": True, "error__next_attempt_at__isnull": True}
    waiting.filter(error__state=ErrorState.OPEN, **settled).update(new_window=window.number)
    still_open = Error.objects.of(window.account_id).filter(pk=OuterRef("error_id"), state=ErrorState.OPEN)
    waiting.filter(~Exists(still_open)).delete()
    told = notices.filter(new_window__lt=window.number, resolved_window__isnull=True)
    resolved = {"error__state": ErrorState.RESOLVED, "error__resolved_at__gte": before - LOOK_BACK}
    told.filter(**resolved).update(resolved_window=window.number)
    is_old = Q(resolved_window__lte=window.number - KEPT) | Q(new_window__lte=window.number - LONGEST_KEPT)
    notices.filter(is_old).delete()


def see_errors(window: DigestWindow, since: datetime) -> None:
    """A notice for every open error that has none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO notice (error_id, account_id, environment, flow_id) "
            "SELECT e.id, e.account_id, i.environment, e.flow_id FROM error e "
            "JOIN flow f ON f.id = e.flow_id JOIN integration i ON i.id = f.integration_id "
            "WHERE e.account_id = %s AND i.environment = %s AND e.state = 'open' AND e.occurred_at >= %s "
            "AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.error_id = e.id)",
            [window.account_id, window.environment, connection.ops.adapt_datetimefield_value(since)],
        )
