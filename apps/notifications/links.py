"""Addresses of the console's pages as they stand in messages: whole, and with the environment that they show."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.urls import reverse


def whole(path: str) -> str:
    return f"{settings.PUBLIC_URL.rstrip('/')}{path}"


def page(name: str, *parts: Any, environment: str, **query: Any) -> str:
    """The address of a page of the console; whoever opens it signs in first."""
    return whole(f"{reverse(f'console:{name}', args=parts)}?{urlencode({**query, 'environment': environment})}")


def act_on_flow(act: str, *, flow: int, newest: int, environment: str) -> str:
    """Where a signed-in member is asked whether to retry or resolve the open errors of a flow up to the newest one."""
    query = urlencode({"flow": flow, "state": "open"})
    return page(f"errors-{act}", environment=environment, all=1, query=query, upto=newest)


def of_scope(facts: Mapping[str, Any], *, environment: str) -> str:
    """The open errors of the account, an integration or a flow."""
    if facts["scope"] == "flow":
        return page("flow-errors", facts["scope_id"], environment=environment)
    if facts["scope"] == "integration":
        return page("error-list", environment=environment, view="list", integration=facts["slug"])
    return page("error-list", environment=environment)


def host() -> str:
    return urlsplit(settings.PUBLIC_URL).hostname or "localhost"
