"""The help center: the troubleshooting guide, with the present state of what a topic is about."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.accounts.permissions import ACTS, Act
from apps.console.access import may_do, member_page
from apps.console.context import Crumb
from apps.console.help_topics import LEVELS, TOPICS, Level, Topic
from apps.console.selectors.connections import kinds
from apps.console.selectors.platform import (
    Fact,
    database_facts,
    disk_facts,
    machine_facts,
    queue_facts,
    worker_facts,
)
from apps.console.selectors.pulse import pulse_of

OF_THE_MACHINE: dict[str, Callable[[], list[Fact]]] = {
    "workers": machine_facts,
    "database": database_facts,
    "disk": disk_facts,
}
"""What is measured of the installation, which all accounts share: only for those who look after one."""


@member_page
def guide(request: HttpRequest) -> HttpResponse:
    """All topics by level, and how the platform is doing."""
    levels = [(level, about, _topics_of(level)) for level, about in LEVELS.items()]
    facts = [
        (TOPICS[slug], fact) for slug in ("queue", "workers", "database", "disk") for fact in facts_of(request, slug)
    ]
    context = {"crumbs": [Crumb("Help")], "nav": "help", "levels": levels, "facts": facts, **whom_to_ask()}
    return render(request, "help/guide.html", context)


@member_page
def topic(request: HttpRequest, slug: str) -> HttpResponse:
    found = TOPICS.get(slug)
    if found is None:
        raise Http404("There is no such topic.")
    beside = _topics_of(found.level)
    place = beside.index(found)
    context: dict[str, Any] = {
        "crumbs": [Crumb("Help", reverse("console:help")), Crumb(found.title)],
        "nav": "help",
        "topic": found,
        "about": LEVELS[found.level],
        "previous": beside[place - 1] if place else None,
        "following": beside[place + 1] if place + 1 < len(beside) else None,
        "facts": facts_of(request, slug),
        "is_hidden": slug in OF_THE_MACHINE and not may_see(request),
        "role_needed": ACTS[Act.SEE_PLATFORM].label.lower(),
        **whom_to_ask(),
    }
    if slug == "connector":
        context["kinds"] = kinds()
    return render(request, "help/topic.html", context)


def whom_to_ask() -> dict[str, str]:
    """What the operator has set for whoever the guide does not help; blank: nothing."""
    return {"support_email": settings.SUPPORT_EMAIL, "support_chat_url": settings.SUPPORT_CHAT_URL}


def _topics_of(level: Level) -> list[Topic]:
    return [found for found in TOPICS.values() if found.level == level]


def may_see(request: HttpRequest) -> bool:
    return may_do(request, Act.SEE_PLATFORM)


def facts_of(request: HttpRequest, slug: str) -> list[Fact]:
    """The present state that a topic is about; nothing of the machine for whoever may not see it."""
    if slug == "queue":
        return queue_facts(pulse_of(request))
    found = worker_facts(pulse_of(request)) if slug == "workers" else []
    return found + (OF_THE_MACHINE[slug]() if slug in OF_THE_MACHINE and may_see(request) else [])
