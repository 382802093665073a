"""When an account is purged: each night at three on its own wall; a closed one once, after a time of grace."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from apps.accounts.models import Account

AT = time(3)
GRACE = timedelta(days=7)
"""A closed account can be opened again for so long."""
NOTICE = timedelta(hours=24)
"""A shorter retention takes nothing for so long."""


def next_night(account: Account, after: datetime) -> datetime:
    zone = ZoneInfo(account.time_zone)
    local = after.astimezone(zone)
    night = datetime.combine(local.date(), AT, zone)
    return night if night > local else datetime.combine(local.date() + timedelta(days=1), AT, zone)


def due_after(account: Account, now: datetime) -> datetime:
    """The next purge of an account as it is now."""
    if account.closed_at is not None:
        return account.closed_at + GRACE
    return next_night(account, now)


def oldest_kept(account: Account, at: datetime) -> datetime:
    """What occurred before this goes with a purge at that time."""
    return at - timedelta(days=account.retention_days)
