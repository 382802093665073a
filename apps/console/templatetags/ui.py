"""The parts of the design guide as template tags: no template spells out status markup or a number's format."""

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache, lru_cache

from django import template
from django.contrib.auth.base_user import AbstractBaseUser
from django.template import Context
from django.templatetags.static import static
from django.utils.safestring import SafeString

from apps.console import graphs, wording
from apps.console.context import Preferences
from apps.console.markup import markup
from apps.console.statuses import look_of
from apps.core.clock import wall_now

register = template.Library()

APPLICATION_ICONS = {
    "http": "globe",
    "sql": "database",
    "file": "file-spreadsheet",
    "sftp": "server",
    "s3": "hard-drive",
    "webhook": "webhook",
    "mail": "mail",
    "email": "mail",
    "call": "workflow",
    "lookup": "search",
    "map": "shuffle",
    "filter": "funnel",
    "branch": "split",
    "log": "scroll-text",
}


@register.simple_tag
def icon(name: str, cls: str = "") -> SafeString:
    """A symbol of the sprite. Decoration: an icon that stands alone needs an `aria-label` around it."""
    return _symbol(name, cls, _sprite())


@cache
def _sprite() -> str:
    """Its address, which stays while the server runs."""
    return static("icons.svg")


@lru_cache(maxsize=1_024)
def _symbol(name: str, cls: str, sprite: str) -> SafeString:
    return markup(
        '<svg class="i {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        cls,
        sprite,
        name,
    )


@register.simple_tag
def status(key: str, text: str = "", plain: bool = False) -> SafeString:
    """Icon, word and colour of a status; a badge in heads, `plain=True` inside table cells."""
    look = look_of(key)
    spin = "spin" if look.icon == "loader-circle" else ""
    cls = "st" if plain else "badge"
    return markup('<span class="{} {}">{}{}</span>', cls, look.role, icon(look.icon, spin), text or look.word)


@register.simple_tag
def live(number: int | None, href: str, label: str, bad: bool = False) -> SafeString:
    """A count that is true now, linked to exactly the rows it counts. `bad=True` only for open errors."""
    if not number:
        return _zero()
    text = wording.count_text(number)
    role = " bad" if bad else ""
    return markup('<a class="cnt live{}" href="{}" aria-label="{} {}">{}</a>', role, href, text, label, text)


@register.simple_tag
def snap(number: int | None, href: str = "", label: str = "", bad: bool = False) -> SafeString:
    """A count of past runs: dotted, and later fixes never change it. Without an address it is plain text."""
    if not number:
        return _zero()
    text = wording.count_text(number)
    if not href:
        return markup('<span class="num">{}</span>', text)
    role = " bad" if bad else ""
    link = '<a class="cnt snap{}" href="{}" aria-label="{} {} (snapshot)">{}</a>'
    return markup(link, role, href, text, label, text)


def _zero() -> SafeString:
    return markup('<span class="zero">{}</span>', 0)


@register.simple_tag
def app(kind: str, cls: str = "") -> SafeString:
    """The application at a step, by its connector's kind (`sql`, `http`, `file`, ...) or the step's own."""
    return markup('<span class="app-ic {}">{}</span>', cls, icon(APPLICATION_ICONS.get(kind, "plug")))


@register.simple_tag
def initials(user: AbstractBaseUser) -> str:
    """Two letters for a member's avatar, from the full name, else from the user name."""
    name = str(getattr(user, "get_full_name", str)() or user.get_username())
    words = [word for word in re.split(r"[\s._@-]+", name) if word]
    return "".join(word[0] for word in words[:2]).upper() or "?"


@register.simple_tag
def runstrip(letters: str) -> SafeString:
    """The last runs, oldest left, one letter each: see `graphs.RUN_LETTERS`."""
    return graphs.run_strip(letters)


@register.simple_tag
def pages(done: int, at_work: int, total: int, with_errors: Collection[int] = ()) -> SafeString:
    """Squares for the pages of a step; `with_errors` holds the positions of pages with errors, from 0."""
    return graphs.page_squares(done, at_work, total, with_errors)


@register.simple_tag
def spark(values: Sequence[float], role: str = "", width: int = 76, height: int = 20) -> SafeString:
    """A small line beside a number; `role` is `bad` (red) or `acc` (blue)."""
    return graphs.spark_line(values, width, height, role)


@register.simple_tag
def hist(values: Sequence[int], label: str) -> SafeString:
    """Bars per hour; `label` says what and over which time, the maximum is added."""
    return graphs.histogram(values, label)


@register.simple_tag
def sample(place: int) -> SafeString:
    """The line sample of a chart's 1st to 8th series."""
    return graphs.series_sample(place)


@register.simple_tag(takes_context=True)
def when(
    context: Context, moment: datetime | None, none: str = "never", zone: bool = False, seconds: bool = True
) -> SafeString:
    """A moment as the member reads it, absolute or relative; the other form is in the title."""
    if moment is None:
        return markup('<span class="dimmer">{}</span>', none)
    prefs, now = _reader(context)
    local = moment.astimezone(prefs.zone).isoformat(timespec="seconds")
    age = wording.age_text(moment, now)
    if prefs.times == "relative":
        title = prefs.moment(moment, now, with_zone=True)
        return markup('<time datetime="{}" title="{}" data-age>{}</time>', local, title, age)
    text = prefs.moment(moment, now, with_zone=zone, with_seconds=seconds)
    return markup('<time datetime="{}" title="{}">{}</time>', local, age, text)


@register.simple_tag(takes_context=True)
def countdown(context: Context, moment: datetime) -> SafeString:
    """The time left until a moment, as `0:48`; it ticks in the browser."""
    prefs, now = _reader(context)
    local = moment.astimezone(prefs.zone).isoformat(timespec="seconds")
    return markup('<time datetime="{}" data-at>{}</time>', local, wording.countdown_text(moment, now))


@register.simple_tag(takes_context=True)
def time_zone(context: Context) -> str:
    """`Europe/Berlin (CET, UTC+01:00)`: said once in the head of a page, not in each cell."""
    prefs, now = _reader(context)
    return wording.zone_text(prefs.zone, now)


@register.simple_tag(takes_context=True)
def clock(context: Context) -> SafeString:
    """The moment at which this page was read, with its zone; live updates move it on."""
    prefs, now = _reader(context)
    local = now.astimezone(prefs.zone)
    return markup(
        '<time class="hide-s" datetime="{}" data-clock="{}" data-zone-name="{}">{}</time>',
        local.isoformat(timespec="seconds"),
        prefs.time_zone,
        local.tzname(),
        f"{local:%H:%M:%S} {local.tzname()}",
    )


def _reader(context: Context) -> tuple[Preferences, datetime]:
    return context.get("prefs") or Preferences(), context.get("now") or wall_now()


@register.filter
def count(number: int | float | None) -> str:
    """`1,204`"""
    return wording.count_text(number)


@register.filter
def duration(length: timedelta | float | None) -> str:
    """`6 min 40 s`; a bare number is in seconds."""
    return wording.duration_text(length)
