"""What the link of an invitation opens: joining as who is signed in, or as somebody new."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from apps.accounts.invitations import InvitationRefused, accept, accept_as_new, find_invitation, user_is_known
from apps.accounts.models import Invitation
from apps.accounts.signing_in import complete_sign_in
from apps.console.gate import before_second_factor, user_of
from apps.console.people_forms import AcceptForm

IN_SESSION = "invitation_link"
HIDDEN = "now"


@never_cache
@before_second_factor
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, text: str) -> HttpResponse:
    """The link moves its text into the session first: addresses stay in logs and histories. GET changes nothing
    else: programs that look at the links of mails use nothing up."""
    if text != HIDDEN:
        request.session[IN_SESSION] = text
        return redirect("console:invitation", HIDDEN)
    found = find_invitation(request.session.get(IN_SESSION, ""))
    if found is None:
        return render(request, "registration/invitation_old.html", status=404)
    try:
        if request.user.is_authenticated:
            return join_as_self(request, found)
        if user_is_known(found.email):
            return render(request, "registration/invitation_known.html", {"invitation": found})
        return join_as_new(request, found)
    except InvitationRefused as refused:
        messages.error(request, str(refused))
        return redirect("console:home")


def join_as_self(request: HttpRequest, found: Invitation) -> HttpResponse:
    if request.method != "POST":
        return render(request, "registration/invitation_join.html", {"invitation": found})
    accept(invitation=found, user=user_of(request))
    return welcome(request, found)


def join_as_new(request: HttpRequest, found: Invitation) -> HttpResponse:
    form = AcceptForm(request.POST if request.method == "POST" else None, invitation=found)
    if form.is_bound and form.is_valid():
        facts = form.cleaned_data
        user = accept_as_new(invitation=found, name=facts["name"], password=facts["password"])
        complete_sign_in(request, user, stay=False, with_second_factor=False)
        return welcome(request, found)
    context = {"form": form, "invitation": found}
    return render(request, "registration/invitation_new.html", context, status=422 if form.is_bound else 200)


def welcome(request: HttpRequest, found: Invitation) -> HttpResponse:
    request.session.pop(IN_SESSION, None)
    request.session["account"] = found.account_id
    messages.success(request, f"You are a member of {found.account} now.")
    return redirect("console:home")
