"""Fetching an object checks the permission: what a member may not see is not there (404), what he may see but not
act on is refused in words (403). Everything is of one account and one environment."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from apps.accounts.models import Account, Member
from apps.accounts.permissions import ACTS, Act, may_as
from apps.accounts.reach import Reach
from apps.accounts.selectors import active_members
from apps.core.ids import LARGEST_KEY
from apps.errors.models import Cause, Error
from apps.flows.models import Flow, Integration, Step
from apps.runs.models import Run

ENVIRONMENTS = ("production", "sandbox")
View = Callable[..., HttpResponseBase]
ModelT = TypeVar("ModelT", bound=Model)


def environment_of(request: HttpRequest) -> str:
    """The environment whose integrations are on screen: production unless this session switched.

    An address may name the one of what it shows (`environment=`), for those who come from elsewhere: it stays switched.
    """
    session = getattr(request, "session", {})
    asked, chosen = request.GET.get("environment"), session.get("environment")
    if asked in ENVIRONMENTS and asked != (chosen or "production"):
        session["environment"] = chosen = asked
    return chosen if chosen in ENVIRONMENTS else "production"


def find_member(request: HttpRequest) -> Member | None:
    """The signed-in user as a member of the account on screen; None: of no account at all. One query a request."""
    if not hasattr(request, "flowmend_member"):
        request.flowmend_member = _member_on_screen(request)  # type: ignore[attr-defined]
    found: Member | None = request.flowmend_member  # type: ignore[attr-defined]
    return found


def _member_on_screen(request: HttpRequest) -> Member | None:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return None
    members = active_members(user)
    chosen = request.session.get("account") if hasattr(request, "session") else None
    return next((member for member in members if member.account_id == chosen), members[0] if members else None)


def member_of(request: HttpRequest) -> Member:
    """The member on whose behalf the page is shown. Raises Http404 for a user without any account."""
    member = find_member(request)
    if member is None:
        raise Http404("You are not a member of any account.")
    return member


def account_of(request: HttpRequest) -> Account:
    """The account on screen. Raises Http404 for a user without any account."""
    return member_of(request).account


def reach_of(request: HttpRequest) -> Reach:
    """What this request may read; kept for the request."""
    if not hasattr(request, "flowmend_reach"):
        member = member_of(request)
        seen = None if member.role else frozenset(roles_of(request))
        reach = Reach(member.account_id, environment_of(request), seen)
        request.flowmend_reach = reach  # type: ignore[attr-defined]
    found: Reach = request.flowmend_reach  # type: ignore[attr-defined]
    return found


def member_page(view: View) -> View:
    """For every page of the console: signed in, and a member of an account; else a page that says what to do."""

    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if find_member(request) is None:
            return render(request, "no_account.html")
        return view(request, *args, **kwargs)

    return guarded


def get_integration(request: HttpRequest, slug: str, to: Act | str = Act.VIEW) -> Integration:
    """Raises Http404 for one that this member does not see, PermissionDenied for an act above his role."""
    reach = reach_of(request)
    found = _one(Integration.objects.of(reach.account_id).filter(slug=slug, **reach.where("")))
    _require(request, Act(to), found.pk)
    return found


def get_flow(request: HttpRequest, flow_id: int, to: Act | str = Act.VIEW) -> Flow:
    """A flow with its integration, revision and state. Raises Http404 and PermissionDenied as above."""
    reach = reach_of(request)
    rows = Flow.objects.of(reach.account_id).present().filter(pk=_key(flow_id), **reach.where())
    found = _one(rows.select_related("integration", "revision", "state", "run_after"))
    _require(request, Act(to), found.integration_id)
    return found


def get_steps(request: HttpRequest, flow_id: int, step_id: int) -> list[Step]:
    """A step, removed ones too (their errors stay), then all steps of its flow in order. Raises Http404."""
    reach, key = reach_of(request), _key(step_id)
    rows = Step.objects.of(reach.account_id).filter(flow=_key(flow_id), **reach.where("flow__integration"))
    steps = list(rows.select_related("flow__integration", "state", "connection").order_by("position", "id"))
    found = [step for step in steps if step.pk == key]
    if not found:
        raise Http404("There is nothing here for you.")
    _require(request, Act.VIEW, found[0].flow.integration_id)
    return [*found, *steps]


def get_run(request: HttpRequest, run_id: int, to: Act | str = Act.VIEW) -> Run:
    """A run with its flow, integration, starter and canceler. Raises Http404 and PermissionDenied as above."""
    reach = reach_of(request)
    rows = Run.objects.of(reach.account_id).filter(pk=_key(run_id), **reach.where())
    found = _one(
        rows.select_related("flow__integration", "revision", "started_by__user", "canceled_by__user", "start_step")
    )
    _require(request, Act(to), found.integration_id)
    return found


def get_error(request: HttpRequest, error_id: int, to: Act | str = Act.VIEW) -> Error:
    """An error with its step, flow, run and root cause. Raises Http404 and PermissionDenied as above."""
    reach = reach_of(request)
    rows = Error.objects.of(reach.account_id).filter(pk=_key(error_id), **reach.where("flow__integration"))
    found = _one(rows.select_related("flow__integration", "step", "run", "cause", "assignee__user"))
    _require(request, Act(to), found.flow.integration_id)
    return found


def get_cause(request: HttpRequest, cause_id: int, to: Act | str = Act.VIEW) -> Cause:
    """A root cause with its step, flow and head. Raises Http404 and PermissionDenied as above."""
    return get_causes(request, cause_id, to)[0]


def get_causes(request: HttpRequest, cause_id: int, to: Act | str = Act.VIEW) -> list[Cause]:
    """A root cause and then those that were merged into it, within reach. Raises Http404 and PermissionDenied."""
    reach, key = reach_of(request), _key(cause_id)
    group = Q(pk=key) | Q(merged_into=key)
    rows = Cause.objects.of(reach.account_id).filter(group, **reach.where("flow__integration"))
    facts = rows.select_related("flow__integration", "step", "classified_by__user", "assignee__user", "merged_into")
    found = sorted(facts, key=lambda cause: (cause.pk != key, cause.pk))
    if not found or found[0].pk != key:
        raise Http404("There is nothing here for you.")
    _require(request, Act(to), found[0].flow.integration_id)
    return found


def may_do(request: HttpRequest, act: Act, integration_id: int | None = None) -> bool:
    """May the member do this (in this integration)? Asks the database at most once a request, so rows may ask too."""
    member = find_member(request)
    if member is None:
        return False
    role = member.role or roles_of(request).get(integration_id or 0, "")
    return may_as(member, role, act)


def may_do_somewhere(request: HttpRequest, act: Act) -> bool:
    """May the member do this in the account, or in one of the integrations that he sees?"""
    return may_do(request, act) or any(may_do(request, act, key) for key in roles_of(request))


def roles_of(request: HttpRequest) -> dict[int, str]:
    """The member's roles in single integrations, by id; asked once a request."""
    if not hasattr(request, "flowmend_roles"):
        roles = dict(member_of(request).roles.values_list("integration_id", "role"))
        request.flowmend_roles = roles  # type: ignore[attr-defined]
    found: dict[int, str] = request.flowmend_roles  # type: ignore[attr-defined]
    return found


def _one(rows: "QuerySet[ModelT]") -> ModelT:
    found = next(iter(rows.order_by()), None)  # it is the only one; to put it in order took as long as to find it
    if found is None:
        raise Http404("There is nothing here for you.")
    return found


def _key(value: int) -> int:
    if not 0 < value <= LARGEST_KEY:
        raise Http404("There is nothing here for you.")
    return value


def _require(request: HttpRequest, act: Act, integration_id: int) -> None:
    if not may_do(request, act, integration_id):
        words = act.value.replace("_", " ")
        raise PermissionDenied(f"Your role does not allow you to {words} here: it takes the role {ACTS[act].label}.")
