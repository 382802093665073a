"""How every test of the API calls it: `api.call("GET", "flows", limit=5)`.

Each answer is checked on its way: it is JSON or empty, a failure has the shape of failures, and what a call answers
fits the schema that the OpenAPI document declares for it.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
from django.http import HttpResponse
from django.test import Client
from django.urls import Resolver404, resolve
from jsonschema import Draft202012Validator

from apps.accounts.models import Member
from apps.accounts.tokens import Scope, issue_token
from apps.api.reference import document


@dataclass
class Called:
    """An answer: `json` is None without a body."""

    status: int
    json: Any
    headers: dict[str, str]

    @property
    def codes(self) -> list[str]:
        return [problem["code"] for problem in self.json["errors"]]

    @property
    def message(self) -> str:
        return str(self.json["errors"][0]["message"])


@dataclass
class Api:
    """A member's script: what it sends carries his token."""

    token: str = ""
    browser: Client = field(default_factory=Client)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
        **query: Any,
    ) -> Called:
        """Call `/v1/{path}`; `body` is sent as JSON (bytes as they are); `status` is what the answer must have, 2xx
        unless told."""
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        given = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        base = path if path.startswith(("http://", "/")) else f"/v1/{path}"
        address = base + ("?" + urlencode(query, doseq=True) if query else "")
        answer = self.browser.generic(method, address, given, content_type, headers={**sent, **(headers or {})})
        found = read(answer)
        expected = range(200, 300) if status is None else [status]
        assert found.status in expected, (method, address, found.status, found.json)
        check(method, address, found)
        return found


def read(answer: HttpResponse) -> Called:
    headers = {name: str(value) for name, value in answer.items()}
    if not answer.content:
        return Called(answer.status_code, None, headers)
    if answer["Content-Type"].startswith(("text/plain", "application/zip")):  # metrics, support bundles
        return Called(answer.status_code, None, headers)
    assert answer["Content-Type"] == "application/json", answer["Content-Type"]
    return Called(answer.status_code, orjson.loads(answer.content), headers)


def api_of(member: Member, *scopes: Scope) -> Api:
    """The script of a member, with a token that may do everything unless scopes are named."""
    _, text = issue_token(member=member, scopes=scopes or (Scope.FULL,))
    return Api(text)


# --- the answer and its schema ---------------------------------------------------------------------------------------
@lru_cache(maxsize=512)
def validator(place: str, method: str, status: int) -> Draft202012Validator | None:
    """For one answer of a call; None where it has no body."""
    declared = document()["paths"][place][method]["responses"]
    assert str(status) in declared, f"{method} {place} may answer {status}, but its operation does not say so"
    content = declared[str(status)].get("content")
    if content is None or "application/json" not in content:
        return None
    schema = content["application/json"]["schema"] | {"components": document()["components"]}
    return Draft202012Validator(schema)


def check(method: str, address: str, found: Called) -> None:
    """Fails unless the answer is what the document says; `include` and `exclude` may leave out any field."""
    path, is_chosen = urlsplit(address).path, "clude=" in address
    if found.status >= 400:
        assert found.json is None or list(found.json) == ["errors"], found.json
        assert found.json is None or all({"code", "message"} <= set(problem) for problem in found.json["errors"])
    place = place_of(path)
    if method in ("HEAD", "OPTIONS") or place is None or method.lower() not in document()["paths"][place]:
        return
    if found.status in (405, 415, 413):
        return
    problems = problems_of(place, method, found, is_chosen=is_chosen)
    assert not problems, problems


def problems_of(place: str, method: str, found: Called, *, is_chosen: bool = False) -> list[str]:
    """What of an answer is not as the document says; `is_chosen`: fields may be left out."""
    checker = validator(place, method.lower(), found.status)
    if checker is None:
        return [] if found.json is None else ["a body where none is told"]
    return [
        f"{error.json_path}: {error.message}"
        for error in checker.iter_errors(found.json)
        if not (is_chosen and error.validator == "required")
    ]


def place_of(path: str) -> str | None:
    """The path as the document names it; None for what is no resource."""
    try:
        match = resolve(path.rstrip("/"))
    except Resolver404:
        return None
    if match.url_name == "nothing":
        return None
    found = path.rstrip("/")
    for name, value in match.captured_kwargs.items():
        found = found.replace(f"/{value}", f"/{{{name}}}", 1)
    return found
