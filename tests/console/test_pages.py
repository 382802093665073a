"""Every page of the console is looked at in a browser, or it is said here why there is nothing to look at."""

import re
from inspect import getclosurevars
from typing import Any

from django.urls import URLPattern, resolve

from apps.console.urls import urlpatterns
from tests.browser.test_every_page import PAGES, PAGES_BEFORE_THE_FIRST_FLOW, SIGNED_OUT_PAGES

NO_PAGES = {
    "": "leads to the dashboards",
    "dashboard/": "leads to the dashboards",
    "integrations/<slug:slug>/": "leads to its flows",
    "integrations/<slug:slug>/dashboard/": "leads to its dashboards",
    "healthz": "for machines",
    "readyz": "for machines",
    "live/": "cells of pages",
    "login/code/": "comes after a password: tests/browser/test_passkeys.py looks at it",
    "login/password/<str:user_key>/<str:token>/": "comes after a mail: one of the boxes of the sign-in",
    "settings/retention/exports/<int:export_id>/": "is a file",
    "help/ticket/": "leads to the support bundle",
}


def is_act(pattern: URLPattern) -> bool:
    """Whether an address takes POST only (`require_POST`): what it answers is a page of another address."""
    view: Any = pattern.callback
    if hasattr(view, "view_class"):
        return "get" not in view.view_class.http_method_names
    while view is not None:
        if getclosurevars(view).nonlocals.get("request_method_list") == ["POST"]:
            return True
        view = getattr(view, "__wrapped__", None)
    return False


def test_every_page_is_in_the_list_of_pages_that_a_browser_looks_at() -> None:
    paths = [*SIGNED_OUT_PAGES, *PAGES, *PAGES_BEFORE_THE_FIRST_FLOW]
    seen = {resolve(re.sub(r"\{\w+\}", "1", path).partition("?")[0]).route for path in paths}
    left = [pattern for pattern in urlpatterns if str(pattern.pattern) not in seen | NO_PAGES.keys()]
    assert [f"{pattern.name}: {pattern.pattern}" for pattern in left if not is_act(pattern)] == []
    assert NO_PAGES.keys() & seen == set()
    assert NO_PAGES.keys() <= {str(pattern.pattern) for pattern in urlpatterns}
