"""A flow's settings: forms for the common fields of its definition. Saving one makes a new revision of the text."""

from dataclasses import replace

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.permissions import Act
from apps.console.access import get_flow, may_do, member_page
from apps.console.context import Crumb
from apps.console.drafts import draft_of, revision_in
from apps.console.handling_form import HandlingForm
from apps.console.live import live_address
from apps.console.loaded import head_of
from apps.console.selectors.flow_page import FlowHead
from apps.console.selectors.settings import limited_connections, step_subject_of, subject_of
from apps.console.setting_forms import SECTIONS, SettingForm, Subject
from apps.console.views.checkpoints import checkpoint_of, json_text
from apps.console.views.editor import CONFLICT, UNPROCESSABLE, apply_text, conflict_words, saved_text
from apps.console.views.flows import flow_context
from apps.console.views.notifications import flow_subscriptions
from apps.console.views.steps import drawer_page, node_of
from apps.flows.definition import DefinitionError
from apps.flows.definition.rewriting import rewrite
from apps.flows.models import Flow, StepKind
from apps.flows.services import RevisionConflictError


@member_page
def flow_settings(request: HttpRequest, flow_id: int) -> HttpResponse:
    """Every section with its present values."""
    return settings_page(request, head_of(request, flow_id))


def settings_page(
    request: HttpRequest, head: FlowHead, sent: SettingForm | None = None, *, status: int = 200, conflict: str = ""
) -> HttpResponse:
    """The page; `sent` is the form that came back."""
    flow = head.flow
    subject = subject_of(head)
    is_locked = not may_do(request, Act.EDIT_FLOWS, flow.integration_id)
    export = next((node.step for node in head.nodes if node.step.kind == StepKind.EXPORT), None)
    checkpoint = checkpoint_of(export) if export else None
    forms = [
        sent if sent is not None and sent.name == name else form(None, subject, is_locked=is_locked)
        for name, form in SECTIONS.items()
    ]
    context = flow_context(request, head, "settings", Crumb("Settings")) | {
        "forms": forms,
        "export": export,
        "checkpoint": checkpoint,
        "checkpoint_text": json_text(checkpoint.value) if checkpoint and checkpoint.value is not None else "",
        "connections": limited_connections(head),
        "conflict": conflict,
        "told": flow_subscriptions(request, flow),
        "live_url": live_address(request, "shell"),
    }
    return render(request, "flow/settings.html", context, status=status)


@require_POST
@member_page
def save_setting(request: HttpRequest, flow_id: int, section: str) -> HttpResponse:
    """Save one section as a new revision."""
    form = section_form(request, flow_id, section)
    status, conflict = saved(request, form)
    if status:
        return settings_page(request, head_of(request, flow_id), form, status=status, conflict=conflict)
    return redirect(f"{reverse('console:flow-settings', args=[flow_id])}#{section}")


@require_POST
@member_page
def preview_setting(request: HttpRequest, flow_id: int, section: str) -> HttpResponse:
    """What the values that were sent would do; nothing is saved. A fragment for a script, else the page."""
    form = section_form(request, flow_id, section)
    return story(request, form) or settings_page(request, head_of(request, flow_id), form)


def section_form(request: HttpRequest, flow_id: int, section: str) -> SettingForm:
    """What was sent for a section. Raises Http404 for what is none, and for a flow without a definition."""
    get_flow(request, flow_id, to=Act.EDIT_FLOWS)
    head = head_of(request, flow_id)
    if section not in SECTIONS or head.flow.revision is None:
        raise Http404("There is no such setting.")
    return SECTIONS[section](request.POST, subject_of(head))


# --- a step ----------------------------------------------------------------------------------------------------------
@member_page
def step_handling(request: HttpRequest, flow_id: int, step_id: int) -> HttpResponse:
    """The error handling of a step; of an export, that a failure of it fails its run."""
    if node_of(request, flow_id, step_id).step.kind == StepKind.EXPORT:
        return drawer_page(request, flow_id, step_id, "handling", {})
    return handling_page(request, handling_form(request, flow_id, step_id, Act.VIEW), step_id)


@require_POST
@member_page
def save_handling(request: HttpRequest, flow_id: int, step_id: int) -> HttpResponse:
    """Save it as a new revision."""
    form = handling_form(request, flow_id, step_id, Act.EDIT_FLOWS)
    status, conflict = saved(request, form)
    if status:
        return handling_page(request, form, step_id, status=status, conflict=conflict)
    return redirect("console:step-handling", flow_id, step_id)


@require_POST
@member_page
def preview_handling(request: HttpRequest, flow_id: int, step_id: int) -> HttpResponse:
    """What the values that were sent would do; nothing is saved."""
    form = handling_form(request, flow_id, step_id, Act.EDIT_FLOWS)
    return story(request, form) or handling_page(request, form, step_id)


def handling_form(request: HttpRequest, flow_id: int, step_id: int, act: Act) -> HandlingForm:
    """Raises Http404 for a step without one: exports, and steps that are not in the definition."""
    if act is not Act.VIEW:
        get_flow(request, flow_id, to=act)
    head = head_of(request, flow_id)
    node = head.node_of(step_id)
    subject: Subject | None = step_subject_of(head, node.step) if node else None
    if subject is None or (node is not None and node.step.kind == StepKind.EXPORT):
        raise Http404("This step has no error handling of its own.")
    is_locked = not may_do(request, Act.EDIT_FLOWS, head.flow.integration_id)
    return HandlingForm(request.POST if request.method == "POST" else None, subject, is_locked=is_locked)


def handling_page(
    request: HttpRequest, form: HandlingForm, step_id: int, *, status: int = 200, conflict: str = ""
) -> HttpResponse:
    facts = {"form": form, "conflict": conflict, "handler": form.subject.step.get("handler") or []}
    return drawer_page(request, form.subject.flow.pk, step_id, "handling", facts, status=status)


# --- what was sent ----------------------------------------------------------------------------------------------------
def story(request: HttpRequest, form: SettingForm) -> HttpResponse | None:
    """What the sent values would do, for a script that asks for that alone."""
    return render(request, "flow/_story.html", {"form": form}) if request.headers.get("HX-Request") else None


def saved(request: HttpRequest, form: SettingForm) -> tuple[int, str]:
    """Save what a form says: 0, or the status with which it comes back, and what to say above it."""
    flow = form.subject.flow
    if not form.is_valid() or flow.revision is None:
        return UNPROCESSABLE, ""
    if revision_in(request) != flow.revision.number:
        return CONFLICT, conflict_words(flow, revision_in(request), "your values stand in the form")
    try:
        text = rewrite(flow.revision.definition, form.changes() | switch_of(form.subject))
    except DefinitionError as error:
        form.tell(error.mistakes)
        return UNPROCESSABLE, ""
    draft = draft_of(request, text, flow=flow, revision=flow.revision.number)
    if not draft.is_fine:
        form.tell(finding.mistake for finding in draft.mistakes)
        return UNPROCESSABLE, ""
    try:
        applied = apply_text(request, draft)
    except RevisionConflictError as error:
        return CONFLICT, str(error)
    except DefinitionError as error:
        form.tell(error.mistakes)
        return UNPROCESSABLE, ""
    told = " ".join(replaced_story(form, applied.flow)) if applied.changes else ""
    messages.success(request, f"{saved_text(applied)} {told}".strip())
    return 0, ""


def switch_of(subject: Subject) -> dict[tuple[str, ...], bool]:
    """A form never switches a flow on or off: what the definition says is brought to what is so."""
    return {("enabled",): subject.flow.enabled} if subject.raw.get("enabled") is not None else {}


def replaced_story(form: SettingForm, flow: Flow) -> list[str]:
    """The first sentence about what holds from now on."""
    form.subject = replace(form.subject, flow=flow)
    return form.told(form.cleaned_data)[:1]
