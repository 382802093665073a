"""The pages for what went wrong."""

import re
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from config import urls

handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500


def forbid(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("Only an owner may close the account. Your role is manager.")


def forbid_without_words(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def break_down(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("secret detail of the code")


def suspect(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation("odd host")


urlpatterns = [
    *urls.urlpatterns,
    path("forbid/", forbid),
    path("forbid-without-words/", forbid_without_words),
    path("break/", break_down),
    path("suspect/", suspect),
]


@pytest.fixture
def visitor(settings: Any) -> Client:
    settings.ROOT_URLCONF = __name__
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/suspect/", 400, "This request cannot be read"),
        ("/forbid-without-words/", 403, "Your role does not allow it here."),
        ("/forbid/", 403, "Only an owner may close the account. Your role is manager."),
        ("/nowhere/", 404, "There is no such page"),
        ("/break/", 500, "Nothing was lost: flows go on running."),
    ],
)
def test_a_failure_says_what_is_wrong_and_needs_no_database(
    visitor: Client, address: str, status: int, words: str
) -> None:
    # no test database is open here: a page that asked for one would fail this test
    answer = visitor.get(address)
    assert answer.status_code == status
    assert words in answer.content.decode()
    assert answer.headers["X-Request-Id"] in answer.content.decode()
    assert "secret detail" not in answer.content.decode()


def test_a_failure_obeys_the_content_policy(visitor: Client) -> None:
    assert "default-src 'none'" in visitor.get("/break/").headers["Content-Security-Policy"]


def test_each_request_has_an_id_of_its_own(visitor: Client) -> None:
    ids = {visitor.get("/nowhere/").headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", request_id) for request_id in ids)


def test_the_id_that_a_proxy_has_given_is_kept(visitor: Client) -> None:
    answer = visitor.get("/nowhere/", headers={"X-Request-Id": "edge-0123456789"})
    assert answer.headers["X-Request-Id"] == "edge-0123456789"


@pytest.mark.parametrize("offered", ["short", "a" * 65, "with space 1234", "<script>alert"])
def test_an_id_that_is_not_plain_is_replaced(visitor: Client, offered: str) -> None:
    assert visitor.get("/nowhere/", headers={"X-Request-Id": offered}).headers["X-Request-Id"] != offered
