"""A flow's definition to read: its text at any revision, the list of revisions, and what changed between two."""

from dataclasses import dataclass
from itertools import zip_longest

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from apps.console.access import member_page
from apps.console.json_view import visible
from apps.console.live import live_address
from apps.console.loaded import head_of
from apps.console.text_diff import MOST_COMPARED, DiffLine, diff_lines
from apps.console.views.flows import flow_context
from apps.flows.models import Flow, Revision

MOST_REVISIONS = 100


@dataclass(frozen=True)
class Diff:
    older: Revision
    newer: Revision
    lines: list[DiffLine]
    is_too_large: bool = False

    @property
    def added(self) -> int:
        return sum(line.sign == "+" for line in self.lines)

    @property
    def removed(self) -> int:
        return sum(line.sign == "-" for line in self.lines)


@member_page
def flow_definition(request: HttpRequest, flow_id: int) -> HttpResponse:
    """`revision=3` shows that one, `from=2&to=3` what changed; both are numbers of this flow's revisions."""
    head = head_of(request, flow_id)
    flow = head.flow
    revisions = list(revisions_of(flow).defer("definition")[:MOST_REVISIONS])
    before, after = number_in(request, "from"), number_in(request, "to")
    diff = diff_of(flow, (before, after)) if before is not None and after is not None else None
    shown = None if diff else shown_revision(flow, number_in(request, "revision"))
    context = flow_context(request, head, "definition") | {
        "revisions": with_older(revisions),
        "most_revisions": MOST_REVISIONS,
        "shown": shown,
        "lines": list(enumerate(visible_lines(shown), start=1)) if shown else [],
        "diff": diff,
        "live_url": live_address(request, "shell"),
    }
    return render(request, "flow/definition.html", context)


def with_older(revisions: list[Revision]) -> list[tuple[Revision, int | None]]:
    """Each revision, newest first, with the number of the one before it; None for the first."""
    older = [revision.number for revision in revisions[1:]]
    return list(zip_longest(revisions, older))


def revisions_of(flow: Flow) -> "QuerySet[Revision]":
    """Newest first."""
    return Revision.objects.of(flow.account_id).filter(flow=flow).select_related("member__user").order_by("-number")


def number_in(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def shown_revision(flow: Flow, number: int | None) -> Revision | None:
    """The revision of that number, else the current one. Raises Http404 for a number that this flow never had."""
    if number is None:
        return flow.revision
    found: Revision | None = revisions_of(flow).filter(number=number).first()
    if found is None:
        raise Http404(f"This flow has no revision {number}.")
    return found


def visible_lines(revision: Revision) -> list[str]:
    return [visible(line) for line in revision.definition.splitlines()]


def diff_of(flow: Flow, pair: tuple[int, int]) -> Diff:
    """What changed between two revisions. Raises Http404 unless both are there."""
    found = {revision.number: revision for revision in revisions_of(flow).filter(number__in=pair)}
    if not all(number in found for number in pair):
        raise Http404("This flow has no such revisions.")
    older, newer = (found[number] for number in pair)
    lines = [visible_lines(older), visible_lines(newer)]
    if len(lines[0]) + len(lines[1]) > MOST_COMPARED:
        return Diff(older, newer, [], is_too_large=True)
    return Diff(older, newer, diff_lines(*lines))
