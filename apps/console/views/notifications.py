"""Who is told what: subscriptions, when mails are wanted, channels, and what was sent."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from apps.accounts.permissions import Act
from apps.console.access import account_of, environment_of, get_integration, may_do, member_of, member_page, reach_of
from apps.console.context import Crumb
from apps.console.filters import address_with, choice_filter
from apps.console.live import live_address
from apps.console.notification_forms import ACCOUNT, ChangeForm, Places, PreferenceForm, SubscribeForm
from apps.console.once import taken
from apps.console.selectors.notifications import (
    DELIVERIES_A_PAGE,
    SubscriptionRow,
    about_flow,
    about_integration,
    channels_of,
    delivery_page,
    latest_deliveries,
    next_window,
    preference_of,
    subscription_rows,
    subscriptions_seen_by,
)
from apps.console.views.acts import back
from apps.console.views.integration_settings import page_context as integration_context
from apps.console.views.reading import cursor_of
from apps.core.ids import LARGEST_KEY
from apps.core.pagination import BadCursorError
from apps.flows.models import Flow
from apps.notifications.models import DeliveryStatus, Subscription
from apps.notifications.services import (
    SubscriptionRefused,
    Target,
    change_subscription,
    end_subscription,
    send_test,
    set_preference,
    subscribe,
)

UNPROCESSABLE = 422
ONCE = "channel"
STATES = [("", "all"), *((state.value, state.label.lower()) for state in DeliveryStatus)]


@never_cache
@member_page
def notification_list(request: HttpRequest) -> HttpResponse:
    """Subscriptions, one's own wishes, channels, and the latest deliveries."""
    return list_page(request, PreferenceForm(None, preference_of(member_of(request))))


def list_page(request: HttpRequest, form: PreferenceForm, *, status: int = 200) -> HttpResponse:
    member = member_of(request)
    made = taken(request, ONCE)
    channels = channels_of(member)
    context = page_context(request) | {
        "rows": subscription_rows(subscriptions_seen_by(member, reach_of(request))),
        "form": form,
        "channels": channels,
        "made": made,
        "made_channel": next((channel for channel in channels if made and channel.pk == made.key), None),
        "deliveries": latest_deliveries(member),
        "window": next_window(reach_of(request)),
    }
    return render(request, "notification/list.html", context, status=status)


def page_context(request: HttpRequest, *more: Crumb) -> dict[str, Any]:
    account = Crumb(account_of(request).name, reverse("console:dashboard"))
    own = Crumb("Notifications", reverse("console:notification-list") if more else "")
    member = member_of(request)
    return {
        "nav": "notifications",
        "crumbs": [account, own, *more],
        "member": member,
        "may_others": may_subscribe_others(request),
        "live_url": live_address(request, "shell"),
    }


def may_subscribe_others(request: HttpRequest) -> bool:
    return may_do(request, Act.SUBSCRIBE_OTHERS)


# --- subscriptions ---------------------------------------------------------------------------------------------------
@member_page
def new_subscription(request: HttpRequest) -> HttpResponse:
    """For the member himself or, by whoever may, for others and for channels."""
    own, places = member_of(request), Places(reach_of(request))
    about = request.GET.get("about", ACCOUNT)
    form = SubscribeForm(request.POST if request.method == "POST" else None, own, places, about=about)
    if form.is_bound and form.is_valid():
        try:
            made = subscribe(
                account=account_of(request), by=own, target=form.target, coverage=form.coverage, choices=form.choices
            )
        except SubscriptionRefused as refused:
            form.tell(refused)
        else:
            messages.success(request, f"Subscribed: {story(made)}")
            return back(request, reverse("console:notification-list"))
    context = page_context(request, Crumb("New subscription")) | {"form": form, "next": request.GET.get("next", "")}
    return render(request, "notification/subscribe.html", context, status=UNPROCESSABLE if form.is_bound else 200)


def story(subscription: Subscription) -> str:
    row = SubscriptionRow(subscription)
    return f"{row.taker} is told of {row.about}: {', '.join(row.kinds)}."


@member_page
def edit_subscription(request: HttpRequest, subscription_id: int) -> HttpResponse:
    subscription = get_subscription(request, subscription_id)
    form = ChangeForm(request.POST if request.method == "POST" else None, subscription)
    if form.is_bound and form.is_valid():
        try:
            changed = change_subscription(subscription=subscription, by=member_of(request), choices=form.choices)
        except SubscriptionRefused as refused:
            form.tell(refused)
        else:
            messages.success(request, f"Saved: {story(changed)}")
            return redirect("console:notification-list")
    context = page_context(request, Crumb("Change a subscription")) | {
        "form": form,
        "row": SubscriptionRow(subscription),
    }
    return render(request, "notification/change.html", context, status=UNPROCESSABLE if form.is_bound else 200)


@require_POST
@member_page
def end(request: HttpRequest, subscription_id: int) -> HttpResponse:
    subscription = get_subscription(request, subscription_id)
    row = SubscriptionRow(subscription)
    end_subscription(subscription=subscription, by=member_of(request))
    messages.success(request, f"{row.taker} is not told of {row.about} because of this subscription any more.")
    return back(request, reverse("console:notification-list"))


def get_subscription(request: HttpRequest, subscription_id: int) -> Subscription:
    """Raises Http404 for one that this member does not see."""
    rows = subscriptions_seen_by(member_of(request), reach_of(request))
    found: Subscription = get_object_or_404(rows, pk=min(subscription_id, LARGEST_KEY))
    return found


@member_page
def integration_notifications(request: HttpRequest, slug: str) -> HttpResponse:
    """Because of which subscriptions somebody is told of the integration."""
    integration = get_integration(request, slug)
    rows = subscriptions_seen_by(member_of(request), reach_of(request)).filter(about_integration(integration))
    context = integration_context(request, integration, "notifications", "Notifications") | {
        "rows": subscription_rows(rows),
        "member": member_of(request),
        "may_others": may_subscribe_others(request),
        "subscribe_url": subscribe_address(request, f"i{integration.pk}"),
        "live_url": live_address(request, "shell"),
    }
    return render(request, "integration/notifications.html", context)


def subscribe_address(request: HttpRequest, about: str) -> str:
    """Where one subscribes to this place and comes back from."""
    return f"{reverse('console:subscription-new')}?{urlencode({'about': about, 'next': request.path})}"


def flow_subscriptions(request: HttpRequest, flow: Flow) -> dict[str, Any]:
    """The part of a flow's settings: because of which subscriptions somebody is told of it."""
    rows = subscriptions_seen_by(member_of(request), reach_of(request)).filter(about_flow(flow))
    return {
        "rows": subscription_rows(rows),
        "member": member_of(request),
        "may_others": may_subscribe_others(request),
        "subscribe_url": subscribe_address(request, f"f{flow.pk}"),
    }


# --- one's own wishes ------------------------------------------------------------------------------------------------
@require_POST
@member_page
def save_preference(request: HttpRequest) -> HttpResponse:
    member = member_of(request)
    form = PreferenceForm(request.POST, preference_of(member))
    if form.is_valid():
        try:
            set_preference(member=member, **form.cleaned_data)
        except SubscriptionRefused as refused:
            form.add_error(refused.field, str(refused))
        else:
            messages.success(request, "Saved: when you want mails.")
            return back(request, reverse("console:notification-list"))
    return list_page(request, form, status=UNPROCESSABLE)


@require_POST
@member_page
def test(request: HttpRequest) -> HttpResponse:
    """A mail to the member himself, sent by a worker; what came of it stands in the log."""
    member = member_of(request)
    send_test(by=member, target=Target(member=member), environment=environment_of(request))
    messages.success(request, f"A test is on its way to {member.user.email}: what comes of it stands below.")
    return redirect("console:notification-list")


# --- what was sent ---------------------------------------------------------------------------------------------------
@member_page
def delivery_log(request: HttpRequest) -> HttpResponse:
    """Every message of the account, or to the member, the newest first."""
    state = choice_filter(request, "status", "Status", STATES)
    chosen = next((choice.value for choice in state.choices if choice.is_chosen), "")
    try:
        page = delivery_page(member_of(request), chosen, cursor_of(request))
    except BadCursorError as error:
        messages.error(request, str(error))
        return redirect("console:delivery-log")
    context = page_context(request, Crumb("Delivery log")) | {
        "filter": state,
        "deliveries": page.rows,
        "page_size": DELIVERIES_A_PAGE,
        "newer_url": address_with(request, page=page.previous_cursor) if page.previous_cursor else "",
        "older_url": address_with(request, page=page.next_cursor) if page.next_cursor else "",
    }
    return render(request, "notification/log.html", context)
