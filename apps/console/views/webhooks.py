"""Webhooks: which addresses are told what happens, and what came of telling them. They are a manager's."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.permissions import ACTS, Act
from apps.console.access import account_of, may_do, member_of, member_page
from apps.console.context import Crumb
from apps.console.filters import address_with, choice_filter
from apps.console.live import live_address
from apps.console.once import show_once, taken
from apps.console.selectors.connections import require
from apps.console.selectors.webhooks import DELIVERIES_A_PAGE, deliveries_of, webhook_rows
from apps.console.views.reading import cursor_of
from apps.console.webhook_form import WebhookForm
from apps.core.ids import LARGEST_KEY
from apps.core.pagination import BadCursorError
from apps.webhooks.models import DeliveryStatus, Webhook, WebhookDelivery
from apps.webhooks.services import (
    WebhookRefused,
    add_webhook,
    change_webhook,
    remove_webhook,
    send_again,
    send_test,
    switch_webhook,
)

EDIT = Act.EDIT_CONNECTIONS
STATES = [("", "all"), *((state.value, state.label.lower()) for state in DeliveryStatus)]


@member_page
def webhook_list(request: HttpRequest) -> HttpResponse:
    require(request, EDIT)
    rows = webhook_rows(account_of(request))
    return render(request, "webhook/list.html", page_context(request) | {"rows": rows})


@never_cache
@member_page
def webhook_page(request: HttpRequest, webhook_id: int) -> HttpResponse:
    """What it is told, and its deliveries, the newest first."""
    webhook = get_webhook(request, webhook_id)
    state = choice_filter(request, "status", "Status", STATES)
    chosen = next((choice.value for choice in state.choices if choice.is_chosen), "")
    try:
        page = deliveries_of(webhook, chosen, cursor_of(request))
    except BadCursorError as error:
        messages.error(request, str(error))
        return redirect("console:webhook", webhook.pk)
    made = taken(request, once_of(webhook))
    context = page_context(request, Crumb(webhook.host)) | {
        "webhook": webhook,
        "made": made,
        "filter": state,
        "rows": page.rows,
        "page_size": DELIVERIES_A_PAGE,
        "may_delete": may_do(request, Act.DELETE),
        "role_to_delete": ACTS[Act.DELETE].label.lower(),
        "newer_url": address_with(request, page=page.previous_cursor) if page.previous_cursor else "",
        "older_url": address_with(request, page=page.next_cursor) if page.next_cursor else "",
    }
    return render(request, "webhook/page.html", context)


@member_page
def new_webhook(request: HttpRequest) -> HttpResponse:
    require(request, EDIT)
    form = WebhookForm(request.POST if request.method == "POST" else None, account_of(request))
    if form.is_bound and form.is_valid():
        try:
            webhook, secret = add_webhook(account=account_of(request), member=member_of(request), **form.facts)
        except WebhookRefused as refused:
            form.tell(refused)
        else:
            if not form.cleaned_data["secret"]:
                show_once(request, once_of(webhook), webhook.pk, secret)
            messages.success(request, f"The webhook to {webhook.host} is made. Test it to see whether it answers.")
            return redirect("console:webhook", webhook.pk)
    context = page_context(request, Crumb("New webhook")) | {"form": form, "back_url": reverse("console:webhook-list")}
    return render(request, "webhook/edit.html", context, status=422 if form.is_bound else 200)


@member_page
def edit_webhook(request: HttpRequest, webhook_id: int) -> HttpResponse:
    webhook = get_webhook(request, webhook_id)
    own_url = reverse("console:webhook", args=[webhook.pk])
    crumbs = (Crumb(webhook.host, own_url), Crumb("Edit"))
    form = WebhookForm(request.POST if request.method == "POST" else None, account_of(request), webhook)
    if form.is_bound and form.is_valid():
        try:
            change_webhook(webhook=webhook, member=member_of(request), **form.facts)
        except WebhookRefused as refused:
            form.tell(refused)
        else:
            messages.success(request, f"The webhook to {webhook.host} is saved.")
            return redirect(own_url)
    context = page_context(request, *crumbs) | {"form": form, "webhook": webhook, "back_url": own_url}
    return render(request, "webhook/edit.html", context, status=422 if form.is_bound else 200)


@require_POST
@member_page
def test(request: HttpRequest, webhook_id: int) -> HttpResponse:
    """Sent by a worker; what came of it stands in the deliveries."""
    webhook = get_webhook(request, webhook_id)
    send_test(webhook=webhook, member=member_of(request))
    messages.success(request, f"A test is on its way to {webhook.host}: its answer will stand below.")
    return redirect("console:webhook", webhook.pk)


@require_POST
@member_page
def enable(request: HttpRequest, webhook_id: int) -> HttpResponse:
    webhook = switch_webhook(webhook=get_webhook(request, webhook_id), member=member_of(request), enabled=True)
    messages.success(request, f"The webhook to {webhook.host} is enabled.")
    return redirect("console:webhook", webhook.pk)


@require_POST
@member_page
def disable(request: HttpRequest, webhook_id: int) -> HttpResponse:
    webhook = switch_webhook(webhook=get_webhook(request, webhook_id), member=member_of(request), enabled=False)
    messages.success(request, f"The webhook to {webhook.host} is disabled: it gets nothing but tests.")
    return redirect("console:webhook", webhook.pk)


@require_http_methods(["GET", "POST"])
@member_page
def delete(request: HttpRequest, webhook_id: int) -> HttpResponse:
    """A GET asks, a POST does it."""
    webhook = get_webhook(request, webhook_id, to=Act.DELETE)
    if request.method == "POST":
        remove_webhook(webhook=webhook, member=member_of(request))
        messages.success(request, f"The webhook to {webhook.host} is deleted.")
        return redirect("console:webhook-list")
    own = Crumb(webhook.host, reverse("console:webhook", args=[webhook.pk]))
    context = page_context(request, own, Crumb("Delete"))
    return render(request, "webhook/delete.html", context | {"webhook": webhook})


@require_POST
@member_page
def deliver_again(request: HttpRequest, webhook_id: int, delivery_id: int) -> HttpResponse:
    webhook = get_webhook(request, webhook_id)
    mine = WebhookDelivery.objects.of(webhook.account_id).filter(webhook=webhook)
    delivery = get_object_or_404(mine, pk=min(delivery_id, LARGEST_KEY))
    if send_again(delivery=delivery, member=member_of(request)):
        messages.success(request, f"The event {delivery.event} is sent to {webhook.host} again.")
    else:
        messages.error(request, "This delivery is on its way already.")
    return redirect("console:webhook", webhook.pk)


def once_of(webhook: Webhook) -> str:
    """What its secret waits under: the page of another webhook does not take it."""
    return f"webhook_{webhook.pk}"


def get_webhook(request: HttpRequest, webhook_id: int, to: Act = EDIT) -> Webhook:
    """Raises Http404 for one of another account, PermissionDenied for an act above the member's role."""
    rows = Webhook.objects.of(account_of(request)).select_related("integration")
    found: Webhook = get_object_or_404(rows, pk=min(webhook_id, LARGEST_KEY))
    require(request, to)
    return found


def page_context(request: HttpRequest, *more: Crumb) -> dict[str, Any]:
    account = Crumb(account_of(request).name, reverse("console:dashboard"))
    return {
        "nav": "webhooks",
        "crumbs": [account, Crumb("Webhooks", reverse("console:webhook-list") if more else ""), *more],
        "live_url": live_address(request, "shell"),
    }
