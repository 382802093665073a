"""Test runs of a draft: what to try it on, the report, and publishing what was tried."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.permissions import Act
from apps.console.access import get_cause, get_flow, member_of, member_page
from apps.console.context import Crumb
from apps.console.drafts import Draft, draft_of, judge, revision_in, text_in
from apps.console.live import live_address
from apps.console.loaded import head_of
from apps.console.selectors.test_runs import SIZES, TestView, causes_to_test, open_of_cause
from apps.console.test_topics import get_test, test_topic
from apps.console.views.definitions import begun_from, editor_page, number_in
from apps.console.views.editor import UNPROCESSABLE, apply_text, conflict_page, saved_text
from apps.console.views.flows import QUICK_S, SLOW_S, flow_context
from apps.errors.models import Cause
from apps.flows.definition import Definition, DefinitionError
from apps.flows.definition.models import ExportStep
from apps.flows.models import Flow
from apps.flows.services import RevisionConflictError
from apps.runs.test_runs import MOST_RECORDS, TestRefused, read_records, start_test

USUAL_SIZE = 20


@dataclass(frozen=True)
class Wanted:
    """What a draft is to be tried on: `export`, `pasted` or `cause`."""

    on: str = "export"
    size: int = USUAL_SIZE
    records: str = ""
    cause: int | None = None
    most: int = SIZES[0]


@require_http_methods(["GET", "POST"])
@member_page
def test_form(request: HttpRequest, flow_id: int) -> HttpResponse:
    """What to try a text on: the one sent, that of an earlier test (`again`), else the current one."""
    flow = get_flow(request, flow_id, to=Act.EDIT_FLOWS)
    usual = "pasted" if head_of(request, flow_id).takes_requests else "export"
    return form_page(request, flow, text_to_test(request, flow), wanted_of(request, usual))


def text_to_test(request: HttpRequest, flow: Flow) -> Draft:
    if request.method == "POST":
        return draft_of(request, text_in(request), flow=flow, revision=revision_in(request))
    again = number_in(request, "again")
    if again is not None:
        test = get_test(request, flow, again)
        return draft_of(request, test.text, flow=flow, revision=test.revision)
    return begun_from(request, flow)


def wanted_of(request: HttpRequest, usual: str = "export") -> Wanted:
    """What the form or the address says; what it does not know is as usual."""
    given = request.POST if request.method == "POST" else request.GET
    cause, most = number_of(given.get("cause", "")), number_of(given.get("most", ""))
    on = given.get("on", "cause" if cause else usual)
    size = number_of(given.get("size", "")) or USUAL_SIZE
    return Wanted(
        on=on if on in ("export", "pasted", "cause") else "export",
        size=min(size, MOST_RECORDS),
        records=given.get("records", ""),
        cause=cause,
        most=most if most in SIZES else SIZES[0],
    )


def number_of(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 18 else None


def form_page(
    request: HttpRequest, flow: Flow, draft: Draft, wanted: Wanted, problem: str = "", status: int = 200
) -> HttpResponse:
    """A text with mistakes goes back to the editor, which tells them."""
    if not draft.is_fine:
        messages.error(request, "A text with mistakes cannot be tested. Correct them first.")
        return editor_page(request, head_of(request, flow.pk), draft, UNPROCESSABLE)
    causes = causes_to_test(flow)
    context = flow_context(request, head_of(request, flow.pk), "definition", Crumb("Test run")) | {
        "draft": draft,
        "wanted": wanted,
        "problem": problem,
        "causes": causes,
        "is_other_cause": wanted.cause is not None and wanted.cause not in {cause.pk for cause in causes},
        "sizes": SIZES,
        "most_records": MOST_RECORDS,
        "live_url": live_address(request, "shell"),
    }
    return render(request, "flow/test_form.html", context, status=status)


@require_POST
@member_page
def start(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Queue the test, and go to its page."""
    flow = get_flow(request, flow_id, to=Act.EDIT_FLOWS)
    text, wanted = text_in(request), wanted_of(request)
    definition, _ = judge(request, text, flow)
    try:
        chosen = chosen_for(request, flow, definition, wanted) if definition else {}
        if definition is not None:
            member = member_of(request)
            test = start_test(flow=flow, member=member, text=text, revision=revision_in(request), **chosen)
            return redirect("console:flow-test", flow.pk, test.pk)
        problem = ""
    except TestRefused as refused:
        problem = str(refused)
    draft = draft_of(request, text, flow=flow, revision=revision_in(request))
    return form_page(request, flow, draft, wanted, problem, UNPROCESSABLE)


def chosen_for(request: HttpRequest, flow: Flow, definition: Definition, wanted: Wanted) -> dict[str, Any]:
    """The records that the test takes. Raises TestRefused, and Http404 for a root cause that is not this flow's."""
    if wanted.on == "cause":
        cause = cause_to_test(request, flow, wanted)
        errors = open_of_cause(flow, cause.pk).order_by("-pk").values_list("pk", flat=True)[: wanted.most]
        if not errors:
            raise TestRefused("This root cause has no open error, so there is nothing to try the draft on.")
        return {"cause": cause.pk, "errors": sorted(errors), "size": len(errors)}
    if wanted.on == "pasted":
        records = read_records(wanted.records)
        return {"records": records, "size": len(records)}
    if listens(definition):
        raise TestRefused(
            "This flow receives its records by requests, so there is nothing to read. Paste some records."
        )
    return {"size": wanted.size}


def cause_to_test(request: HttpRequest, flow: Flow, wanted: Wanted) -> Cause:
    if wanted.cause is None:
        raise TestRefused("Choose the root cause whose errors the draft is tried on.")
    cause = get_cause(request, wanted.cause)
    if cause.flow_id != flow.pk:
        raise Http404("This root cause is one of another flow.")
    return cause


def listens(definition: Definition) -> bool:
    export = definition.steps[0]
    assert isinstance(export, ExportStep), "a definition begins with its export"
    return export.export.connector is not None and export.export.connector.listens


# --- one test --------------------------------------------------------------------------------------------------------
@member_page
def test_page(request: HttpRequest, flow_id: int, test_id: int) -> HttpResponse:
    """How far the test is; then its report, with the records of step number `stage`."""
    flow = get_flow(request, flow_id, to=Act.EDIT_FLOWS)
    test = get_test(request, flow, test_id)
    context = flow_context(request, head_of(request, flow_id), "definition", Crumb(str(test))) | {
        "test": test,
        "view": TestView(test, flow, number_in(request, "stage")),
        "live_url": live_address(request, "shell", *(() if test.is_ended else (test_topic(test),))),
        "live_every": SLOW_S if test.is_ended else QUICK_S,
    }
    return render(request, "flow/test.html", context)


@require_POST
@member_page
def publish(request: HttpRequest, flow_id: int, test_id: int) -> HttpResponse:
    """Save what was tried as a new revision, unless somebody saved another one meanwhile."""
    flow = get_flow(request, flow_id, to=Act.EDIT_FLOWS)
    test = get_test(request, flow, test_id)
    draft = draft_of(request, test.text, flow=flow, revision=test.revision)
    if not draft.is_fine:
        return form_page(request, flow, draft, Wanted())
    try:
        messages.success(request, saved_text(apply_text(request, draft)))
    except RevisionConflictError:
        return conflict_page(request, flow_id, draft)
    except DefinitionError as error:  # a flow that calls this one could not any more
        for mistake in error.mistakes:
            messages.error(request, str(mistake))
    return redirect("console:flow-test", flow.pk, test.pk)


for view in (test_form, test_page):
    view.__test__ = False  # type: ignore[attr-defined]
