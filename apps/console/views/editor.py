"""Saving, checking and restoring the definition of a flow, and the definition of a new one."""

from collections.abc import Iterable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.permissions import Act
from apps.console.access import account_of, get_flow, get_integration, member_of, member_page
from apps.console.context import Crumb
from apps.console.drafts import Draft, draft_of, revision_in, text_in
from apps.console.live import live_address
from apps.console.loaded import head_of
from apps.console.selectors.flow_example import example_of
from apps.console.text_diff import compare_texts
from apps.console.views.definitions import editor_page, number_in, shown_revision
from apps.console.views.flows import flow_context
from apps.flows.definition import DefinitionError
from apps.flows.models import Flow, Integration
from apps.flows.services import AppliedRevision, RevisionConflictError, apply_definition

CONFLICT, UNPROCESSABLE = 409, 422


@require_POST
@member_page
def save_definition(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Save the text as a new revision. A text with mistakes, or one begun from an older revision, comes back."""
    flow = get_flow(request, flow_id, to=Act.EDIT_FLOWS)
    draft = draft_of(request, text_in(request), flow=flow, revision=revision_in(request))
    if not draft.is_fine:
        return editor_page(request, head_of(request, flow_id), draft, UNPROCESSABLE)
    try:
        applied = apply_text(request, draft)
    except RevisionConflictError:
        return conflict_page(request, flow_id, draft)
    except DefinitionError as error:  # a flow that calls this one could not any more
        for mistake in error.mistakes:
            messages.error(request, str(mistake))
        return editor_page(request, head_of(request, flow_id), draft, UNPROCESSABLE)
    messages.success(request, saved_text(applied))
    for warning in applied.warnings:
        messages.warning(request, str(warning))
    return redirect("console:flow-definition", flow.pk)


def apply_text(request: HttpRequest, draft: Draft) -> AppliedRevision:
    return apply_definition(
        account=account_of(request), text=draft.text, member=member_of(request), expected_revision=draft.revision
    )


def conflict_page(request: HttpRequest, flow_id: int, draft: Draft) -> HttpResponse:
    """The text stays, with what it would change of the revision that came between; saving again replaces that one."""
    head = head_of(request, flow_id)
    conflict = conflict_words(head.flow, draft.revision, "your text stands in the editor")
    number = head.flow.revision.number if head.flow.revision else 0
    fresh = draft_of(request, draft.text, flow=head.flow, revision=number, conflict=conflict)
    return editor_page(request, head, fresh, CONFLICT)


def conflict_words(flow: Flow, read: int, kept: str) -> str:
    """Who came between, and what happens when the form is sent again."""
    current = shown_revision(flow, flow.revision.number if flow.revision else None)
    if current is None:
        raise Http404("This flow has no revision.")
    who = current.member.user.get_full_name() or current.member.user.get_username() if current.member else ""
    return (
        f"{who or 'The command line'} saved revision {current.number} while you were writing from revision {read}. "
        f"Nothing of yours is saved yet: {kept}. Saving now replaces revision {current.number}."
    )


def saved_text(applied: AppliedRevision) -> str:
    """What saving did, in a sentence."""
    if not applied.changes:
        return "Nothing was changed, so no revision was made."
    own = f"revision {applied.revision.number}"
    others = ", ".join(change for change in applied.changes if change != own)
    if not applied.is_new_revision:
        return f"The text was the same; what had been changed beside it is as the text says again: {others}."
    return f"Revision {applied.revision.number} of {applied.flow.name} is saved{f': {others}' if others else ''}."


@require_POST
@member_page
def check_definition(request: HttpRequest, flow_id: int) -> HttpResponse:
    """What is wrong with the text and what it would change; nothing is saved. A panel for a script, else the page."""
    flow = get_flow(request, flow_id, to=Act.EDIT_FLOWS)
    draft = draft_of(request, text_in(request), flow=flow, revision=revision_in(request))
    if request.headers.get("HX-Request"):
        return render(request, "flow/_findings.html", {"draft": draft, "flow": flow})
    return editor_page(request, head_of(request, flow_id), draft)


@member_page
def restore_revision(request: HttpRequest, flow_id: int) -> HttpResponse:
    """GET shows what restoring `revision` changes, POST makes a new revision with its text."""
    flow = get_flow(request, flow_id, to=Act.EDIT_FLOWS)
    number = number_in(request, "revision")
    old = shown_revision(flow, number) if number is not None else None
    if old is None or flow.revision is None:
        raise Http404("There is no revision to restore.")
    read = revision_in(request) if request.method == "POST" else flow.revision.number
    draft = draft_of(request, old.definition, flow=flow, revision=read)
    status = 200
    if request.method == "POST" and draft.is_fine:
        try:
            applied = apply_text(request, draft)
        except RevisionConflictError:
            messages.error(request, "Somebody saved another revision meanwhile: look at the difference again.")
            status = CONFLICT
        except DefinitionError as error:
            return refused_restore(request, flow, error)
        else:
            messages.success(request, f"{saved_text(applied)} It has the text of revision {old.number}.")
            return redirect("console:flow-definition", flow.pk)
    own = Crumb("Definition", reverse("console:flow-definition", args=[flow.pk]))
    context = flow_context(request, head_of(request, flow_id), "restore", own, Crumb("Restore")) | {
        "old": old,
        "draft": draft,
        "difference": compare_texts(flow.revision.definition, old.definition),
        "next_number": flow.revision.number + 1,
    }
    return render(request, "flow/restore.html", context, status=status)


def refused_restore(request: HttpRequest, flow: Flow, error: DefinitionError) -> HttpResponse:
    for mistake in error.mistakes:
        messages.error(request, str(mistake))
    return redirect("console:flow-definition", flow.pk)


# --- a new flow ------------------------------------------------------------------------------------------------------
@member_page
def new_flow(request: HttpRequest, slug: str) -> HttpResponse:
    """The editor with a small example that names a connection of this integration's environment."""
    integration = get_integration(request, slug, to=Act.EDIT_FLOWS)
    text = example_of(integration)
    return new_flow_page(request, integration, draft_of(request, text, flow=None, revision=0))


@require_POST
@member_page
def create_flow(request: HttpRequest, slug: str) -> HttpResponse:
    """Make the flow; a text with mistakes comes back."""
    integration = get_integration(request, slug, to=Act.EDIT_FLOWS)
    draft = draft_of(request, text_in(request), flow=None, revision=0)
    if not draft.is_fine:
        return new_flow_page(request, integration, draft, UNPROCESSABLE)
    try:
        applied = apply_text(request, draft)
    except (RevisionConflictError, DefinitionError) as error:  # somebody made one of the same key in this moment
        messages.error(request, str(error))
        return new_flow_page(request, integration, draft, CONFLICT)
    flow = applied.flow
    messages.success(request, f"Flow {flow.name} is made: {listed(applied.changes)}.")
    return redirect("console:flow", flow.pk)


def listed(changes: Iterable[str]) -> str:
    return ", ".join(change for change in changes if change != "new flow")


@require_POST
@member_page
def check_new_flow(request: HttpRequest, slug: str) -> HttpResponse:
    """What is wrong with the text; nothing is made. A panel for a script, else the page."""
    integration = get_integration(request, slug, to=Act.EDIT_FLOWS)
    draft = draft_of(request, text_in(request), flow=None, revision=0)
    if request.headers.get("HX-Request"):
        return render(request, "flow/_findings.html", {"draft": draft})
    return new_flow_page(request, integration, draft)


def new_flow_page(request: HttpRequest, integration: Integration, draft: Draft, status: int = 200) -> HttpResponse:
    own_url = reverse("console:integration", args=[integration.slug])
    context = {
        "nav": "integrations",
        "crumbs": [
            Crumb(account_of(request).name, reverse("console:dashboard")),
            Crumb("Integrations", reverse("console:integration-list")),
            Crumb(integration.name, own_url),
            Crumb("New flow"),
        ],
        "integration": integration,
        "draft": draft,
        "live_url": live_address(request, "shell"),
    }
    return render(request, "flow/new.html", context, status=status)
