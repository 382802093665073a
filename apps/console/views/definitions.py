"""A flow's definition: its editor, its text at any revision, the list of revisions, and what changed between two."""

from dataclasses import dataclass
from itertools import zip_longest

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from apps.accounts.models import AuditEntry
from apps.accounts.permissions import Act
from apps.console.access import may_do, member_page
from apps.console.drafts import Draft, draft_of
from apps.console.json_view import visible
from apps.console.live import live_address
from apps.console.loaded import head_of
from apps.console.selectors.flow_example import example_of
from apps.console.selectors.flow_page import FlowHead
from apps.console.text_diff import TextDiff, compare_texts
from apps.console.views.flows import flow_context
from apps.flows.models import Flow, Revision

MOST_REVISIONS = 100


@dataclass(frozen=True)
class Diff:
    older: Revision
    newer: Revision
    text: TextDiff


@dataclass(frozen=True)
class RevisionRow:
    """One line of the list; `older` is the number of the revision before it, None for the first."""

    revision: Revision
    older: int | None
    changes: str


@member_page
def flow_definition(request: HttpRequest, flow_id: int) -> HttpResponse:
    """The editor, for those who may edit; `revision=3` shows that one to read, `from=2&to=3` what changed."""
    head = head_of(request, flow_id)
    flow = head.flow
    before, after = number_in(request, "from"), number_in(request, "to")
    diff = diff_of(flow, (before, after)) if before is not None and after is not None else None
    number = number_in(request, "revision")
    if diff is None and number is None and may_do(request, Act.EDIT_FLOWS, flow.integration_id):
        return editor_page(request, head, begun_from(request, flow))
    shown = None if diff else shown_revision(flow, number)
    context = definition_context(request, head) | {
        "shown": shown,
        "lines": list(enumerate(visible_lines(shown), start=1)) if shown else [],
        "diff": diff,
    }
    return render(request, "flow/definition.html", context)


def begun_from(request: HttpRequest, flow: Flow) -> Draft:
    """The current text as a draft; the example for a flow that has none."""
    if flow.revision is None:
        return draft_of(request, example_of(flow.integration, flow.key), flow=flow, revision=0)
    return draft_of(request, flow.revision.definition, flow=flow, revision=flow.revision.number)


def editor_page(request: HttpRequest, head: FlowHead, draft: Draft, status: int = 200) -> HttpResponse:
    context = definition_context(request, head) | {"draft": draft, "shown": head.flow.revision}
    return render(request, "flow/editor.html", context, status=status)


def definition_context(request: HttpRequest, head: FlowHead) -> dict[str, object]:
    return flow_context(request, head, "definition") | {
        "revisions": revision_rows(head.flow),
        "most_revisions": MOST_REVISIONS,
        "live_url": live_address(request, "shell"),
    }


def revision_rows(flow: Flow) -> list[RevisionRow]:
    """The newest revisions with what each changed. Two queries."""
    revisions = list(revisions_of(flow).defer("definition")[:MOST_REVISIONS])
    changes = changes_of(flow)
    pairs = zip_longest(revisions, (revision.number for revision in revisions[1:]))
    return [RevisionRow(revision, older, changes.get(revision.number, "")) for revision, older in pairs]


def changes_of(flow: Flow) -> dict[int, str]:
    """What the audit log says that each revision changed beside its text, by its number."""
    entries = AuditEntry.objects.of(flow.account_id).filter(
        object_kind="flow", object_id=flow.pk, act="flow.apply", after__isnull=False
    )
    found: dict[int, str] = {}
    for after in entries.order_by("-id").values_list("after", flat=True)[:MOST_REVISIONS]:
        number, changes = after.get("revision"), after.get("changes") or []
        own = f"revision {number}"
        if own in changes:
            found[number] = ", ".join(change for change in changes if change != own) or "text only"
    return found


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
    return Diff(older, newer, compare_texts(older.definition, newer.definition))
