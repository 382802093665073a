"""Every address below /v1/, resource by resource; the last one answers 404 for all others."""

from itertools import chain

from django.urls import URLPattern, re_path

from apps.api.views import (
    audit,
    connections,
    diagnostics,
    documents,
    errors,
    flow_acts,
    flows,
    inbox,
    integrations,
    jobs,
    members,
    metrics,
    nothing,
    notifications,
    steps,
    tags,
    token_info,
    webhooks,
)

app_name = "api"
RESOURCES: tuple[list[URLPattern], ...] = (
    documents.urls,
    token_info.urls,
    integrations.urls,
    flows.urls,
    flow_acts.urls,
    steps.urls,
    connections.urls,
    members.urls,
    audit.urls,
    jobs.urls,
    diagnostics.urls,
    errors.urls,
    inbox.urls,
    tags.urls,
    webhooks.urls,
    notifications.urls,
    metrics.urls,
)

urlpatterns = [*chain.from_iterable(RESOURCES), re_path(r"", nothing.Nothing.as_view(), name="nothing")]
