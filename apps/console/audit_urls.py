"""The address of the audit log."""

from django.urls import path

from apps.console.views.audit import audit_log

urlpatterns = [path("settings/audit/", audit_log, name="audit-log")]
