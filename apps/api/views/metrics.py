"""Metrics for Prometheus, of what a token's member sees."""

from typing import Any

from django.http import HttpResponse
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST

from apps.api.operations import FAILURES, ApiView, operation
from apps.api.selectors.metrics import metrics_text


class Metrics(ApiView):
    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR, **FAILURES})
    @operation(status=200)
    def get(self, request: Any) -> HttpResponse:
        """Runs, open errors, records, root causes, connections and workers as gauges for Prometheus."""
        return HttpResponse(
            metrics_text(self.caller.reach, self.caller.connections()), content_type=CONTENT_TYPE_LATEST
        )


urls = [path("metrics", Metrics.as_view(), name="metrics")]
