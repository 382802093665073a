"""Every address below /v1/, resource by resource; the last one answers 404 for all others."""

from itertools import chain

from django.urls import URLPattern, re_path

from apps.api.views import flows, integrations, nothing, token_info

app_name = "api"
RESOURCES: tuple[list[URLPattern], ...] = (token_info.urls, integrations.urls, flows.urls)

urlpatterns = [*chain.from_iterable(RESOURCES), re_path(r"", nothing.Nothing.as_view(), name="nothing")]
