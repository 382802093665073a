"""The stretch of time that a page's numbers are about, as its address says it: `?range=7d`, or custom from and to."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from apps.core.clock import wall_now
from apps.runs.buckets import HALF_HOUR_S

Presets = Mapping[str, tuple[str, timedelta]]
PRESETS: Presets = {
    "1h": ("last hour", timedelta(hours=1)),
    "24h": ("last 24 hours", timedelta(hours=24)),
    "7d": ("last 7 days", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
}
CUSTOM = "custom"


@dataclass(frozen=True)
class Range:
    """[since, until); `until` is None while the range ends now. `problem` says what was wrong with the address."""

    key: str
    label: str
    since: datetime
    until: datetime | None = None
    problem: str = ""

    @property
    def started_query(self) -> str:
        """What the sums of the buckets count, as filters of a flow's history: ended runs by when they started."""
        return f"{self._slots_as('from', 'to')}&status=ended"

    @property
    def resolved_query(self) -> str:
        """The same as a filter of resolved errors."""
        return self._slots_as("resolved_from", "resolved_to")

    def _slots_as(self, first: str, end: str) -> str:
        moments = {first: self.counted_since, end: self.counted_until}
        return "&".join(f"{name}={moment:%Y-%m-%dT%H:%MZ}" for name, moment in moments.items() if moment)

    @property
    def counted_since(self) -> datetime:
        """The start of the first half hour that the range touches: sums of buckets count from here."""
        return datetime.fromtimestamp(self.first_slot * HALF_HOUR_S, UTC)

    @property
    def counted_until(self) -> datetime | None:
        """The end of the last one."""
        return None if self.end_slot is None else datetime.fromtimestamp(self.end_slot * HALF_HOUR_S, UTC)

    @property
    def first_slot(self) -> int:
        """The half hour of the analytics buckets in which the range starts."""
        return int(self.since.timestamp()) // HALF_HOUR_S

    @property
    def end_slot(self) -> int | None:
        """The half hour after the last one."""
        return None if self.until is None else -(-int(self.until.timestamp()) // HALF_HOUR_S)


def range_of(
    params: Mapping[str, str],
    zone: ZoneInfo,
    *,
    default: str = "7d",
    now: datetime | None = None,
    presets: Presets = PRESETS,
) -> Range:
    """The range that a page's query asks for: a preset, or from and to. Times without a zone are in `zone`."""
    moment = now or wall_now()
    key = params.get("range", default)
    usual = preset_range(default, moment, presets=presets)
    if key == CUSTOM or params.get("from") or params.get("to"):
        return _custom(params.get("from", ""), params.get("to", ""), zone, usual)
    if key not in presets:
        return replace(usual, problem=f"There is no range {key[:20]!r}.")
    return preset_range(key, moment, presets=presets)


def preset_range(key: str, now: datetime, problem: str = "", *, presets: Presets = PRESETS) -> Range:
    label, length = presets[key]
    return Range(key, label, now - length, None, problem)


def _custom(since_text: str, until_text: str, zone: ZoneInfo, fallback: Range) -> Range:
    since, until = _moment(since_text, zone, is_end=False), _moment(until_text, zone, is_end=True)
    if since is None or (until is None and until_text):
        problem = f"From and to are dates like 2026-11-20 or times like 2026-11-20T15:04; shown: {fallback.label}."
        return Range(fallback.key, fallback.label, fallback.since, None, problem)
    if until is not None and until <= since:
        problem = f"The range ends before it starts; shown: {fallback.label}."
        return Range(fallback.key, fallback.label, fallback.since, None, problem)
    label = f"{since_text.replace('T', ' ')} to {until_text.replace('T', ' ') or 'now'}"
    return Range(CUSTOM, label, since, until)


def _moment(text: str, zone: ZoneInfo, *, is_end: bool) -> datetime | None:
    """A whole day as an end means until it is over. None for what cannot be read."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        if is_end and len(text) == len("2026-11-20"):
            moment = datetime.combine(moment.date() + timedelta(days=1), time(), zone)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
