"""A page with every part of the design guide in it, to look at while developing."""

from datetime import timedelta

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from apps.console.context import Crumb
from apps.console.graphs import RUN_LETTERS
from apps.console.statuses import GROUPS
from apps.core.clock import wall_now

SERIES = ("All flows", "Orders", "Fulfilments", "Contacts", "Companies", "Loyalty points", "Refunds", "Payouts")
ROWS = (
    ("Orders to warehouse", "Shop and warehouse", "completed_with_errors", "oowowwowwwow", 147, 61_804, 1_486),
    ("Contacts to CRM", "Database to CRM", "running", "oooowoowwoor", 64, 40_212, 402),
    ("Refunds to credit memos", "Shop and warehouse", "failed", "oooooooooowf", 12, 1_903, 41),
    ("Nightly stock count", "File drops", "completed", "ooooooocoooo", 0, 88_412, 0),
)


class ExampleForm(forms.Form):
    base_url = forms.CharField(label="Base URL", help_text="Relative paths of steps are added to it.")
    attempts = forms.IntegerField(label="Retry attempts")
    handler = forms.ChoiceField(label="Error handler type", choices=[("set_aside", "Set aside"), ("fail", "Fail")])
    note = forms.CharField(label="Note", widget=forms.Textarea(attrs={"rows": 2}), required=False)
    enabled = forms.BooleanField(label="Start the flow", required=False)

    def clean_attempts(self) -> int:
        attempts: int = self.cleaned_data["attempts"]
        if not 0 <= attempts <= 10:
            raise forms.ValidationError(f"Between 0 and 10. Your value is {attempts}.")
        return attempts


@login_required
def design(request: HttpRequest) -> HttpResponse:
    if not settings.DEBUG:
        raise Http404
    if "toast" in request.GET:
        messages.success(request, "12 errors sent for retry. They are on the Retries tab.")
        messages.error(request, "3 errors could not be sent: the connection Warehouse API is offline.")
    now = wall_now()
    context = {
        "crumbs": [Crumb("Flowmend", "/"), Crumb("Design")],
        "form": ExampleForm({"base_url": "https://api.example.com", "attempts": "11", "handler": "fail"}),
        "groups": {title: list(table) for title, table in GROUPS.items()},
        "series": list(enumerate(SERIES, start=1)),
        "rows": ROWS,
        "letters": "".join(RUN_LETTERS),
        "applications": ("http", "sql", "file", "webhook", "mail", "call", "lookup", "map", "filter", "branch", "log"),
        "values": [3, 4, 2, 6, 5, 8, 7, 9, 6, 11, 12, 10],
        "hours": [0, 0, 2, 5, 0, 1, 12, 7, 3, 0, 0, 4, 6, 2, 0, 1, 0, 0, 3, 9, 2, 1, 0, 5],
        "failed_pages": (2, 5),
        "moments": [now - timedelta(minutes=4), now - timedelta(days=400), now + timedelta(hours=2)],
        "soon": now + timedelta(seconds=48),
    }
    return render(request, "design.html", context)
