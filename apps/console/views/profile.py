"""How the signed-in user reads the console; the same in every account."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from apps.accounts.models import Profile
from apps.console.access import find_member
from apps.console.context import Crumb
from apps.console.notification_forms import PreferenceForm
from apps.console.profile_form import ProfileForm
from apps.console.selectors.notifications import preference_of
from apps.core.clock import wall_now


@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """GET shows the form, POST stores it. It needs no account: a user has one profile."""
    member = find_member(request)
    mine = Profile.objects.filter(pk=request.user.pk).first() or Profile(pk=request.user.pk)
    data = request.POST if request.method == "POST" else None
    zone = member.account.time_zone if member else "UTC"
    form = ProfileForm(data, instance=mine, account_zone=zone)
    if data is not None and form.is_valid():
        form.save()
        messages.success(request, "Your profile is saved.")
        return redirect("console:profile")
    wishes = PreferenceForm(None, preference_of(member)) if member else None
    context = {"crumbs": [Crumb("Profile")], "form": form, "now": wall_now(), "member": member, "wishes": wishes}
    return render(request, "profile.html", context, status=422 if form.is_bound else 200)
