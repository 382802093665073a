"""Signing in and out."""

from typing import Any

from django.contrib.auth import views as auth
from django.http import HttpResponse

from apps.console.forms import SignInForm

STAY_SECONDS = 14 * 86400
UNTIL_BROWSER_CLOSES = 0


class SignIn(auth.LoginView):
    """The sign-in page; whoever is signed in already goes on to where he wanted."""

    template_name = "registration/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        self.request.session.set_expiry(STAY_SECONDS if form.cleaned_data["stay"] else UNTIL_BROWSER_CLOSES)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {
            "host": self.request.get_host(),
            "returns_to": self.get_redirect_url(),
        }


class SignOut(auth.LogoutView):
    """Ends the session (POST only) and shows the sign-in page."""

    next_page = "console:sign-in"
