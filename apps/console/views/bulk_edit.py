"""Bulk edit: one change on the retry data of many errors, seen before it is done."""

from dataclasses import dataclass
from typing import Any

import orjson
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from apps.accounts.permissions import Act
from apps.console.access import account_of, member_of, member_page
from apps.console.context import Crumb
from apps.console.live import live_address
from apps.console.selection import selected_errors, selection_of
from apps.console.views.acts import own_address
from apps.errors.changes import Change, ChangeKind, ChangeRefused
from apps.errors.models import Cause
from apps.errors.querysets import ErrorQuerySet
from apps.errors.services.bulk_edit import RETRIES, EditPreview, edit_errors, preview_edit
from apps.errors.services.editing import EditRefused

LONGEST_TEXT = 4_000
KINDS = (
    (ChangeKind.SET, "Set a field"),
    (ChangeKind.UNSET, "Remove a field"),
    (ChangeKind.RENAME, "Rename a field"),
    (ChangeKind.EXPRESSION, "Work it out by an expression"),
)
THEN = (("none", "nothing"), ("1", "1 of them"), ("10", "10 of them"), ("all", "all of them"))


@dataclass(frozen=True)
class EditForm:
    """What was typed. `value` is JSON, or else the text itself."""

    kind: str = ChangeKind.SET
    field: str = ""
    value: str = ""
    to: str = ""
    expression: str = ""
    only: str = ""
    then: str = "none"

    @classmethod
    def of(cls, given: QueryDict) -> "EditForm":
        texts = {name: given.get(name, "")[:LONGEST_TEXT] for name in ("field", "value", "to", "expression", "only")}
        kind, then = given.get("kind", ""), given.get("then", "none")
        return cls(
            kind=kind if kind in set(ChangeKind) else ChangeKind.SET,
            then=then if then in RETRIES else "none",
            **{name: text.strip() for name, text in texts.items()},
        )

    @property
    def change(self) -> Change:
        only = {"is": json_or_text(self.only)} if self.only else {}
        if self.kind == ChangeKind.EXPRESSION:
            return Change(self.kind, self.field, expression=self.expression, only=only)
        value = json_or_text(self.value) if self.kind == ChangeKind.SET else None
        return Change(self.kind, self.field, value, to=self.to if self.kind == ChangeKind.RENAME else "", only=only)


def json_or_text(text: str) -> Any:
    """`12`, `null`, `"12"` as JSON says; anything else is text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


@require_http_methods(["GET", "POST"])
@member_page
def bulk_edit(request: HttpRequest) -> HttpResponse:
    """The form; with `step=preview` also what would change; a POST with `step=change` does it."""
    given = request.POST if request.method == "POST" else request.GET
    chosen = selection_of(given)
    errors = selected_errors(request, chosen, Act.EDIT_RETRY_DATA)
    form = EditForm.of(given)
    preview, problem = None, ""
    if given.get("step"):
        try:
            if request.method == "POST" and given["step"] == "change":
                return perform(request, errors, form)
            preview = preview_edit(account=account_of(request), errors=errors, changes=[form.change])
        except (ChangeRefused, EditRefused) as refused:
            problem = str(refused)
    context = {
        "nav": "errors",
        "crumbs": [Crumb("Errors", reverse("console:error-list")), Crumb("Edit retry data")],
        "form": form,
        "kinds": KINDS,
        "thens": THEN,
        "fields": chosen.fields,
        "preview": preview,
        "problem": problem,
        "selected": selected_text(preview, errors),
        "cause": cause_of(request, chosen.query),
        "back_url": own_address(request, given.get("next", ""), reverse("console:error-list")),
        "live_url": live_address(request, "shell"),
    }
    return render(request, "cause/edit.html", context)


def perform(request: HttpRequest, errors: ErrorQuerySet, form: EditForm) -> HttpResponse:
    act = edit_errors(
        account=account_of(request), member=member_of(request), errors=errors, changes=[form.change],
        retries=RETRIES[form.then],
    )  # fmt: skip
    following = act.options.get("retry_act")
    if act.ended_at is not None and not following:
        messages.success(request, "The change is made. The originals are kept with each error.")
    return redirect("console:error-act", following or act.pk)


def selected_text(preview: EditPreview | None, errors: ErrorQuerySet) -> str:
    """How many errors are meant; counted up to 10,000."""
    if preview is not None and not preview.is_more:
        return f"{preview.looked_at:,}"
    number = errors.order_by()[:10_001].count()
    return "more than 10,000" if number > 10_000 else f"{number:,}"


def cause_of(request: HttpRequest, query: str) -> Cause | None:
    """The root cause whose errors are edited, if the list was narrowed to one."""
    text = QueryDict(query).get("cause", "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    found: Cause | None = Cause.objects.of(account_of(request)).filter(pk=number).first() if number else None
    return found
