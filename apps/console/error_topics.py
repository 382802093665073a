"""The live topic of one error in its drawer: its state, and that something became of it."""

from collections.abc import Iterator

from django.http import HttpRequest
from django.template.loader import render_to_string

from apps.console.addresses import ErrorId
from apps.console.live import Told, topic
from apps.console.loaded import error_of
from apps.errors.models import Error


def error_topic(error: Error) -> str:
    return f"error:{error.pk}"


@topic("error")
def error_told(request: HttpRequest, key: str) -> Told:
    error = error_of(request, _key(key))

    def fragments(since: str) -> Iterator[str]:
        yield render_to_string("error/_drawer_live.html", {"error": error})

    return Told(f"{error.shown_state}.{error.attempts}.{error.retry_run_id or 0}", fragments)


def _key(text: str) -> int:
    """0, which no error has, for what is no id."""
    try:
        return ErrorId().to_python(text)
    except ValueError:
        return 0
