"""Quiet hours and daily digests: whose digest waits for a later window, and until when a message at once waits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from apps.accounts.models import Member
from apps.core.bulk import in_array, insert_rows
from apps.notifications.models import DigestWindow, HeldDigest, Preference


@dataclass(frozen=True, slots=True)
class Wish:
    """When a member wants mails, in his own time zone."""

    zone: ZoneInfo
    quiet_from: time | None
    quiet_to: time | None
    daily_at: time | None

    def is_quiet(self, now: datetime) -> bool:
        """Quiet hours may go over midnight."""
        if self.quiet_from is None or self.quiet_to is None or self.quiet_from == self.quiet_to:
            return False
        local = now.astimezone(self.zone).time()
        if self.quiet_from < self.quiet_to:
            return self.quiet_from <= local < self.quiet_to
        return local >= self.quiet_from or local < self.quiet_to

    def quiet_until(self, now: datetime) -> datetime:
        """The end of the quiet hours that it is in."""
        assert self.quiet_to is not None
        return next_time(self.quiet_to, now, self.zone)

    def is_held(self, since: datetime, now: datetime) -> bool:
        """Whether the digest of a window that ends now waits; `since`: when the last one that he got had ended."""
        if self.is_quiet(now):
            return True
        return self.daily_at is not None and next_time(self.daily_at, since, self.zone) > now


def next_time(wanted: time, after: datetime, zone: ZoneInfo) -> datetime:
    """The next moment after this one at which the clocks of a zone show this time."""
    local = after.astimezone(zone)
    moment = datetime.combine(local.date(), wanted, zone)
    if moment <= local:
        moment = datetime.combine(local.date() + timedelta(days=1), wanted, zone)
    return moment


@dataclass(frozen=True, slots=True)
class Held:
    """The last window that a member was told, and when his digests began to be held back."""

    window: int
    since: datetime


@dataclass(frozen=True)
class Holding:
    """`kept`: members whose digest waits now. `told`: those whose digests have waited and are told now."""

    kept: frozenset[int]
    told: Mapping[int, Held]
    new: frozenset[int]
    last: int

    def first_window(self, members: Iterable[int]) -> int:
        """The last window that each of them was told."""
        return min((self.told[member].window for member in members if member in self.told), default=self.last)


def wishes_of(account: int) -> dict[int, Wish]:
    """The wishes of those members who have any; one query."""
    rows = Preference.objects.of(account).select_related("member__user__profile", "member__account")
    return {row.member_id: wish_of(row) for row in rows}


def ends_of_quiet_hours(account: int, now: datetime) -> dict[int, datetime]:
    """Member id -> when the quiet hours end that he is in."""
    return {member: wish.quiet_until(now) for member, wish in wishes_of(account).items() if wish.is_quiet(now)}


def wish_of(preference: Preference) -> Wish:
    return Wish(zone_of(preference.member), preference.quiet_from, preference.quiet_to, preference.daily_at)


def zone_of(member: Member) -> ZoneInfo:
    """The member's own time zone, else that of the account."""
    profile = getattr(member.user, "profile", None)
    return ZoneInfo(profile.time_zone if profile is not None and profile.time_zone else member.account.time_zone)


def holding_of(window: DigestWindow, members: set[int], before: datetime) -> Holding:
    """Two queries."""
    held = {
        row.member_id: Held(row.window, row.since)
        for row in HeldDigest.objects.of(window.account_id).filter(environment=window.environment)
    }
    wishes = wishes_of(window.account_id)
    kept = {
        member
        for member, wish in wishes.items()
        if member in members and wish.is_held(held[member].since if member in held else before, window.ended_at)
    }
    told = {member: row for member, row in held.items() if member in members and member not in kept}
    return Holding(frozenset(kept), told, frozenset(kept - set(held)), window.number - 1)


def hold(window: DigestWindow, holding: Holding, before: datetime) -> None:
    """Remember whose digests wait from now on, forget whose have been told."""
    rows = HeldDigest.objects.of(window.account_id).filter(environment=window.environment)
    if holding.told:
        condition, params = in_array("member_id", sorted(holding.told))
        rows.extra(where=[condition], params=params).delete()  # noqa: S610 (a constant)
    last = window.number - 1
    insert_rows(
        HeldDigest,
        ["account", "member", "environment", "window", "since"],
        [(window.account_id, member, window.environment, last, before) for member in sorted(holding.new)],
    )
