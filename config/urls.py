"""Every address of the product, by floor."""

from django.contrib import admin
from django.urls import include, path

from apps.console.views.sign_in import admin_sign_in
from apps.execution.hooks import receive
from apps.flows.hooks import PATH as HOOKS

urlpatterns = [
    path("admin/login/", admin_sign_in),
    path("admin/", admin.site.urls),
    path(f"{HOOKS}<str:key>", receive, name="hook"),
    path("v1/", include("apps.api.urls")),
    path("", include("apps.console.urls")),
]

handler400 = "config.failures.bad_request"
handler403 = "apps.console.views.failures.forbidden"
handler404 = "apps.console.views.failures.not_found"
handler500 = "config.failures.broken"
