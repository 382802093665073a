"""What every page shows around its content: the member's preferences, the navigation, the state of the workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject

from apps.accounts.models import Member, Profile
from apps.accounts.permissions import Act
from apps.accounts.selectors import active_members
from apps.console.access import ENVIRONMENTS, environment_of, find_member, may_do
from apps.console.selectors.pulse import Pulse, pulse_of
from apps.console.wording import DAY_FIRST, duration_text, moment_text
from apps.core.clock import wall_now

THEMES = ("system", "light", "dark")


@dataclass(frozen=True)
class Preferences:
    """How one member reads the console. The defaults are for everyone who has not chosen."""

    theme: str = "system"
    times: str = "absolute"  # or relative
    time_zone: str = settings.TIME_ZONE
    date_order: str = DAY_FIRST  # or month, year
    density: str = "compact"  # or comfortable
    shortcuts: bool = True
    hidden_columns: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by list
    default_range: str = "7d"  # of dashboards and charts whose address names none

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def moment(self, moment: datetime, now: datetime, *, with_seconds: bool = True, with_zone: bool = False) -> str:
        """`20 Nov 15:02:41`, in the member's zone and order."""
        return moment_text(
            moment, now, self.zone, order=self.date_order, with_seconds=with_seconds, with_zone=with_zone
        )


@dataclass(frozen=True)
class Crumb:
    """One place in the path above a page; the last has no address, for it is the page itself."""

    label: str
    href: str = ""


@dataclass(frozen=True)
class NavCount:
    """The number beside a place in the navigation; `bad` only for open errors and what is offline."""

    text: str
    bad: bool = False
    hint: str = ""  # read out after the number: "open"


@dataclass(frozen=True)
class Shell:
    """Counts by the name of a place, and the facts at the foot of the navigation."""

    counts: Mapping[str, NavCount] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)  # "Workers": "3 of 3 up"


@dataclass(frozen=True)
class Place:
    name: str
    label: str
    icon: str
    url_name: str
    key: str = ""
    group: str = ""  # empty: the main places; else the heading above
    act: Act | None = None  # shown to those who may do this; None: to everyone
    href: str = ""
    count: NavCount | None = None


PLACES = (
    Place("dashboard", "Dashboard", "layout-dashboard", "console:dashboard", "g d"),
    Place("errors", "Errors", "triangle-alert", "console:error-list", "g e"),
    Place("integrations", "Integrations", "blocks", "console:integration-list", "g i"),
    Place("connections", "Connections", "plug", "console:connection-list", "g c"),
    Place("analytics", "Analytics", "chart-line", "console:analytics", "g a"),
    Place("members", "Users and roles", "users", "console:member-list", group="Account"),
    Place("notifications", "Notifications", "bell", "console:notification-list", group="Account"),
    Place("tokens", "API tokens", "key-round", "console:token-list", group="Account"),
    Place("webhooks", "Webhooks", "webhook", "console:webhook-list", group="Account", act=Act.EDIT_CONNECTIONS),
    Place("retention", "Retention", "hard-drive", "console:retention", group="Account", act=Act.SET_RETENTION),
    Place("rules", "Rules", "zap", "console:rule-list", group="Account"),
    Place("audit", "Audit log", "scroll-text", "console:audit-log", group="Account", act=Act.READ_AUDIT),
    Place("support", "Support bundle", "life-buoy", "console:support-bundle", group="Account"),
)


def console(request: HttpRequest) -> dict[str, Any]:
    """The context processor. Everything is lazy: a fragment that shows none of it asks the database nothing."""
    return {
        "prefs": SimpleLazyObject(lambda: preferences_of(request)),
        "environment": SimpleLazyObject(lambda: environment_of(request)),
        "environments": ENVIRONMENTS,
        "themes": THEMES,
        "memberships": SimpleLazyObject(lambda: memberships_of(request)),
        "places": SimpleLazyObject(lambda: places_of(request)),
        "shell": SimpleLazyObject(lambda: shell_of(request)),
        "big_purge_at": lambda: big_purge_of(request),
        "profile_url": SimpleLazyObject(lambda: address_of("console:profile")),
        "help_url": SimpleLazyObject(lambda: address_of("console:help")),
        "search_url": SimpleLazyObject(lambda: address_of("console:search")),
    }


def memberships_of(request: HttpRequest) -> list[tuple[Member, bool]]:
    """The user as a member of each of his accounts, and whether it is the one on screen."""
    chosen = find_member(request)
    if chosen is None:
        return []
    return [(member, member.pk == chosen.pk) for member in active_members(request.user)]


def preferences_of(request: HttpRequest) -> Preferences:
    """The signed-in member's preferences, else the defaults."""
    if not hasattr(request, "flowmend_preferences"):
        member = find_member(request)  # the profile comes with the member
        if member is not None:
            found = profile_of(member.user, member.account.time_zone)
        else:
            found = profile_of(getattr(request, "user", None))
        request.flowmend_preferences = found  # type: ignore[attr-defined]
    preferences: Preferences = request.flowmend_preferences  # type: ignore[attr-defined]
    return preferences


def profile_of(user: Any, time_zone: str = settings.TIME_ZONE) -> Preferences:
    """What the user's profile says, or the defaults for a user who has none; `time_zone`: where it names none."""
    profile: Profile | None = getattr(user, "profile", None)
    if profile is None:
        return Preferences(time_zone=time_zone)
    return Preferences(
        theme=profile.theme,
        times=profile.times,
        time_zone=profile.time_zone or time_zone,
        date_order=profile.date_order,
        density=profile.density,
        shortcuts=profile.shortcuts_on,
        hidden_columns=profile.hidden_columns,
        default_range=profile.default_range,
    )


def shell_of(request: HttpRequest) -> Shell:
    """Counts and facts around the page; empty for whoever has no account."""
    return shell_with(pulse_of(request)) if find_member(request) else Shell()


def big_purge_of(request: HttpRequest) -> datetime | None:
    """When a purge takes much, for those who set the retention."""
    return pulse_of(request).big_purge_at if may_do(request, Act.SET_RETENTION) else None


def shell_with(pulse: Pulse) -> Shell:
    """Every count and fact is always there, so that a live update finds its place."""
    offline = NavCount(f"{pulse.offline:,} offline", bad=True) if pulse.offline else NavCount("0", hint="offline")
    oldest = pulse.oldest_queued_at
    counts = {
        "dashboard": NavCount(f"{pulse.running:,} running"),
        "errors": NavCount(f"{pulse.open_errors:,}", bad=pulse.open_errors > 0, hint="open"),
        "connections": offline,
    }
    facts = {
        "Workers": f"{pulse.workers_up:,} of {pulse.workers:,} up" if pulse.workers else "none up",
        "Queue": f"{pulse.queued:,} run{'' if pulse.queued == 1 else 's'}",
        "Oldest": duration_text(wall_now() - oldest) if oldest else "none",
    }
    return Shell(counts, facts)


def places_of(request: HttpRequest) -> list[Place]:
    """The places that exist and that this member may go to, each with its address and count; none before signing in."""
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return []
    counts = shell_of(request).counts
    open_to = [place for place in PLACES if place.act is None or may_do(request, place.act)]
    found = ((place, address_of(place.url_name)) for place in open_to)
    return [replace(place, href=href, count=counts.get(place.name)) for place, href in found if href]


def address_of(url_name: str) -> str:
    """The address of a page, or nothing while the page does not exist: no dead links."""
    try:
        return reverse(url_name)
    except NoReverseMatch:
        return ""
