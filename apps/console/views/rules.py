"""Rules: the list, one with what it met and would have met, its form, and the switch."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.permissions import ACTS, Act
from apps.console.access import account_of, environment_of, may_do, member_of, member_page
from apps.console.context import Crumb
from apps.console.filters import address_with, choice_filter
from apps.console.live import live_address
from apps.console.rule_form import RuleForm
from apps.console.selectors.connections import require
from apps.console.selectors.rules import (
    acted_this_hour,
    hit_page,
    names_of,
    revisions_of,
    rule_rows,
    words_of,
)
from apps.console.spans import span_filter, span_of
from apps.console.views.reading import cursor_of, reader_of
from apps.core.ids import LARGEST_KEY
from apps.core.pagination import BadCursorError
from apps.errors.models import Rule
from apps.errors.rule_models import HitState, RuleMode
from apps.errors.rules.backtest import DAYS, back_test
from apps.errors.rules.definition import Definition, RuleRefused
from apps.errors.services.rules import remove_rule, save_rule, switch_rule

UNPROCESSABLE = 422
TOLD = {
    "off": "Rule {name} is off.",
    "shadow": "Rule {name} looks at errors from now on and writes down what it would have done.",
    "on": "Rule {name} is on.",
}


def get_rule(request: HttpRequest, rule_id: int) -> Rule:
    """Raises Http404 for one that is removed, or of another account; PermissionDenied for a member of single
    integrations, because a rule looks at all of them."""
    require(request, Act.VIEW)
    rules = Rule.objects.of(account_of(request)).filter(removed_at__isnull=True)
    found = rules.filter(pk=min(rule_id, LARGEST_KEY)).select_related("revision__member__user").first()
    if found is None:
        raise Http404("There is nothing here for you.")
    return found


def rules_context(request: HttpRequest, *more: Crumb) -> dict[str, Any]:
    return {
        "nav": "rules",
        "crumbs": [Crumb("Rules", reverse("console:rule-list") if more else ""), *more],
        "may_edit": may_do(request, Act.EDIT_RULES),
        "role_needed": ACTS[Act.EDIT_RULES].label.lower(),
        "live_url": live_address(request, "shell"),
    }


@member_page
def rule_list(request: HttpRequest) -> HttpResponse:
    require(request, Act.VIEW)
    rows = rule_rows(account_of(request), environment_of(request))
    return render(request, "rule/list.html", rules_context(request) | {"rows": rows})


@member_page
def rule_page(request: HttpRequest, rule_id: int) -> HttpResponseBase:
    """What it looks for and does; what it would have met in the past days; what it met."""
    rule = get_rule(request, rule_id)
    assert rule.revision is not None, "a rule is made with a revision"
    definition = Definition.of(rule.revision.definition)
    days = int(asked) if (asked := request.GET.get("days", "")) in map(str, DAYS) else 0
    looks_for, does = words_of(rule, names_of(account_of(request)))
    context = rules_context(request, Crumb(rule.name)) | {
        "rule": rule,
        "definition": definition,
        "looks_for": looks_for,
        "does": does,
        "test": back_test(rule.account, rule.environment, definition.conditions, days) if days else None,
        "days": [(number, address_with(request, days=str(number)), number == days) for number in DAYS],
        "revisions": revisions_of(rule),
        "acted": acted_this_hour(rule),
        **hits_context(request, rule),
    }
    return render(request, "rule/page.html", context)


def hits_context(request: HttpRequest, rule: Rule) -> dict[str, Any]:
    """What it met; an address may ask for what it did with it (`did=acted`), and for a stretch of time."""
    did = choice_filter(request, "did", "What it did", [("", "anything"), *HitState.choices])
    chosen = next((choice.value for choice in did.choices if choice.is_chosen), "")
    span = span_of(request, *reader_of(request))
    try:
        page, rows = hit_page(rule, state=chosen, since=span.since, cursor=cursor_of(request))
    except BadCursorError as problem:
        return {"damaged": str(problem)}
    return {
        "hits": rows,
        "did": did,
        "span": span_filter(request, "Met", span),
        "is_narrowed": bool(chosen or span.name),
        "older_url": address_with(request, page=page.next_cursor) if page.next_cursor else "",
        "newer_url": address_with(request, page=page.previous_cursor) if page.previous_cursor else "",
    }


@member_page
def new_rule(request: HttpRequest) -> HttpResponse:
    require(request, Act.EDIT_RULES)
    return form_page(request, None)


@member_page
def edit_rule(request: HttpRequest, rule_id: int) -> HttpResponse:
    rule = get_rule(request, rule_id)
    require(request, Act.EDIT_RULES)
    return form_page(request, rule)


def form_page(request: HttpRequest, rule: Rule | None) -> HttpResponse:
    environment = rule.environment if rule is not None else environment_of(request)
    form = RuleForm(request.POST if request.method == "POST" else None, account_of(request), environment, rule)
    if form.is_bound and form.is_valid():
        try:
            saved = save_rule(
                member=member_of(request), name=form.cleaned_data["name"], definition=form.definition,
                environment=environment, rule=rule,
            )  # fmt: skip
        except RuleRefused as refused:
            form.add_error(None, str(refused))
        else:
            messages.success(
                request, f"Rule {saved.name} is saved. See what it would have met before you switch it on."
            )
            return redirect(f"{reverse('console:rule', args=[saved.pk])}?days={DAYS[0]}")
    own = [Crumb(rule.name, reverse("console:rule", args=[rule.pk])), Crumb("Edit")] if rule else [Crumb("New rule")]
    context = rules_context(request, *own) | {"form": form, "rule": rule, "in_environment": environment}
    return render(request, "rule/edit.html", context, status=UNPROCESSABLE if form.errors else 200)


@require_POST
@member_page
def switch(request: HttpRequest, rule_id: int) -> HttpResponse:
    rule = get_rule(request, rule_id)
    require(request, Act.EDIT_RULES)
    mode = request.POST.get("mode", "")
    try:
        switch_rule(rule=rule, member=member_of(request), mode=mode, includes_open="open" in request.POST)
    except RuleRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, TOLD[RuleMode(mode).value].format(name=rule.name))
    return redirect("console:rule", rule.pk)


@require_POST
@member_page
def remove(request: HttpRequest, rule_id: int) -> HttpResponse:
    rule = get_rule(request, rule_id)
    require(request, Act.EDIT_RULES)
    remove_rule(rule=rule, member=member_of(request))
    messages.success(request, f"Rule {rule.name} is removed. What it did stays in the audit log.")
    return redirect("console:rule-list")
