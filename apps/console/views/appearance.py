"""What a member switches from any page: account, theme, environment, rows, columns. None of it needs JavaScript."""

from collections.abc import Collection

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import redirect, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from apps.accounts.models import Density, Profile
from apps.accounts.selectors import active_members
from apps.console.access import ENVIRONMENTS
from apps.console.columns import LISTS, hidden_after
from apps.console.context import THEMES, profile_of
from apps.console.gate import before_second_factor


@login_required
@require_POST
def choose_theme(request: HttpRequest) -> HttpResponse:
    return _keep_choice(request, "theme", THEMES, "Choose one of the themes system, light and dark.")


@before_second_factor  # another account may not require one
@login_required
@require_POST
def choose_account(request: HttpRequest) -> HttpResponse:
    """To the first page of another account of the user's. Raises Http404 for one that he does not belong to."""
    asked = request.POST.get("account", "")
    found = [member.account_id for member in active_members(request.user) if str(member.account_id) == asked]
    if not found:
        raise Http404("You are not a member of this account.")
    request.session["account"] = found[0]
    return redirect("console:home")


@login_required
@require_POST
def choose_environment(request: HttpRequest) -> HttpResponse:
    environment = request.POST.get("environment", "")
    if environment not in ENVIRONMENTS:
        return HttpResponseBadRequest("Choose one of the environments production and sandbox.")
    request.session["environment"] = environment
    return _back(request)


@login_required
@require_POST
def choose_density(request: HttpRequest) -> HttpResponse:
    return _keep_choice(request, "density", Density.values, "Choose compact or comfortable rows.")


@login_required
@require_POST
def choose_columns(request: HttpRequest) -> HttpResponse:
    """Keep the columns of a list that are ticked; the others are left out until they are ticked again."""
    name = request.POST.get("list", "")
    if name not in LISTS:
        return HttpResponseBadRequest("There is no such list.")
    hidden = {**profile_of(request.user).hidden_columns, name: hidden_after(name, request.POST.getlist("column"))}
    return _kept(request, "hidden_columns", hidden)


def _keep_choice(request: HttpRequest, name: str, known: Collection[str], refusal: str) -> HttpResponse:
    """Keep one of the known values in the profile."""
    chosen = request.POST.get(name, "")
    return _kept(request, name, chosen) if chosen in known else HttpResponseBadRequest(refusal)


def _kept(request: HttpRequest, name: str, value: object) -> HttpResponse:
    Profile.objects.update_or_create(pk=request.user.pk, defaults={name: value})
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    """To the page that the member came from; a script that has already changed the page gets 204."""
    if request.headers.get("X-Requested-With") == "fetch":
        return HttpResponse(status=204)
    target = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(target if is_ours else resolve_url("console:home"))
