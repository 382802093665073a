"""What a call may say in its address: declared once, so that it is read and documented alike.

Names are read without regard to case; empty values and unknown names are passed over. A call that retries or resolves
is strict: there a name that is not known is refused, so that a misspelt filter never means "all".
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter

from apps.api.failures import bad_query
from apps.api.moments import read_moment
from apps.core.ids import Kind, WrongIdError, parse_wire_id

Schema = dict[str, Any]
HEX_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
MOMENT: Schema = {"type": "string", "example": "2026-03-02T12:00:00.000Z"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One name in the query; `read` makes a value of its text and raises ValueError with the rest of a sentence."""

    name: str
    about: str
    read: Callable[[str], Any]
    schema: Schema

    def documented(self) -> OpenApiParameter:
        return OpenApiParameter(self.name, self.schema, OpenApiParameter.QUERY, description=self.about)


def text(name: str, about: str, longest: int = 256) -> Parameter:
    def read(value: str) -> str:
        if len(value) > longest or "\x00" in value:
            raise ValueError(f"is a text of at most {longest} characters")
        return value

    return Parameter(name, about, read, {"type": "string", "maxLength": longest})


def number(name: str, about: str, least: int = 0, most: int = 2**63 - 1) -> Parameter:
    def read(value: str) -> int:
        if not value.strip().lstrip("-").isdecimal() or len(value) > 20 or not least <= int(value) <= most:
            raise ValueError(f"is a whole number from {least} to {most}")
        return int(value)

    return Parameter(name, about, read, {"type": "integer", "minimum": least, "maximum": most})


def flag(name: str, about: str) -> Parameter:
    def read(value: str) -> bool:
        if value.lower() not in {"true", "false", "1", "0"}:
            raise ValueError("is true or false")
        return value.lower() in {"true", "1"}

    return Parameter(name, about, read, {"type": "boolean"})


def moment(name: str, about: str) -> Parameter:
    def read(value: str) -> datetime:
        try:
            return read_moment(value)
        except ValueError:
            raise ValueError("is a time such as 2026-03-02T12:00:00.000Z, a date, or epoch milliseconds") from None

    return Parameter(name, f"{about} ISO 8601, a date, or epoch milliseconds.", read, MOMENT)


def choice(name: str, about: str, choices: Iterable[str]) -> Parameter:
    known = tuple(choices)

    def read(value: str) -> str:
        found = next((one for one in known if one.lower() == value.lower()), None)
        if found is None:
            raise ValueError(f"is one of {', '.join(known)}")
        return found

    return Parameter(name, about, read, {"type": "string", "enum": list(known)})


def wire(name: str, about: str, *kinds: Kind) -> Parameter:
    """An id; its value is the key. One of another kind is malformed."""

    def read(value: str) -> int:
        for kind in kinds:
            try:
                return parse_wire_id(value, kind)
            except WrongIdError:
                continue
        raise ValueError(f"is the id of a {' or '.join(kind.name.lower() for kind in kinds)}: 24 hex digits")

    return Parameter(name, about, read, HEX_ID)


def many(one: Parameter, most: int = 1000) -> Parameter:
    """A list, divided by commas or by repeating the name; its value is a tuple."""

    def read(value: str) -> tuple[Any, ...]:
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if len(parts) > most:
            raise ValueError(f"is a list of at most {most}")
        return tuple(one.read(part) for part in parts)

    return Parameter(one.name, f"{one.about} Several are divided by commas.", read, {"type": "string"})


ENVIRONMENT = choice("environment", "Only what is in this environment.", ("production", "sandbox"))


def read_query(query: QueryDict, parameters: Iterable[Parameter], *, is_strict: bool = False) -> dict[str, Any]:
    """The values that were given, by the parameters' own names; raises a Refusal with the status 400."""
    given = {name.lower(): ",".join(values) for name, values in query.lists() if any(values)}
    known = {parameter.name.lower(): parameter for parameter in parameters}
    if is_strict:
        refuse_unknown(query, known)
    return {known[name].name: value_of(known[name], text) for name, text in given.items() if name in known}


def read_body(sent: Mapping[str, Any], parameters: Iterable[Parameter]) -> dict[str, Any]:
    """The same filters from a body: a list is divided, numbers and flags are taken as they would be written."""
    texts = {name: _as_text(value) for name, value in sent.items() if value not in (None, "", [])}
    known = {parameter.name.lower(): parameter for parameter in parameters}
    given = {name.lower(): text for name, text in texts.items()}
    return {known[name].name: value_of(known[name], text) for name, text in given.items() if name in known}


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_as_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def value_of(parameter: Parameter, text: str) -> Any:
    try:
        return parameter.read(text)
    except ValueError as error:
        raise bad_query(f"{parameter.name} {error}.", parameter.name) from None


def refuse_unknown(names: Iterable[str], known: Mapping[str, Any]) -> None:
    """Raises a Refusal that names the first one that is not known."""
    for name in names:
        if name.lower() not in known:
            raise bad_query(
                f"There is no filter {name[:60]}. Known are: {', '.join(sorted(known)) or 'none'}.", name[:60]
            )
