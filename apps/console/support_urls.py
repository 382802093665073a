"""Addresses of the support bundle."""

from django.urls import path

from apps.console.views import support

urlpatterns = [
    path("settings/support-bundle/", support.support_bundle, name="support-bundle"),
    path("settings/support-bundle/<int:bundle_id>/", support.look, name="support-bundle-look"),
    path("settings/support-bundle/<int:bundle_id>/ticket/", support.edit_ticket, name="support-bundle-edit"),
    path("settings/support-bundle/<int:bundle_id>/download", support.download, name="support-bundle-download"),
    path("settings/support-bundle/<int:bundle_id>/send", support.send, name="support-bundle-send"),
    path("settings/support-bundle/<int:bundle_id>/discard", support.discard, name="support-bundle-discard"),
    path("help/ticket/", support.new_ticket, name="help-ticket"),
]
