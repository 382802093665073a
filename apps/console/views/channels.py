"""Channels beside e-mail: made, tested, switched and removed by whoever may subscribe others."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.permissions import Act
from apps.console.access import account_of, environment_of, member_of, member_page
from apps.console.context import Crumb
from apps.console.notification_forms import ChannelForm
from apps.console.once import show_once
from apps.console.selectors.connections import require
from apps.console.views.notifications import ONCE, UNPROCESSABLE, page_context
from apps.core.ids import LARGEST_KEY
from apps.notifications.channels import ChannelRefused, add_channel, remove_channel, switch_channel
from apps.notifications.models import Channel, Subscription
from apps.notifications.services import Target, send_test


@member_page
def new_channel(request: HttpRequest) -> HttpResponse:
    require(request, Act.SUBSCRIBE_OTHERS)
    form = ChannelForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            channel, secret = add_channel(account=account_of(request), by=member_of(request), **form.cleaned_data)
        except ChannelRefused as refused:
            form.tell(refused)
        else:
            if secret:
                show_once(request, ONCE, channel.pk, secret)
            messages.success(request, f"Channel {channel.name} is made. Test it, then subscribe it to something.")
            return redirect("console:notification-list")
    context = page_context(request, Crumb("New channel")) | {"form": form}
    return render(request, "notification/channel.html", context, status=UNPROCESSABLE if form.is_bound else 200)


def get_channel(request: HttpRequest, channel_id: int) -> Channel:
    """Raises Http404 for one of another account, PermissionDenied for an act above the member's role."""
    found: Channel = get_object_or_404(Channel.objects.of(account_of(request)), pk=min(channel_id, LARGEST_KEY))
    require(request, Act.SUBSCRIBE_OTHERS)
    return found


@require_POST
@member_page
def test(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Sent by a worker; what came of it stands in the log."""
    channel = get_channel(request, channel_id)
    send_test(by=member_of(request), target=Target(channel=channel), environment=environment_of(request))
    messages.success(request, f"A test is on its way to {channel.name}: what comes of it stands below.")
    return redirect("console:notification-list")


@require_POST
@member_page
def enable(request: HttpRequest, channel_id: int) -> HttpResponse:
    channel = switch_channel(channel=get_channel(request, channel_id), by=member_of(request), enabled=True)
    messages.success(request, f"Channel {channel.name} is enabled: it is told what happens from now on.")
    return redirect("console:notification-list")


@require_POST
@member_page
def disable(request: HttpRequest, channel_id: int) -> HttpResponse:
    channel = switch_channel(channel=get_channel(request, channel_id), by=member_of(request), enabled=False)
    messages.success(request, f"Channel {channel.name} is disabled: it is told nothing but tests.")
    return redirect("console:notification-list")


@require_http_methods(["GET", "POST"])
@member_page
def delete(request: HttpRequest, channel_id: int) -> HttpResponse:
    """A GET asks, a POST does it."""
    channel = get_channel(request, channel_id)
    if request.method == "POST":
        remove_channel(channel=channel, by=member_of(request))
        messages.success(request, f"Channel {channel.name} is deleted.")
        return redirect("console:notification-list")
    count = Subscription.objects.of(channel.account_id).filter(channel=channel).count()
    own = Crumb(channel.name, reverse("console:notification-list"))
    context = page_context(request, own, Crumb("Delete")) | {"channel": channel, "subscriptions": count}
    return render(request, "notification/channel_delete.html", context)
