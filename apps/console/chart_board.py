"""A page of charts as its address asks for it: range, streams, tables, what is hidden; the same for live updates."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.safestring import SafeString

from apps.accounts.reach import Reach
from apps.analytics.changes import Change, Changes, changes_in
from apps.analytics.series import Series, read_series
from apps.analytics.streams import MOST_STREAMS, Stream
from apps.console.chart_range import BUTTONS, ChartRange
from apps.console.chart_streams import Choice, Offers
from apps.console.charts import METRICS, UNIT_NOTES, Chart, charts_of
from apps.console.markup import markup

ALL_TABLES = ",".join(metric.name for metric in METRICS)


@dataclass(frozen=True)
class Chip:
    """A stream in the legend; its link hides it in the charts, or shows it again."""

    stream: Stream
    place: int
    is_off: bool
    href: str


def stream_box(stream: Stream, is_shown: bool) -> SafeString:
    text = '<label class="{}"><input type="checkbox" name="stream" value="{}"{}>{}</label>'
    return markup(text, stream.kind.name.lower(), stream.key, " checked" if is_shown else "", stream.name)


@dataclass(frozen=True)
class Board:
    reach: Reach
    query: QueryDict
    span: ChartRange
    offers: Offers
    choice: Choice

    @property
    def streams(self) -> Sequence[Stream]:
        return self.choice.streams

    @cached_property
    def series(self) -> list[Series]:
        return read_series(self.reach, self.streams, self.span.axis)

    @cached_property
    def changes(self) -> Changes:
        flows = self.offers.flows_in(self.streams)
        return changes_in(self.reach.account_id, flows, self.span.since, self.span.until)

    @cached_property
    def charts(self) -> list[Chart]:
        return charts_of(self.series, self.span, self.tables)

    @property
    def stream_boxes(self) -> SafeString:
        """All streams to tick, hundreds in a large account."""
        shown = set(self.streams)
        return SafeString("".join(stream_box(stream, stream in shown) for stream in self.offers.streams))

    @property
    def tables(self) -> list[str]:
        """The charts whose table is open."""
        asked = self.query.get("tables", "").split(",")
        return [metric.name for metric in METRICS if metric.name in asked]

    @property
    def off(self) -> list[str]:
        asked = self.query.get("off", "").split(",")
        return [stream.key for stream in self.streams if stream.key in asked]

    # --- links --------------------------------------------------------------------------------------------------------
    def address(self, **changes: str) -> str:
        """This page's address with these parameters; blank ones go."""
        query = self.query.copy()
        for name, value in changes.items():
            query.pop(name, None)
            if value:
                query[name] = value
        query.pop("format", None)
        query.update({"format": "csv"} if changes.get("format") else {})
        return f"?{query.urlencode(safe=':,')}"

    @property
    def presets(self) -> list[tuple[str, str, bool]]:
        """(label, address, whether it is shown)"""
        away = {"from": "", "to": ""}
        return [(text, self.address(range=key, **away), key == self.span.key) for key, text in BUTTONS.items()]

    @property
    def chips(self) -> list[Chip]:
        off = self.off
        return [
            Chip(stream, place, stream.key in off, self.address(off=toggled(off, stream.key)))
            for place, stream in enumerate(self.streams, 1)
        ]

    @property
    def csv_url(self) -> str:
        return self.address(format="csv")

    @property
    def all_tables_url(self) -> str:
        return self.address(tables=ALL_TABLES)

    @property
    def cards(self) -> list[tuple[Chart, str]]:
        """Each chart with the address that opens or closes its table."""
        tables = self.tables
        return [
            (chart, f"{self.address(tables=toggled(tables, chart.metric.name))}#chart-{chart.metric.name}")
            for chart in self.charts
        ]

    def hidden_fields(self, *without: str) -> list[tuple[str, str]]:
        skipped = {*without, "format"}
        return [(name, value) for name in self.query for value in self.query.getlist(name) if name not in skipped]

    @property
    def fields_beside_range(self) -> list[tuple[str, str]]:
        return self.hidden_fields("range", "from", "to")

    @property
    def fields_beside_streams(self) -> list[tuple[str, str]]:
        return self.hidden_fields("stream", "off")

    # --- words --------------------------------------------------------------------------------------------------------
    @property
    def problems(self) -> list[str]:
        coarser = "Minutes are kept for 5 days: this range is shown by hour." if self.span.axis.is_coarser else ""
        return [problem for problem in (self.span.problem, coarser, self.choice.problem) if problem]

    @property
    def point_length(self) -> str:
        return UNIT_NOTES[self.span.axis.unit]

    @property
    def labels(self) -> str:
        return "|".join(self.span.labels())

    @property
    def starts(self) -> str:
        return ",".join(map(str, self.span.axis.starts))

    @property
    def most_streams(self) -> int:
        return MOST_STREAMS

    @property
    def marked(self) -> list[tuple[Change, int, str]]:
        """Each change with its second since 1970, and how the charts call it."""
        return [(change, int(change.at.timestamp()), self._mark(change)) for change in reversed(self.changes.rows)]

    def _mark(self, change: Change) -> str:
        when = self.span.prefs.moment(change.at, self.span.now, with_seconds=False)
        return f"{when} {change.text}, {change.who}"

    @property
    def live_key(self) -> str:
        """What the live topic needs to read the same again."""
        streams = [stream.key for stream in self.streams]
        query = {"range": self.span.key, "stream": streams, "tables": "+".join(self.tables)}
        return urlencode(query, doseq=True)


def toggled(names: Sequence[str], name: str) -> str:
    kept = [other for other in names if other != name]
    return ",".join(kept if name in names else [*names, name])
