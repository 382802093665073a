"""The addresses of notifications: subscriptions, channels, the delivery log, and the end of mails by one click."""

from django.urls import path

from apps.console.views import channels, notifications, unsubscribing

OWN = "settings/notifications/"
SUBSCRIPTION = OWN + "subscriptions/<int:subscription_id>/"
CHANNEL = OWN + "channels/<int:channel_id>/"

urlpatterns = [
    path(OWN, notifications.notification_list, name="notification-list"),
    path(OWN + "wishes/save", notifications.save_preference, name="notification-wishes-save"),
    path(OWN + "test", notifications.test, name="notification-test"),
    path(OWN + "deliveries/", notifications.delivery_log, name="delivery-log"),
    path(OWN + "subscriptions/new/", notifications.new_subscription, name="subscription-new"),
    path(SUBSCRIPTION + "edit/", notifications.edit_subscription, name="subscription-edit"),
    path(SUBSCRIPTION + "end", notifications.end, name="subscription-end"),
    path(OWN + "channels/new/", channels.new_channel, name="channel-new"),
    path(CHANNEL + "test", channels.test, name="channel-test"),
    path(CHANNEL + "enable", channels.enable, name="channel-enable"),
    path(CHANNEL + "disable", channels.disable, name="channel-disable"),
    path(CHANNEL + "delete/", channels.delete, name="channel-delete"),
    path(
        "integrations/<slug:slug>/notifications/",
        notifications.integration_notifications,
        name="integration-notifications",
    ),
    path("unsubscribe/<str:token>/", unsubscribing.unsubscribe_page, name="unsubscribe"),
]
