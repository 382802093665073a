"""Where the total above a chart leads: to the errors that it counts, or to the runs that brought the records."""

from collections.abc import Sequence
from urllib.parse import urlencode

from django.urls import reverse

from apps.analytics.streams import Stream, StreamKind
from apps.console.chart_range import PRESETS, ChartRange

ERRORS = {"errors": ("", "all"), "resolved": ("resolved_", "resolved")}
"""Of the charts that count errors: which of their moments is meant, and in which state they are."""


def total_link(metric: str, streams: Sequence[Stream], span: ChartRange) -> str:
    """`streams` count nothing twice. Blank where no list is of exactly these: of several flows or integrations."""
    if len(streams) != 1:
        return ""
    (stream,) = streams
    if metric in ERRORS:
        prefix, state = ERRORS[metric]
        query = {"view": "list", "state": state} | place_of(stream) | moments_of(span, prefix)
        return f"{reverse('console:error-list')}?{urlencode(query, safe=':')}"
    return f"{runs_url(stream)}?{urlencode(moments_of(span), safe=':')}"


def place_of(stream: Stream) -> dict[str, str]:
    """The stream as a filter of the account's errors."""
    if stream.kind == StreamKind.FLOW:
        return {"flow": str(stream.pk)}
    return {"integration": stream.slug} if stream.slug else {}


def runs_url(stream: Stream) -> str:
    """The runs of a flow; of more than that what each of the flows did."""
    if stream.kind == StreamKind.FLOW:
        return reverse("console:flow-history", args=[stream.pk])
    return reverse("console:integration-dashboard", args=[stream.slug]) if stream.slug else reverse("console:dashboard")


def moments_of(span: ChartRange, prefix: str = "") -> dict[str, str]:
    """From and to; a range that ends now stays open, for its numbers go on."""
    moments = {"from": span.since} if span.key in PRESETS else {"from": span.since, "to": span.until}
    return {f"{prefix}{name}": f"{moment:%Y-%m-%dT%H:%MZ}" for name, moment in moments.items()}
