"""The cells of a flow in the lists of flows. A list has hundreds of them: as templates they took most of its time."""

from collections.abc import Mapping
from typing import Any

from django import template
from django.template import Context
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.console.markup import markup
from apps.console.selectors.completed import FlowRow, Latest, RangeSums
from apps.console.selectors.strip import OpenCount
from apps.console.templatetags.runs import ms_per_record
from apps.console.templatetags.ui import live, runstrip, snap, status, when
from apps.console.wording import duration_text

register = template.Library()
OUT_OF_BAND = SafeString(' hx-swap-oob="true"')
NOTHING = SafeString("")


@register.simple_tag(takes_context=True)
def open_cell(context: Context, flow: Any, opened: OpenCount, oob: bool = False) -> SafeString:
    """What is open now, and when the last error came. `oob`: as a live update."""
    return markup(
        '<td class="r gl two-line" id="flow-{}-open"{} data-th="Open errors">{} {}</td>',
        flow.pk,
        OUT_OF_BAND if oob else NOTHING,
        live(opened.errors, reverse("console:flow-errors", args=[flow.pk]), "open errors", bad=True),
        markup('<span class="sub num">{}</span>', when(context, opened.last_error_at))
        if opened.last_error_at
        else NOTHING,
    )


@register.simple_tag(takes_context=True)
def status_cell(context: Context, flow: Any, latest: Latest, oob: bool = False) -> SafeString:
    """The latest run: its status, when it was, and how long it took."""
    took = duration_text(latest.took)
    return markup(
        '<td class="gl two-line" id="flow-{}-status"{} data-th="Last run"{}>{}{}</td>',
        flow.pk,
        OUT_OF_BAND if oob else NOTHING,
        markup(' title="Took {}"', took) if took else NOTHING,
        status(latest.status, plain=True),
        _moment_of(context, latest, took),
    )


def _moment_of(context: Context, latest: Latest, took: str) -> SafeString:
    if latest.at is None:
        return NOTHING
    before, after = "last " if latest.is_queued else "", f", {took}" if took else ""
    return markup('<span class="sub num">{}{}{}</span>', before, when(context, latest.at), after)


@register.simple_tag
def strip_cell(flow: Any, latest: Latest, oob: bool = False) -> SafeString:
    """Its last runs."""
    swap = OUT_OF_BAND if oob else NOTHING
    return markup('<td class="hide-s" id="flow-{}-runs"{}>{}</td>', flow.pk, swap, runstrip(latest.letters))


SNAPSHOTS = (
    ("runs", "runs", "r gl", "Runs", "runs", False),
    ("success", "success", "r", "Success", "records that went through in these runs", False),
    ("ignored", "ignored", "r", "Ignored", "records that these runs ignored", False),
    ("errors", "errors", "r", "Errors in range", "errors in these runs", True),
)
"""(column, sum, classes, heading, what a count counts, whether it is bad)"""


@register.simple_tag
def range_cells(
    row: FlowRow, columns: Mapping[str, bool], flow_url: str, history_query: str, resolved_url: str
) -> SafeString:
    """The runs of the range, in the columns that are shown; each count leads to the rows that it counts."""
    sums, history_url = row.sums, flow_url + history_query
    cells = [
        markup('<td class="{}" data-th="{}">{}</td>', cls, head, snap(getattr(sums, name), history_url, label, bad=bad))
        for column, name, cls, head, label, bad in SNAPSHOTS
        if columns[column]
    ]
    if columns["auto"]:
        count = snap(sums.auto_resolved, f"{resolved_url}{row.flow.pk}", "auto-resolved errors")
        cells.append(markup('<td class="r" data-th="Auto-resolved">{}</td>', count))
    if columns["average"]:
        cells.append(_average_cell(sums))
    return SafeString("".join(cells))


def _average_cell(sums: RangeSums) -> SafeString:
    pace = markup("{} ms", ms_per_record(sums.ms_per_record)) if sums.ms_per_record else NOTHING
    return markup(
        '<td class="r hide-m two-line num"><span>{}</span><span class="sub">{}</span></td>',
        duration_text(sums.average),
        pace,
    )
