"""Signing in, in one step or two, and out."""

from datetime import datetime
from typing import Any

import orjson
from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.models import Passkey
from apps.accounts.passkeys import no_passkeys_here, sign_in_options, user_of_passkey
from apps.accounts.second_factors import SecondFactorRefused, codes_left, confirmed_apps
from apps.accounts.signing_in import begin_sign_in, complete_sign_in, confirm_password, half_way
from apps.console.forms import SignInForm
from apps.console.gate import before_second_factor, user_of
from apps.console.people_forms import CodeForm, ConfirmForm
from apps.core.clock import read_now


class SignIn(auth.LoginView):
    """The sign-in page; whoever is signed in already goes on to where he wanted."""

    template_name = "registration/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        stay, next_url = form.cleaned_data["stay"], self.get_redirect_url()
        if begin_sign_in(self.request, form.get_user(), stay=stay, next_url=next_url):
            return redirect(self.get_success_url())
        return redirect("console:sign-in-code")

    def form_invalid(self, form: Any) -> HttpResponse:
        return locked_answer(super().form_invalid(form), form.locked_until)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {
            "host": self.request.get_host(),
            "returns_to": self.get_redirect_url(),
            "no_passkeys": no_passkeys_here(self.request),
        }


class SignOut(auth.LogoutView):
    """Ends the session (POST only) and shows the sign-in page."""

    next_page = "console:sign-in"


sign_out = before_second_factor(SignOut.as_view())


def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """The admin has no door of its own: its locks and second factors are those of the console."""
    if request.user.is_authenticated:
        raise PermissionDenied("The admin is for those whom an operator made staff. You are signed in, but not staff.")
    wanted = urlencode({"next": request.GET.get("next") or reverse("admin:index")})
    return redirect(f"{reverse('console:sign-in')}?{wanted}")


def locked_answer(answer: HttpResponse, until: datetime | None) -> HttpResponse:
    """429 with the seconds to wait, if there is a lock."""
    if until is not None:
        answer.status_code = 429
        answer.headers["Retry-After"] = str(max(1, round((until - read_now()).total_seconds())))
    return answer


@never_cache
@require_http_methods(["GET", "POST"])
def second_step(request: HttpRequest) -> HttpResponse:
    """The code of an app or for recovery, after the password."""
    found = half_way(request)
    if found is None:
        messages.info(request, "Sign in with your password first.")
        return redirect("console:sign-in")
    user, half = found
    form = CodeForm(request.POST if request.method == "POST" else None, user=user)
    if form.is_bound and form.is_valid():
        complete_sign_in(request, user, stay=half.stay, with_second_factor=True)
        left = codes_left(user)
        if len(form.cleaned_data["code"].strip()) > 10:
            messages.info(
                request, f"This recovery code is used up: {left} are left. Make new ones before they run out."
            )
        return redirect(half.next_url or "/")
    context = {
        "form": form,
        "has_app": confirmed_apps().filter(user=user).exists(),
        "has_passkey": Passkey.objects.filter(user=user).exists(),
        "no_passkeys": no_passkeys_here(request),
    }
    return locked_answer(render(request, "registration/code.html", context), form.locked_until)


@require_POST
def passkey_options(request: HttpRequest) -> JsonResponse:
    """What the browser needs to sign in with a passkey."""
    return JsonResponse(sign_in_options(request))


@require_POST
def passkey_sign_in(request: HttpRequest) -> HttpResponse:
    """A passkey signs in alone; after a password it is the second factor."""
    found = half_way(request)
    asked = request.POST.get("next", "")
    allowed = url_has_allowed_host_and_scheme(asked, {request.get_host()}, require_https=request.is_secure())
    try:
        user = user_of_passkey(request, parsed_answer(request))
    except SecondFactorRefused as refused:
        messages.error(request, str(refused))
        return redirect("console:sign-in-code" if found else "console:sign-in")
    half = found[1] if found else None
    complete_sign_in(request, user, stay=bool(half and half.stay), with_second_factor=True)
    return redirect((half.next_url if half else asked if allowed else "") or "/")


def parsed_answer(request: HttpRequest) -> dict[str, Any]:
    """What the browser's passkey said. Raises SecondFactorRefused for what is no JSON object."""
    try:
        answer = orjson.loads(request.POST.get("answer", "")[:20_000])
    except ValueError as error:
        raise SecondFactorRefused("The browser sent no passkey. Try again.") from error
    if not isinstance(answer, dict):
        raise SecondFactorRefused("The browser sent no passkey. Try again.")
    return answer


@never_cache
@before_second_factor
@login_required
@require_http_methods(["GET", "POST"])
def confirm(request: HttpRequest) -> HttpResponse:
    """Who changes how he signs in shows once more that it is he."""
    asked = request.POST.get("next", request.GET.get("next", ""))
    allowed = url_has_allowed_host_and_scheme(asked, {request.get_host()}, require_https=request.is_secure())
    next_url = asked if allowed else reverse("console:own-sign-in")
    form = ConfirmForm(request.POST if request.method == "POST" else None, user=user_of(request))
    if form.is_bound and form.is_valid():
        confirm_password(request)
        return redirect(next_url)
    answer = render(request, "registration/confirm.html", {"form": form, "next": next_url})
    return locked_answer(answer, form.locked_until)
