"""Sizes of files, as the support bundle shows them."""

from django import template

from apps.console.selectors.platform import bytes_text

register = template.Library()


@register.filter("bytes")
def bytes_filter(size: int) -> str:
    return bytes_text(size)
