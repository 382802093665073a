"""The first page after signing in."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from apps.console.access import find_member


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """To the dashboard; whoever is in no account yet is told so here."""
    return redirect("console:dashboard") if find_member(request) else render(request, "no_account.html")
