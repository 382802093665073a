"""The first page after signing in."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from apps.console.context import address_of


@login_required
def home(request: HttpRequest) -> HttpResponse:
    dashboard = address_of("console:dashboard")
    return redirect(dashboard) if dashboard else render(request, "home.html")
