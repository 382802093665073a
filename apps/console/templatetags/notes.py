"""The notes of errors, wherever they are shown."""

from django import template
from django.template import Context

from apps.accounts.permissions import Act
from apps.console.access import may_do
from apps.console.selectors.errors import ErrorPage
from apps.console.selectors.notes import Notes
from apps.errors.models import Error

register = template.Library()


@register.filter
def tags_on(page: ErrorPage, error: Error) -> list[str]:
    """The names of the tags of a row."""
    return page.tags.get(error.pk, [])


@register.simple_tag(takes_context=True)
def notes_of(context: Context, error: Error) -> Notes:
    """Tags, comments and possible assignees; read when they are shown."""
    return Notes(error, may_define=may_do(context["request"], Act.DEFINE_TAGS))
