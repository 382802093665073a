"""The notes of errors, wherever they are shown."""

from collections.abc import Sequence

from django import template
from django.template import Context

from apps.accounts.permissions import Act
from apps.console.access import may_do
from apps.console.selectors.notes import Notable, Notes
from apps.errors.models import Error

register = template.Library()


@register.filter
def tags_on(notable: Notable, error: Error) -> Sequence[str]:
    """The names of the tags of a row."""
    return notable.tags_on(error)


@register.simple_tag(takes_context=True)
def notes_of(context: Context, error: Error) -> Notes:
    """Tags, comments and possible assignees; read when they are shown."""
    return Notes(error, may_define=may_do(context["request"], Act.DEFINE_TAGS))
