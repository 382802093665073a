"""The addresses of the retention: what is kept for how long, what goes next, and the end of an account."""

from django.urls import path

from apps.console.flow_urls import ERROR
from apps.console.views import retention
from apps.console.views.keeping import keep

urlpatterns = [
    path(ERROR + "keep", keep, name="error-keep"),
    path("settings/retention/", retention.retention, name="retention"),
    path("settings/retention/change/", retention.change, name="retention-change"),
    path("settings/retention/export", retention.export, name="retention-export"),
    path("settings/retention/exports/<int:export_id>/", retention.export_file, name="retention-export-file"),
    path("settings/account/close/", retention.close, name="account-close"),
]
