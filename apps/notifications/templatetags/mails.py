"""What the templates of mails need."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template

register = template.Library()


@register.simple_tag(takes_context=True)
def at(context: Mapping[str, Any], moment: datetime | None) -> str:
    """A moment in the reader's time zone."""
    return str(context["clock"].text(moment))
