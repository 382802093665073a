"""The time that charts show: a preset or a range of one's own, up to a year, as the address says it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apps.analytics.axis import Axis, Unit, axis_of
from apps.console.context import Preferences
from apps.console.ranges import Presets, preset_range, range_of
from apps.console.wording import date_text

PRESETS: Presets = {
    "1h": ("last hour", timedelta(hours=1)),
    "4h": ("last 4 hours", timedelta(hours=4)),
    "24h": ("last 24 hours", timedelta(hours=24)),
    "4d": ("last 4 days", timedelta(days=4)),
    "7d": ("last 7 days", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
    "1y": ("last year", timedelta(days=365)),
}
BUTTONS = {"1h": "1 h", "4h": "4 h", "24h": "24 h", "4d": "4 days", "7d": "7 days", "30d": "30 days", "1y": "1 year"}
LONGEST = timedelta(days=366)
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class ChartRange:
    """`key` is a preset's or "custom"; `until`: where the numbers end, at most now; `problem`: see `Range`."""

    key: str
    axis: Axis
    until: datetime
    now: datetime
    prefs: Preferences
    problem: str = ""

    @property
    def is_live(self) -> bool:
        """Whether new numbers come in and move the charts: days are too coarse to be watched."""
        return self.key in PRESETS and self.axis.unit != Unit.DAY

    @property
    def since(self) -> datetime:
        return datetime.fromtimestamp(self.axis.starts[0], UTC)

    @property
    def text(self) -> str:
        """`16 Nov 15:00 to 20 Nov 15:00`"""
        since, until = (self.prefs.moment(moment, self.now, with_seconds=False) for moment in (self.since, self.until))
        return f"{since} to {until}"

    @property
    def fields(self) -> tuple[str, str]:
        """From and to as a form's fields have them, in the reader's zone."""
        local = (moment.astimezone(self.prefs.zone) for moment in (self.since, self.until))
        since, until = (f"{moment:%Y-%m-%dT%H:%M}" for moment in local)
        return since, until

    def labels(self) -> list[str]:
        """Each point in words; with the zone where an hour may come twice."""
        if self.axis.unit == Unit.DAY:
            today = self.now.astimezone(self.prefs.zone)
            days = (moment.astimezone(self.prefs.zone) for moment in self.axis.moments)
            return [date_text(day, today, self.prefs.date_order) for day in days]
        offsets = {moment.astimezone(self.prefs.zone).utcoffset() for moment in (self.since, self.until)}
        return [
            self.prefs.moment(moment, self.now, with_seconds=False, with_zone=len(offsets) > 1)
            for moment in self.axis.moments
        ]


def chart_range(params: Mapping[str, str], prefs: Preferences, now: datetime) -> ChartRange:
    """The range that the address asks for, else the member's default one."""
    span = range_of(params, prefs.zone, default=prefs.default_range, now=now, presets=PRESETS)
    since, until = span.since, min(span.until or now, now)
    if since >= until:
        why = f"The range has not begun yet; shown: {PRESETS[prefs.default_range][0]}."
        span = preset_range(prefs.default_range, now, why, presets=PRESETS)
        since, until = span.since, now
    problem = span.problem
    if until - since > LONGEST:
        since, problem = until - YEAR, "A range covers a year at most; shown: the year before its end."
    return ChartRange(span.key, axis_of(since, until, prefs.zone, now), until, now, prefs, problem)
