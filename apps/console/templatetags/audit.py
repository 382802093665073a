"""How the audit log shows what an act changed."""

import orjson
from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.accounts.audit import FieldChange
from apps.console.json_view import visible
from apps.core.text import short

register = template.Library()
LONGEST_VALUE = 200


@register.simple_tag
def before_after(change: FieldChange) -> SafeString:
    """`no → yes`, with what was before struck through; only the new value where there was none."""
    old, new = value_text(change.old), value_text(change.new)
    if change.old is None:
        return format_html('<ins title="{}">{}</ins>', new, short(new, LONGEST_VALUE))
    if change.new is None:
        return format_html('<del title="{}">{}</del>', old, short(old, LONGEST_VALUE))
    texts = (old, short(old, LONGEST_VALUE), new, short(new, LONGEST_VALUE))
    return format_html('<del title="{}">{}</del> <span class="dim">to</span> <ins title="{}">{}</ins>', *texts)


def value_text(value: object) -> str:
    """A value as people read it: yes, no, nothing, a text as it is, else JSON."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return visible(value) or "blank"
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return visible(", ".join(value)) or "nothing"
    return visible(orjson.dumps(value).decode()) if value is not None else "nothing"
