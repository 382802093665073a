"""The topic of the troubleshooting guide that fits an error."""

from django import template

from apps.console.help_topics import Topic, topic_for
from apps.errors.models import Cause

register = template.Library()


@register.filter
def guide_topic(cause: Cause) -> Topic:
    return topic_for(cause.source, cause.code, cause.classification)
