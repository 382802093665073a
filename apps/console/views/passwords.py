"""A forgotten password: asking for a link, and what the link opens."""

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import urlsafe_base64_decode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from apps.accounts.client_address import client_address
from apps.accounts.passwords import ask_for_reset, set_password
from apps.console.gate import before_second_factor
from apps.console.people_forms import NewPasswordForm, ResetForm
from apps.console.views.sign_in import locked_answer

IN_SESSION = "password_link"
HIDDEN = "now"


@never_cache
@before_second_factor
@require_http_methods(["GET", "POST"])
def forgotten(request: HttpRequest) -> HttpResponse:
    """The answer is the same whether anybody has the address."""
    form = ResetForm(request.POST if request.method == "POST" else None, address=client_address(request))
    if form.is_bound and form.is_valid():
        ask_for_reset(form.cleaned_data["email"])
        return render(request, "registration/password_sent.html", {"email": form.cleaned_data["email"]})
    return locked_answer(render(request, "registration/password_forgotten.html", {"form": form}), form.locked_until)


@never_cache
@before_second_factor
@require_http_methods(["GET", "POST"])
def new_password(request: HttpRequest, user_key: str, token: str) -> HttpResponse:
    """The link moves its token into the session first: addresses stay in histories, and go out as referrers."""
    if token != HIDDEN:
        request.session[IN_SESSION] = [user_key, token]
        return redirect("console:password-new", user_key, HIDDEN)
    user = user_of_link(user_key, request.session.get(IN_SESSION))
    if user is None:
        return render(request, "registration/password_link_old.html", status=404)
    form = NewPasswordForm(user, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        del request.session[IN_SESSION]
        set_password(user, form.cleaned_data["new_password1"])
        messages.success(request, "Your password is changed. Sign in with it.")
        return redirect("console:sign-in")
    return render(request, "registration/password_new.html", {"form": form}, status=422 if form.is_bound else 200)


def user_of_link(user_key: str, kept: list[str] | None) -> User | None:
    """Whose link it is; None if it was used, is over, or is none."""
    if kept is None or kept[0] != user_key:
        return None
    try:
        user_id = int(urlsafe_base64_decode(user_key))
    except ValueError:
        return None
    user = get_user_model().objects.filter(pk=min(user_id, 2**31 - 1), is_active=True).first()
    return user if user is not None and default_token_generator.check_token(user, kept[1]) else None
