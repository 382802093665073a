"""Parts of the dashboards: heads of columns that sort, and moments without their seconds for heads and tags."""

from collections.abc import Mapping
from datetime import datetime

from django import template
from django.template import Context
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.console.context import Preferences
from apps.console.filters import SortLink
from apps.console.markup import markup
from apps.console.templatetags.ui import icon
from apps.core.clock import wall_now

register = template.Library()


@register.simple_tag
def sort_head(
    sorts: Mapping[str, SortLink], name: str, label: str, cls: str = "", second: str = "", second_label: str = ""
) -> SafeString:
    """The head of a column, with a second order for columns whose cells have two lines."""
    named = [(name, label), *([(second, second_label)] if second else [])]
    state = next((sorts[key].state for key, _ in named if sorts[key].state), "")
    aria = markup(' aria-sort="{}"', state) if state else ""
    links = format_html_join(", ", "{}", ((_sort_link(sorts[key], words),) for key, words in named))
    return markup('<th class="{}"{}>{}</th>', cls, aria, links)


def _sort_link(link: SortLink, label: str) -> SafeString:
    arrow = icon(link.icon, "i-12") if link.icon else ""
    return markup('<a href="{}">{}{}</a>', link.href, label, arrow)


@register.simple_tag(takes_context=True)
def moment_minute(context: Context, moment: datetime) -> str:
    """`20 Nov 15:04`, with the year when it is not the current one of the reader."""
    prefs = context.get("prefs") or Preferences()
    return prefs.moment(moment, wall_now(), with_seconds=False)


@register.simple_tag(takes_context=True)
def time_of_day(context: Context, moment: datetime) -> str:
    """`15:04`"""
    prefs = context.get("prefs") or Preferences()
    return f"{moment.astimezone(prefs.zone):%H:%M}"
