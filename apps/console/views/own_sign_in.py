"""How the signed-in user signs in: password, second factors, and where he is signed in."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import segno
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.authenticator import app_address
from apps.accounts.models import AuthenticatorApp, UserSession
from apps.accounts.passkeys import add_passkey, no_passkeys_here, registration_options, remove_passkey
from apps.accounts.passwords import set_password
from apps.accounts.second_factors import (
    SecondFactorRefused,
    begin_app,
    codes_left,
    confirmed_apps,
    has_second_factor,
    remove_app,
    renew_recovery_codes,
    requiring_accounts,
    secret_of,
)
from apps.accounts.sessions import end_session, end_sessions, sessions_of
from apps.accounts.signing_in import prove
from apps.console.browsers import browser_text
from apps.console.context import Crumb
from apps.console.gate import is_held_up, own_sign_in, user_of
from apps.console.once import show_once, taken
from apps.console.people_forms import AppForm, NewPasswordForm
from apps.console.views.sign_in import locked_answer, parsed_answer

CODES = "recovery_codes"
MOST_SESSIONS = 100


def refusing(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """What is refused is said on the page from which it was asked."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except SecondFactorRefused as refused:
            messages.error(request, str(refused))
            return redirect("console:own-sign-in")

    return answered


@never_cache
@own_sign_in
def overview(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    once = taken(request, CODES)
    context = page_context() | {
        "app": confirmed_apps().filter(user=user).first(),
        "passkeys": user.passkeys.order_by("pk"),
        "no_passkeys": no_passkeys_here(request),
        "codes_left": codes_left(user),
        "new_codes": once.text.split() if once else [],
        "sessions": session_rows(request),
        "required_by": requiring_accounts(user),
        "held_up": is_held_up(request),
    }
    return render(request, "own_sign_in/page.html", context)


def page_context(*more: Crumb) -> dict[str, Any]:
    here = reverse("console:own-sign-in") if more else ""
    return {"crumbs": [Crumb("Profile", reverse("console:profile")), Crumb("Sign-in", here), *more]}


def session_rows(request: HttpRequest) -> list[tuple[UserSession, str, bool]]:
    """Session, browser in words, and whether it is this one."""
    here = request.session.session_key
    rows = sessions_of(user_of(request))[:MOST_SESSIONS]
    return [(row, browser_text(row.agent), row.session_key == here) for row in rows]


def after_first(request: HttpRequest, had_one: bool, said: str) -> HttpResponse:
    """A factor was added. With the first one come codes for recovery, and only sessions that have shown it go on."""
    user = user_of(request)
    prove(request)
    messages.success(request, said)
    if not had_one:
        end_sessions(user, but=request.session.session_key)
    if not had_one or not codes_left(user):
        show_once(request, CODES, user.pk, "\n".join(renew_recovery_codes(user)))
    return redirect("console:own-sign-in")


def after_removal(request: HttpRequest, said: str) -> HttpResponse:
    user = user_of(request)
    if not has_second_factor(user):
        prove(request, False)
        end_sessions(user, but=request.session.session_key)
    messages.success(request, said)
    return redirect("console:own-sign-in")


@require_POST
@own_sign_in
@refusing
def app_begin(request: HttpRequest) -> HttpResponse:
    begin_app(user_of(request))
    return redirect("console:app-set-up")


@never_cache
@require_http_methods(["GET", "POST"])
@own_sign_in
@refusing
def app_set_up(request: HttpRequest) -> HttpResponse:
    """The picture and the secret for the app; its first code confirms it."""
    user = user_of(request)
    app = AuthenticatorApp.objects.filter(user=user, confirmed_at__isnull=True).first()
    if app is None:
        return redirect("console:own-sign-in")
    had_one = has_second_factor(user)
    form = AppForm(request.POST if request.method == "POST" else None, user=user)
    if form.is_bound and form.is_valid():
        return after_first(request, had_one, "The authenticator app is set up.")
    secret = secret_of(app)
    picture = segno.make(app_address(secret, user.email or user.get_username()), error="m")
    context = page_context(Crumb("Authenticator app")) | {
        "form": form,
        "picture": picture.png_data_uri(scale=5, border=3),
        "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
    }
    return locked_answer(render(request, "own_sign_in/app.html", context), form.locked_until)


@require_POST
@own_sign_in
@refusing
def app_remove(request: HttpRequest) -> HttpResponse:
    remove_app(user_of(request))
    return after_removal(request, "The authenticator app is removed. Delete Flowmend from the app, too.")


@require_POST
@own_sign_in
def passkey_new_options(request: HttpRequest) -> JsonResponse:
    """What the browser needs to make a passkey."""
    return JsonResponse(registration_options(request, user_of(request)))


@require_POST
@own_sign_in
@refusing
def passkey_add(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    had_one = has_second_factor(user)
    passkey = add_passkey(request, user, parsed_answer(request), name=request.POST.get("name", ""))
    return after_first(request, had_one, f"The passkey {passkey.name} is registered.")


@require_POST
@own_sign_in
@refusing
def passkey_remove(request: HttpRequest, passkey_id: int) -> HttpResponse:
    remove_passkey(user_of(request), passkey_id)
    return after_removal(request, "The passkey is removed. Delete it from your device, too.")


@require_POST
@own_sign_in
@refusing
def codes_renew(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    if not has_second_factor(user):
        raise SecondFactorRefused("Recovery codes stand in for a second factor: set one up first.")
    show_once(request, CODES, user.pk, "\n".join(renew_recovery_codes(user)))
    return redirect("console:own-sign-in")


@never_cache
@require_http_methods(["GET", "POST"])
@own_sign_in
def password_change(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    form = NewPasswordForm(user, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        set_password(user, form.cleaned_data["new_password1"], keep_session=request.session.session_key)
        update_session_auth_hash(request, user)
        messages.success(request, "Your password is changed. You are signed out everywhere else.")
        return redirect("console:own-sign-in")
    context = page_context(Crumb("Password")) | {"form": form}
    return render(request, "own_sign_in/password.html", context, status=422 if form.is_bound else 200)


@require_POST
@own_sign_in
def session_end(request: HttpRequest, session_id: int) -> HttpResponse:
    ended = end_session(user_of(request), session_id)
    messages.success(request, "That session is ended." if ended else "That session had ended already.")
    return redirect("console:own-sign-in")


@require_POST
@own_sign_in
def sessions_end(request: HttpRequest) -> HttpResponse:
    ended = end_sessions(user_of(request), but=request.session.session_key)
    messages.success(request, f"{ended:,} other session{'' if ended == 1 else 's'} ended.")
    return redirect("console:own-sign-in")
