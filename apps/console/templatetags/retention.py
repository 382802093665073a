"""Purges, as the page of the retention shows them."""

from collections.abc import Mapping

from django import template

from apps.console.wording import duration_text
from apps.retention.models import Purge

register = template.Library()

ALSO = {
    "retry_data": "retry data beyond a step's limit",
    "requests": "requests",
    "log_lines": "lines of logs",
    "pages": "pages",
    "attempts": "attempts",
    "minutes": "minutes of charts",
    "half_hours": "half hours of charts",
    "acts": "acts with their items",
    "arrivals": "waiting requests of removed flows",
    "deliveries": "deliveries of webhooks",
    "exports": "exports",
    "root_causes": "root causes without errors",
    "flows": "removed flows",
}
"""What is told beside errors and runs; the rest is housekeeping."""


@register.filter
def took(purge: Purge) -> str:
    return duration_text(purge.ended_at - purge.created_at) if purge.ended_at else ""


@register.filter
def stage_of(purge: Purge, stages: Mapping[str, str]) -> str:
    return stages.get(purge.stage, "Waits for a worker")


@register.filter
def also(purge: Purge) -> str:
    """`12,000 requests, 40 pages`"""
    return ", ".join(f"{purge.counts[name]:,} {words}" for name, words in ALSO.items() if purge.counts.get(name))
