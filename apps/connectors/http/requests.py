"""Makes requests of the templates of a step: values are escaped for the place where they stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlencode

from yarl import URL

from apps.connectors.http.documents import parse_path
from apps.connectors.http.wire import Request
from apps.engine.classification import classify
from apps.engine.expressions import (
    DEFAULT_NAMES,
    Compiled,
    ExpressionError,
    compile_expression,
    compile_template,
    to_json_value,
)
from apps.engine.expressions.templates import split_template
from apps.engine.ports import Classification, ConnectorError, Failure, Record, Scope
from apps.engine.records import to_json

BodyFormat = Literal["json", "form", "text"]
CONTENT_TYPES: dict[str, str] = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain; charset=utf-8",
}
IN_PATH = "/%:@!$&'()*+,;=-._~"
BODIED = frozenset({"POST", "PUT", "PATCH"})
NOTHING: Any = object()
NO_QUERY: Mapping[str, Any] = {}


class InputError(Exception):
    """A request that cannot be made of a record: `field` says of which part."""

    def __init__(self, field: str, code: str, message: str, classification: str) -> None:
        super().__init__(message)
        self.field, self.code, self.message, self.classification = field, code, message, classification

    def failure(self, source: str) -> Failure:
        return Failure(source, self.code, self.message, self.classification, field=self.field)

    def as_error(self, source: str) -> ConnectorError:
        return ConnectorError(self.code, self.message, classification=self.classification, source=source)


def input_error(part: str, error: ExpressionError) -> InputError:
    code = f"request_{error.kind}"
    message = f"{part[:1].upper()}{part[1:]}: {error}"
    return InputError(part, code, message, classify("mapping", code, message))


def refused(part: str, message: str) -> InputError:
    return InputError(part, "value", message, Classification.VALUE)


# --- the address -----------------------------------------------------------------------------------------------------
class PathTemplate:
    """A path in which every value is escaped: it can neither add a segment nor leave one out."""

    def __init__(self, source: str, names: frozenset[str] = DEFAULT_NAMES) -> None:
        self._parts: list[str | Compiled] = []
        for piece in split_template(source):
            if isinstance(piece, str):
                self._parts.append(quote(piece, safe=IN_PATH))
            else:
                self._parts.append(compile_template(f"{{{{{piece[0]}}}}}", names))
        self.is_constant = all(isinstance(part, str) for part in self._parts)

    def text(self, record: Record, scope: Scope) -> str:
        """Raises InputError for an empty value: without it the path names something else."""
        path = "".join([part if isinstance(part, str) else self._value(part, record, scope) for part in self._parts])
        if not self.is_constant and not {".", ".."}.isdisjoint(path.split("/")):
            raise refused("path", f'The path "{path[:200]}" has a segment of dots, which leads elsewhere.')
        return path

    def _value(self, part: Compiled, record: Record, scope: Scope) -> str:
        try:
            value = str(part(record, scope))
        except ExpressionError as error:
            raise input_error("path", error) from None
        if not value:
            message = f"The path needs a value for {part.source}, but it is empty."
            raise InputError("path", "missing", message, Classification.MISSING)
        return quote(value.encode("utf-8", "replace"), safe="")


def check_path(source: str, names: frozenset[str] = DEFAULT_NAMES) -> str:
    """For options. Raises ValueError."""
    literal = "".join(piece for piece in _split(source) if isinstance(piece, str))
    if "?" in literal or "#" in literal:
        raise ValueError("The path ends before ? and #; write parameters as query.")
    if "://" in literal or any(ord(sign) < 32 for sign in literal):
        raise ValueError("The path is added to the connection's address; it does not hold an address itself.")
    if not {".", ".."}.isdisjoint(literal.split("/")):
        raise ValueError("The path must not have segments of dots.")
    _compiled(lambda: PathTemplate(source, names))
    return source


# --- bodies ----------------------------------------------------------------------------------------------------------
class Tree:
    """JSON with templates in its texts; a text that is one `{{ expression }}` becomes its value, of any type."""

    def __init__(self, source: Any, names: frozenset[str] = DEFAULT_NAMES) -> None:
        self._node = self._compile(source, names)

    def value(self, record: Record, scope: Scope) -> Any:
        try:
            return self._evaluate(self._node, record, scope)
        except ExpressionError as error:
            raise input_error("body", error) from None

    def _compile(self, source: Any, names: frozenset[str]) -> Any:
        if isinstance(source, dict):
            return {str(name): self._compile(part, names) for name, part in source.items()}
        if isinstance(source, list | tuple):
            return [self._compile(part, names) for part in source]
        if not isinstance(source, str) or "{{" not in source:
            return source
        pieces = split_template(source.strip())
        if len(pieces) == 1 and isinstance(pieces[0], tuple):
            return compile_expression(pieces[0][0].strip(), names)
        return compile_template(source, names)

    def _evaluate(self, node: Any, record: Record, scope: Scope) -> Any:
        if isinstance(node, Compiled):
            return to_json_value(node(record, scope))
        if isinstance(node, dict):
            return {name: self._evaluate(part, record, scope) for name, part in node.items()}
        if isinstance(node, list):
            return [self._evaluate(part, record, scope) for part in node]
        return node


def check_tree(source: Any, names: frozenset[str] = DEFAULT_NAMES) -> Any:
    """For options. Raises ValueError."""
    _compiled(lambda: Tree(source, names))
    return source


def _split(source: str) -> list[str | tuple[str]]:
    pieces: list[str | tuple[str]] = []
    _compiled(lambda: pieces.extend(split_template(source)))
    return pieces


def _compiled(make: Any) -> None:
    try:
        make()
    except ExpressionError as error:
        raise ValueError(str(error)) from None


def set_at(document: Any, path: str, value: Any) -> Any:
    """The document with a value put at a path of field names; what is not there is made."""
    steps = parse_path(path)
    root = dict(document) if isinstance(document, dict) else {}
    place = root
    for step in steps[:-1]:
        inner = place.get(str(step))
        place[str(step)] = inner = dict(inner) if isinstance(inner, dict) else {}
        place = inner
    place[str(steps[-1])] = value
    return root


def encoded(body: Any, body_format: str) -> bytes:
    """Raises InputError for what the format cannot hold."""
    if body_format == "json":
        return strict_json(body)
    if body_format == "form":
        if not isinstance(body, dict):
            raise refused("body", "A form consists of fields; the body is no object.")
        pairs = [(name, as_text(value)) for name, value in body.items() if value is not None]
        return urlencode(pairs, errors="replace").encode()
    return as_text(body).encode("utf-8", "replace")


def strict_json(body: Any) -> bytes:
    made = to_json(body)
    # what JSON cannot hold was written as null, or by a name of Python's
    if (b"null" in made or b"NaN" in made or b"Infinity" in made) and _not_finite(body):
        raise refused("body", "The record holds a number that is infinite or undefined, which is no JSON.")
    return made


def _not_finite(body: Any) -> bool:
    if isinstance(body, dict):
        return any(_not_finite(part) for part in body.values())
    if isinstance(body, list):
        return any(_not_finite(part) for part in body)
    return isinstance(body, float) and (body != body or body in (float("inf"), float("-inf")))


def as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return to_json(value).decode()


# --- the whole request -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Parts:
    """What the options of a step say about its requests."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None
    body_format: str = "json"
    names: frozenset[str] = DEFAULT_NAMES
    is_read: bool = False
    is_alone: bool = False


class RequestMaker:
    """Compiled once per step, called per record."""

    def __init__(self, base_url: str, parts: Parts) -> None:
        self._base = base_url.rstrip("/") if parts.path else base_url
        self._parts = parts
        self._path = PathTemplate("/" + parts.path.lstrip("/") if parts.path else "", parts.names)
        self._query = {name: compile_template(text, parts.names) for name, text in parts.query.items()}
        self._headers = {name: compile_template(text, parts.names) for name, text in parts.headers.items()}
        self._body = None if parts.body is None else Tree(parts.body, parts.names)
        is_fixed = self._path.is_constant and all(part.is_constant for part in self._query.values())
        self._fixed: URL | None = None
        if is_fixed:
            self._fixed = self._url({}, Scope(now=None), {})  # type: ignore[arg-type]
        self._fixed_headers = None if self._headers else self._with_type({})

    def make(
        self, record: Record, scope: Scope, *, body: Any = NOTHING, query: Mapping[str, Any] = NO_QUERY
    ) -> Request:
        """The request for a record; `body` is sent instead of the step's own, `query` is added. Raises InputError."""
        parts = self._parts
        url = self._fixed if self._fixed is not None and not query else self._url(record, scope, query)
        headers = self._fixed_headers if self._fixed_headers is not None else self._made_headers(record, scope)
        if body is NOTHING:
            body = self.body(record, scope)
        data = None if body is NOTHING else encoded(body, parts.body_format)
        return Request(parts.method, url, headers, data, parts.is_read, parts.is_alone)

    def body(self, record: Record, scope: Scope) -> Any:
        """The step's own body, NOTHING if it has none."""
        return NOTHING if self._body is None else self._body.value(record, scope)

    def _url(self, record: Record, scope: Scope, more: Mapping[str, Any]) -> URL:
        pairs: dict[str, str] = {}
        for name, template in self._query.items():
            pairs[name] = self._text(f"query {name}", template, record, scope)
        pairs.update({name: as_text(value) for name, value in more.items()})
        text = self._base + self._path.text(record, scope)
        shown = [(name, value) for name, value in pairs.items() if value != ""]
        return URL(f"{text}?{urlencode(shown, quote_via=quote, errors='replace')}" if shown else text, encoded=True)

    def _made_headers(self, record: Record, scope: Scope) -> dict[str, str]:
        made = {}
        for name, template in self._headers.items():
            value = self._text(f"header {name}", template, record, scope)
            if any(ord(sign) < 32 and sign != "\t" for sign in value):
                raise refused(f"header {name}", f"The header {name} would hold more than one line.")
            if value:
                made[name] = value
        return self._with_type(made)

    def _with_type(self, headers: dict[str, str]) -> dict[str, str]:
        has_body = self._body is not None or self._parts.method in BODIED
        if has_body and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = CONTENT_TYPES[self._parts.body_format]
        return headers

    def _text(self, part: str, template: Compiled, record: Record, scope: Scope) -> str:
        try:
            return str(template(record, scope))
        except ExpressionError as error:
            raise input_error(part, error) from None
