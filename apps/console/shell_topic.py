"""The live topic of the shell: the counts in the navigation and the facts at its foot."""

import hashlib
from collections.abc import Iterator

from django.http import HttpRequest
from django.template.loader import render_to_string

from apps.console.context import places_of, shell_of
from apps.console.live import Told, nothing, topic


@topic("shell", shared=True)
def shell_told(request: HttpRequest, key: str) -> Told:
    shell = shell_of(request)

    def fragments(since: str) -> Iterator[str]:
        yield render_to_string("_shell_live.html", {"places": places_of(request), "shell": shell})

    return Told(hashlib.sha256(repr(shell).encode()).hexdigest()[:12], fragments, nothing)
