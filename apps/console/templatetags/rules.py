"""How rules and what they met look."""

from django import template

register = template.Library()


@register.filter
def rule_look(mode: str) -> str:
    """A rule's mode as the table of statuses names it."""
    return f"rule_{mode}"
