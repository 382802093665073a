"""A stretch of time that a list may be narrowed to: `range=7d`, or `from=` and `to=`; without any of them any time.

A second stretch of the same list has a prefix in front of these names: `resolved_range=7d`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.http import HttpRequest, QueryDict

from apps.console.filters import Choice, Filter, address_with, hidden_fields
from apps.console.ranges import PRESETS


@dataclass(frozen=True)
class Span:
    """[since, until); None leaves that end open. `name` is a preset's, "custom", or "" for any time.

    `problem` says what of the address could not be read, and was left out.
    """

    name: str = ""
    since: datetime | None = None
    until: datetime | None = None
    text: str = "any time"
    problem: str = ""


def span_of(request: HttpRequest, zone: ZoneInfo, now: datetime) -> Span:
    """What the address names. A time without a zone is in the reader's."""
    return span_in(request.GET, zone, now)


def span_in(query: QueryDict, zone: ZoneInfo, now: datetime, *, prefix: str = "") -> Span:
    """The same for the query of another list, or for a second stretch."""
    given = [query.get(f"{prefix}{name}", "").strip() for name in ("from", "to")]
    if any(given):
        return _custom(given, zone)
    name = query.get(f"{prefix}range", "")
    if name not in PRESETS:
        return Span()
    words, length = PRESETS[name]
    return Span(name, now - length, None, words)


def _custom(given: Sequence[str], zone: ZoneInfo) -> Span:
    since, until = (_moment(text, zone) for text in given)
    bad = [text for text, moment in zip(given, (since, until), strict=True) if text and moment is None]
    problem = f"“{bad[0][:40]}” is no time such as 2026-11-20T15:04, so it was left out." if bad else ""
    words = [f"from {since.astimezone(zone):%Y-%m-%d %H:%M}"] if since else []
    words += [f"to {until.astimezone(zone):%Y-%m-%d %H:%M}"] if until else []
    return Span("custom" if words else "", since, until, " ".join(words) or "any time", problem)


def _moment(text: str, zone: ZoneInfo) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        aware.astimezone(zone)
    except (ValueError, OverflowError):
        return None
    return aware


@dataclass(frozen=True)
class SpanFilter:
    """The menu of presets, and the form for a span of one's own."""

    menu: Filter
    since: str
    until: str
    hidden: Sequence[tuple[str, str]]
    prefix: str = ""


def span_filter(request: HttpRequest, label: str, span: Span, *, prefix: str = "") -> SpanFilter:
    own, since, until = (f"{prefix}{name}" for name in ("range", "from", "to"))
    away = {since: "", until: ""}
    any_time = address_with(request, **{own: ""}, **away)
    choices = [Choice("", "any time", any_time, not span.name)]
    choices += [
        Choice(name, words, address_with(request, **{own: name}, **away), name == span.name)
        for name, (words, _) in PRESETS.items()
    ]
    menu = Filter(own, label, span.text, tuple(choices), any_time if span.name else "")
    given = (request.GET.get(since, ""), request.GET.get(until, ""))
    return SpanFilter(menu, *given, hidden_fields(request, own, since, until), prefix)
