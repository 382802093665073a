"""What a member switches from any page: theme, environment, rows, columns. All of it works without JavaScript."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from apps.accounts.models import Density, Profile
from apps.console.access import ENVIRONMENTS
from apps.console.columns import LISTS, hidden_after
from apps.console.context import THEMES, profile_of


@login_required
@require_POST
def choose_theme(request: HttpRequest) -> HttpResponse:
    theme = request.POST.get("theme", "")
    if theme not in THEMES:
        return HttpResponseBadRequest("Choose one of the themes system, light and dark.")
    Profile.objects.update_or_create(pk=request.user.pk, defaults={"theme": theme})
    return _back(request)


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
    density = request.POST.get("density", "")
    if density not in Density.values:
        return HttpResponseBadRequest("Choose compact or comfortable rows.")
    Profile.objects.update_or_create(pk=request.user.pk, defaults={"density": density})
    return _back(request)


@login_required
@require_POST
def choose_columns(request: HttpRequest) -> HttpResponse:
    """Keep the columns of a list that are ticked; the others are left out until they are ticked again."""
    name = request.POST.get("list", "")
    if name not in LISTS:
        return HttpResponseBadRequest("There is no such list.")
    hidden = {**profile_of(request.user).hidden_columns, name: hidden_after(name, request.POST.getlist("column"))}
    Profile.objects.update_or_create(pk=request.user.pk, defaults={"hidden_columns": hidden})
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    """To the page that the member came from; a script that has already changed the page gets 204."""
    if request.headers.get("X-Requested-With") == "fetch":
        return HttpResponse(status=204)
    target = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(target if is_ours else resolve_url("console:home"))
