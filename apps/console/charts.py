"""The charts of a page: their numbers as text for the script that draws them, as tables, and as a download."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from apps.analytics.axis import Unit
from apps.analytics.series import Series
from apps.console.chart_links import total_link
from apps.console.chart_range import ChartRange
from apps.console.wording import count_text

Numbers = Sequence[int | float | None]
CSV_HEADER = ("From", "Stream", "Success", "Errors", "Ignored", "Resolved", "ms per successful record")


@dataclass(frozen=True)
class Metric:
    """What one chart shows; `noun` is counted, `unit` is blank for counts per minute, hour or day."""

    name: str
    title: str
    noun: str
    numbers: Callable[[Series], Numbers]
    unit: str = ""

    def total(self, series: Sequence[Series]) -> str:
        """Over the whole range, of series that count nothing twice."""
        if self.unit:
            busy, success = (sum(sum(each.sums[name]) for each in series) for name in ("busy_ms", "success"))
            return f"{count_text(busy / success)} ms on average" if success else "no successful record"
        total = sum(number or 0 for each in series for number in self.numbers(each))
        return f"{count_text(total)} {self.noun}{'' if total == 1 else 's'}"

    def has_any(self, series: Sequence[Series]) -> bool:
        return any(number for each in series for number in self.numbers(each))


def counted(name: str) -> Callable[[Series], Numbers]:
    return lambda series: series.sums[name]


METRICS = (
    Metric("success", "Success", "record", counted("success")),
    Metric("errors", "Errors", "error", counted("errors")),
    Metric("ignored", "Ignored", "record", counted("ignored")),
    Metric("resolved", "Resolved", "error", counted("resolved")),
    Metric("ms", "Average processing time", "", lambda series: series.ms_per_success, "ms per successful record"),
)


@dataclass(frozen=True)
class TableRow:
    label: str
    texts: Sequence[str]


@dataclass(frozen=True)
class Chart:
    metric: Metric
    series: Sequence[Series]
    span: ChartRange
    total: str
    total_url: str
    has_table: bool

    @property
    def unit(self) -> str:
        return self.metric.unit or f"{self.metric.noun}s per {self.span.axis.unit}"

    @property
    def values(self) -> str:
        """Of each stream, its numbers with commas between them; semicolons between streams."""
        return ";".join(",".join(map(number_text, self.metric.numbers(each))) for each in self.series)

    @property
    def rows(self) -> Iterator[TableRow]:
        """Newest first."""
        columns = [self.metric.numbers(each) for each in self.series]
        for label, *numbers in reversed(list(zip(self.span.labels(), *columns, strict=True))):
            yield TableRow(label, [count_text(number) for number in numbers])


def charts_of(series: Sequence[Series], span: ChartRange, tables: Sequence[str]) -> list[Chart]:
    """A chart for each metric; `tables` names those whose table is open."""
    streams = [each.stream for each in series]
    outer = [each for each in series if not each.stream.is_within(streams)]
    return [
        Chart(
            metric,
            series,
            span,
            metric.total(outer),
            total_link(metric.name, [each.stream for each in outer], span) if metric.has_any(outer) else "",
            metric.name in tables,
        )
        for metric in METRICS
    ]


def number_text(number: int | float | None) -> str:
    if number is None:
        return ""
    return str(number) if isinstance(number, int) else f"{number:.3f}"


def csv_rows(series: Sequence[Series], span: ChartRange) -> Iterator[Sequence[object]]:
    """A row for each point and stream, oldest first."""
    numbers = [[metric.numbers(each) for metric in METRICS] for each in series]
    for place, moment in enumerate(span.axis.moments):
        for each, columns in zip(series, numbers, strict=True):
            *counts, ms = (column[place] for column in columns)
            yield moment, each.stream.name, *counts, None if ms is None else round(ms, 3)


UNIT_NOTES: Mapping[Unit, str] = {
    Unit.MINUTE: "1 minute",
    Unit.HOUR: "1 hour",
    Unit.DAY: "1 day",
}
