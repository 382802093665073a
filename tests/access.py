"""Tables of who may call what. Each row of `errors.md`, Roles, is an act; each route of the product stands under one.

A table is text: `act METHOD METHOD: route route`, where a method that is left out means every one that the table knows.
The least role of an act, and with it everybody's, comes from the table of roles that tests/accounts checks.
"""

import re
from collections.abc import Callable, Iterable

from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.test.client import ClientHandler

from apps.accounts.models import Role
from apps.accounts.permissions import ACTS, Act

LADDER = [Role.MONITOR, Role.MANAGER, Role.ADMINISTRATOR, Role.OWNER]
NO_CALL = 405
"""What several addresses share is not a call at each of them."""
Call = tuple[str, str]
"""Method and route."""


class PlainHandler(ClientHandler):
    """As it was before tests watched it: of the calls of a table many change nothing, and all are undone."""

    __call__ = ClientHandler.__call__


def plainly(browser: Client) -> Client:
    browser.handler = PlainHandler(enforce_csrf_checks=False)
    return browser


def read_table(text: str, methods: Iterable[str]) -> dict[Call, str]:
    """The act (or another word) of each call. Raises ValueError for a call that stands there twice."""
    found: dict[Call, str] = {}
    for head, routes in re.findall(r"^(\w[\w ]*):((?:.|\n )*)", text, re.M):
        act, *own = head.split()
        for call in ((method, route) for method in own or methods for route in routes.split()):
            if call in found:
                raise ValueError(f"{call} stands in the table twice.")
            found[call] = act
    return found


def least_role(act: str) -> Role:
    return ACTS[Act(act)]


def role_below(act: str) -> Role | None:
    """The highest role that may not do it; None where everybody may."""
    place = LADDER.index(least_role(act))
    return LADDER[place - 1] if place else None


def filled(route: str, values: dict[str, object]) -> str:
    """A route with values for its parts that vary; one that is missing fails the test."""
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda part: str(values[part[1]]), route)


def status_of(ask: Callable[[], HttpResponse]) -> int:
    """What is answered; what was done is undone."""
    with transaction.atomic():
        status = ask().status_code
        transaction.set_rollback(True)
    return status
