"""Parts of the pages of an integration."""

from django import template
from django.urls import NoReverseMatch, reverse

from apps.flows.models import Integration

register = template.Library()

TABS = (
    ("flows", "Flows", "integration"),
    ("dashboard", "Dashboard", "integration-dashboard"),
    ("analytics", "Analytics", "integration-analytics"),
    ("connections", "Connections", "integration-connections"),
    ("notifications", "Notifications", "integration-notifications"),
    ("settings", "Settings", "integration-settings"),
)


@register.simple_tag
def integration_tabs(integration: Integration) -> list[tuple[str, str, str]]:
    """(name, label, address) of the pages of an integration; one that does not exist has no tab."""
    return [(name, label, href) for name, label, url_name in TABS if (href := _address(url_name, integration.slug))]


def _address(url_name: str, slug: str) -> str:
    try:
        return reverse(f"console:{url_name}", args=[slug])
    except NoReverseMatch:
        return ""
