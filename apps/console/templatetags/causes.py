"""Parts of the pages of root causes: the pattern with its varying parts as chips, and values of records."""

import json
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from apps.console.json_view import visible
from apps.errors.changes import MISSING
from apps.errors.fingerprint import VARYING

register = template.Library()
SHOWN_VALUE = 120


@register.filter
def pattern(text: str) -> SafeString:
    """The message of a cause; what varies is a grey chip."""
    parts = visible(text).split(VARYING)
    chip = format_html("<mark>{}<span class='vh'>a part that varies</span></mark>", VARYING)
    first, rest = parts[0], parts[1:]
    return format_html("{}{}", first, format_html_join("", "{}{}", ((chip, part) for part in rest)))


@register.filter
def plain_pattern(text: str) -> str:
    """The same for titles and labels."""
    return visible(text)


@register.filter
def as_json(value: Any) -> SafeString:
    """One value of a record as JSON; nothing where there is none."""
    if value is MISSING:
        return format_html('<span class="dimmer">{}</span>', "nothing")
    text = visible(json.dumps(value, ensure_ascii=False))
    shown = text if len(text) <= SHOWN_VALUE else text[:SHOWN_VALUE] + VARYING
    return format_html('<code class="mono">{}</code>', shown)


@register.simple_tag
def cause_query(cause_id: int) -> str:
    """The filter of the list of a cause's open errors, for forms that act on all of them."""
    return urlencode({"cause": str(cause_id), "state": "open"})
