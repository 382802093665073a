"""Who reads a page and when, and the place in a list that the address names."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from apps.console.context import preferences_of
from apps.core.clock import wall_now

LONGEST_CURSOR = 500


def reader_of(request: HttpRequest) -> tuple[ZoneInfo, datetime]:
    return preferences_of(request).zone, wall_now()


def cursor_of(request: HttpRequest) -> str:
    return request.GET.get("page", "")[:LONGEST_CURSOR]
