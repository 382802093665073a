"""The OpenAPI document as people read it: chapters of calls, with a command line to try each."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from drf_spectacular.generators import SchemaGenerator

METHODS = ("get", "post", "put", "patch", "delete")
OTHER_SPELLINGS = ("/{flow_id}/exports/{step_id}/", "/{flow_id}/imports/{step_id}/")
TITLES = {
    "flows": "Flows, their errors and runs",
    "jobs": "Jobs",
    "errors": "Errors of the account",
    "root-causes": "Root causes",
    "records": "Records",
    "ashares": "Members",
    "tokenInfo": "Token",
}


@dataclass(frozen=True)
class Field:
    """A name in a query, a body or an answer."""

    name: str
    kind: str
    about: str
    is_required: bool = False


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    about: str
    query: list[Field]
    body: list[Field]
    status: str
    answer: list[Field]
    is_list: bool
    example: str

    @property
    def anchor(self) -> str:
        return f"{self.method.lower()}{self.path.replace('/', '-').replace('{', '').replace('}', '')}"


@dataclass(frozen=True)
class Chapter:
    name: str
    title: str
    calls: list[Call]


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The OpenAPI document; made once, as it changes with the code only."""
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


@lru_cache(maxsize=1)
def document_bytes() -> bytes:
    return orjson.dumps(document(), default=str)


@lru_cache(maxsize=1)
def chapters() -> list[Chapter]:
    """By the first name in the path. Of a step's three spellings the short one is told."""
    found: dict[str, list[Call]] = {}
    for path, methods in sorted(document()["paths"].items()):
        if any(spelling in path for spelling in OTHER_SPELLINGS):
            continue
        name = path.removeprefix("/v1/").partition("/")[0]
        found.setdefault(name, []).extend(
            call_of(path, method, methods[method]) for method in METHODS if method in methods
        )
    return [Chapter(name, TITLES.get(name, name.capitalize()), calls) for name, calls in sorted(found.items())]


def call_of(path: str, method: str, told: dict[str, Any]) -> Call:
    query = [
        Field(one["name"], kind_of(one["schema"]), one.get("description", ""), one.get("required", False))
        for one in told.get("parameters", ())
        if one["in"] == "query"
    ]
    body = resolved(content_of(told.get("requestBody", {})))
    status, answer = good_answer(told["responses"])
    is_list = answer.get("type") == "array"
    row = resolved(answer["items"]) if is_list else resolved(answer)
    return Call(
        method.upper(), path, told.get("description", ""), query, fields_of(body), status, fields_of(row), is_list,
        example(method.upper(), path, body),
    )  # fmt: skip


def good_answer(responses: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    status = next(code for code in sorted(responses) if code.startswith("2"))
    return status, resolved(content_of(responses[status]))


def content_of(told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = told.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """What a reference points to."""
    while "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def fields_of(schema: dict[str, Any], prefix: str = "") -> list[Field]:
    """The names of an object; those of objects in it with a dot, of rows in it with []."""
    return list(_fields(schema, prefix, set(schema.get("required", ())), depth=0))


def _fields(schema: dict[str, Any], prefix: str, required: set[str], depth: int) -> Iterator[Field]:
    for name, told in schema.get("properties", {}).items():
        inner = resolved(told)
        yield Field(f"{prefix}{name}", kind_of(inner), told.get("description", ""), name in required)
        rows = resolved(inner.get("items", {}))
        if rows.get("properties") and depth < 2:
            yield from _fields(rows, f"{prefix}{name}[].", set(rows.get("required", ())), depth + 1)
        elif inner.get("properties") and depth < 2:
            yield from _fields(inner, f"{prefix}{name}.", set(inner.get("required", ())), depth + 1)


def kind_of(schema: dict[str, Any]) -> str:
    """The kind of a value in a word or two."""
    schema = resolved(schema)
    for many in ("oneOf", "anyOf", "allOf"):
        if many in schema:
            return " or ".join(dict.fromkeys(kind_of(one) for one in schema[many]))
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"] if value not in ("", None))
    kind = schema.get("type", "any")
    words = [str(one) for one in (kind if isinstance(kind, list) else [kind])]
    if words == ["array"]:
        return f"list of {kind_of(schema.get('items', {}))}"
    if schema.get("format") == "date-time":
        words = ["time" if word == "string" else word for word in words]
    elif "pattern" in schema:
        words = ["id" if word == "string" else word for word in words]
    return " or ".join(words)


def example(method: str, path: str, body: dict[str, Any]) -> str:
    """A command line; `$BASE` is where Flowmend is, `$TOKEN` a token."""
    place = re.sub(r"\{(\w+)\}", lambda name: f"${name[1].upper()}", path)
    parts = ["curl -s", *([] if method == "GET" else [f"-X {method}"]), '-H "Authorization: Bearer $TOKEN"']
    required = {name: sample_of(resolved(told)) for name, told in body.get("properties", {}).items()}
    wanted = {name: required[name] for name in body.get("required", ()) if name in required}
    if wanted:
        parts += ['-H "Content-Type: application/json"', f"-d '{json.dumps(wanted)}'"]
    return " ".join([*parts, f'"$BASE{place}"'])


def sample_of(schema: dict[str, Any]) -> Any:
    """A value of the right kind, for an example."""
    if "enum" in schema:
        return schema["enum"][0]
    if "example" in schema:
        return schema["example"]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "array":
        return [sample_of(resolved(schema.get("items", {})))]
    if kind == "string":
        return "0" * 24 if "24" in schema.get("pattern", "") else "text"
    return {"integer": 1, "number": 1, "boolean": True}.get(kind, {})
