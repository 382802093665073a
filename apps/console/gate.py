"""Where an account requires a second factor, whoever signed in without one sets it up before anything else."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from apps.accounts.second_factors import has_second_factor
from apps.accounts.sessions import note_seen
from apps.accounts.signing_in import is_confirmed, is_proved
from apps.console.access import View, find_member

OPEN = "flowmend_before_second_factor"
UNGATED = ("/v1/", "/static/", "/live/")  # the API knows no sessions; live updates are told to a `Reader`


def before_second_factor(view: View) -> View:
    """A page that is there for those who have to set up a second factor first."""

    @wraps(view)
    def ungated(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs)

    setattr(ungated, OPEN, True)
    return ungated


def own_sign_in(view: View) -> View:
    """For pages where a user changes how he signs in: he has shown within 15 minutes who he is."""

    @before_second_factor
    @login_required
    @wraps(view)
    def confirmed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if is_confirmed(request):
            return view(request, *args, **kwargs)
        next_url = request.get_full_path() if request.method == "GET" else reverse("console:own-sign-in")
        return redirect(f"{reverse('console:confirm')}?{urlencode({'next': next_url})}")

    return confirmed


def user_of(request: HttpRequest) -> User:
    """The signed-in user, behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user


def is_held_up(request: HttpRequest) -> bool:
    """The account on screen requires a second factor, and this session has shown none."""
    member = find_member(request)
    return member is not None and member.account.second_factor_required and not is_proved(request)


class GateMiddleware:
    """Asks nothing of the database beyond what every page reads."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        if request.path_info.startswith(UNGATED) or not request.user.is_authenticated:
            return None
        note_seen(request)
        if getattr(view, OPEN, False) or not is_held_up(request):
            return None
        if not has_second_factor(user_of(request)):
            return redirect("console:own-sign-in")
        logout(request)  # it was set up elsewhere meanwhile: sign in with it
        return redirect(f"{reverse('console:sign-in')}?{urlencode({'next': request.get_full_path()})}")
