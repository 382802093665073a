"""Secrets are taken out of everything that people may see."""

import json
from base64 import b64encode, urlsafe_b64encode
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from apps.connectors.redaction import HIDDEN, Redactor, is_secret_name, redact

SECRET = 'p@ss/w+rd "ü"&<'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        escape(SECRET),
        SECRET.encode().hex(),
        b64encode(SECRET.encode()).decode(),
        b64encode(f"me:{SECRET}".encode()).decode(),
        b64encode(f"some:{SECRET}:more".encode()).decode(),
        urlsafe_b64encode(f"x{SECRET}".encode()).decode(),
    ],
)
def test_a_secret_is_found_in_every_form(form: str) -> None:
    shown = Redactor([SECRET]).text(f"before {form} after")
    assert HIDDEN in shown
    assert form not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("Authorization", True), ("Set-Cookie", True), ("password", True), ("dbPassword", True), ("api_key", True),
        ("X-API-Key", True), ("clientSecret", True), ("refresh_token", True), ("accessToken", True),
        ("next_page_token", False), ("monkey", False), ("author", False), ("token_count", False), ("key", False),
    ],
)  # fmt: skip
def test_names_tell_what_is_secret(name: str, is_secret: bool) -> None:
    assert is_secret_name(name) == is_secret


def test_values_are_hidden_by_the_names_of_their_fields_at_any_depth() -> None:
    value: Any = {"user": "me", "auth": [{"password": "abc", "n": 1}], "token": None, "secret": 5}
    assert redact(value) == {"user": "me", "auth": [{"password": HIDDEN, "n": 1}], "token": None, "secret": HIDDEN}


def test_secrets_are_hidden_in_names_texts_and_numbers() -> None:
    assert redact({"x-12345": ["a12345b", 12345]}, ["12345"]) == {f"x-{HIDDEN}": [f"a{HIDDEN}b", HIDDEN]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /a?api_key=abc&b=1", f"GET /a?api_key={HIDDEN}&b=1"),
        ("https://me:hunter22@host/x", f"https://me:{HIDDEN}@host/x"),
        ("Authorization: Bearer abcdefghijk", f"Authorization: Bearer {HIDDEN}"),
        ("the bearer of this letter", "the bearer of this letter"),
        ('Not {"n": 1, "apiKey": "a\\"b c", "x": "y"}', f'Not {{"n": 1, "apiKey": "{HIDDEN}", "x": "y"}}'),
        ("{'password': 'it is', 'user': 'me'}", f"{{'password': '{HIDDEN}', 'user': 'me'}}"),
        (r'{"body": "{\"secret\":\"ab\",\"n\":1}"}', rf'{{"body": "{{\"secret\":\"{HIDDEN}\",\"n\":1}}"}}'),
        ("a=b and c=d", "a=b and c=d"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_in_texts(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_secrets_that_come_up_later_are_hidden_from_then_on() -> None:
    redactor = Redactor(["first-secret"])
    assert redactor.text("second-secret") == "second-secret"
    redactor.add("second-secret")
    assert redactor.text("first-secret second-secret") == f"{HIDDEN} {HIDDEN}"


def test_a_very_short_secret_does_not_tear_texts_to_pieces() -> None:
    assert redact("a cat", ["a"]) == "a cat"


def test_names_of_a_connection_are_hidden_too() -> None:
    assert Redactor(names=["X-Shop"]).value({"x-shop": "abc", "X-Other": "abc"}) == {"x-shop": HIDDEN, "X-Other": "abc"}
