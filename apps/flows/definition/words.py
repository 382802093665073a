"""Pydantic's complaints in words that a person understands: what must stand here, and what does."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from apps.engine.expressions import ExpressionError, compile_expression, compile_template
from apps.flows.definition.mistakes import Mistake, Path, did_you_mean, place_of
from apps.flows.definition.texts import expression_problem

Detail = Mapping[str, Any]
Place = Callable[[Path], int]

MUST_BE = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "dict": "a set of fields",
    "mapping": "a set of fields",
    "model": "a set of fields",
    "dataclass": "a set of fields",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "iterable": "a list",
    "datetime": "a time such as 2026-01-31T08:00:00Z",
    "date": "a date such as 2026-01-31",
    "url": "an address such as https://example.org",
}
BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
LENGTHS = {
    "string_too_short": ("min_length", "at least", "characters long"),
    "string_too_long": ("max_length", "at most", "characters long"),
    "too_short": ("min_length", "at least", "entries long"),
    "too_long": ("max_length", "at most", "entries long"),
}

COMPILERS: dict[str, Callable[[str], Any]] = {"expression": compile_expression, "template": compile_template}
"""The complaints of the connectors' expression types, by what finds the place again."""


def mistakes_in(
    error: ValidationError, base: Path, model: type[BaseModel], line_of: Place, also: Iterable[str] = ()
) -> list[Mistake]:
    """Every complaint of a validation as a mistake below `base`; `also` are names that may stand beside the fields."""
    beside = tuple(also)
    return [as_mistake(detail, base, model, line_of, beside) for detail in error.errors(include_url=False)]


def as_mistake(detail: Any, base: Path, model: type[BaseModel], line_of: Place, also: tuple[str, ...]) -> Mistake:
    path = (*base, *clean_path(detail["loc"]))
    message, hint = unknown_field(detail, model, also) if is_unknown(detail) else sentence_of(detail, model)
    return Mistake(place_of(path), message, hint, line_of(path))


def is_unknown(detail: Detail) -> bool:
    return bool(detail["type"] == "extra_forbidden")


def unknown_field(detail: Detail, model: type[BaseModel], also: tuple[str, ...]) -> tuple[str, str]:
    *around, name = detail["loc"]
    names = [*fields_at(model, tuple(around)), *(() if around else also)]
    return f"There is no field {name} here.", did_you_mean(name, names)


def clean_path(path: Iterable[str | int]) -> Path:
    """Without the mark that stands behind a field name which is itself wrong."""
    return tuple(part for part in path if part != "[key]")


def sentence_of(detail: Detail, model: type[BaseModel]) -> tuple[str, str]:
    """What is wrong, and a hint ("" for none)."""
    kind: str = detail["type"]
    context: Detail = detail.get("ctx", {})
    if kind == "missing":
        return "This field is needed.", help_of(model, detail["loc"])
    if kind in {"value_error", "assertion_error"}:
        return own_sentence(context.get("error"), detail)
    if kind in COMPILERS:
        return expression_sentence(COMPILERS[kind], detail), ""
    if kind in {"literal_error", "enum"}:
        return choice_sentence(detail["input"], str(context.get("expected", "")))
    if kind in BOUNDS:
        name, words = BOUNDS[kind]
        return f"This must be {words} {context[name]}, but it is {shown(detail['input'])}.", ""
    if kind in LENGTHS:
        name, words, unit = LENGTHS[kind]
        return f"This must be {words} {context[name]} {unit}.", ""
    if kind == "string_pattern_mismatch":
        return f"{shown(detail['input']).capitalize()} does not have the form that is needed here.", ""
    return type_sentence(kind, detail["input"])


def own_sentence(error: object, detail: Detail) -> tuple[str, str]:
    """The sentence of one of our validators."""
    text = str(error) if error is not None else detail["msg"].removeprefix("Value error, ")
    return flat(text), ""


def expression_sentence(compile_it: Callable[[str], Any], detail: Detail) -> str:
    """What is wrong with an expression in a connector's options, with its column."""
    try:
        compile_it(str(detail["input"]))
    except ExpressionError as error:
        return expression_problem(error)
    return flat(detail["msg"])


def flat(text: str) -> str:
    """The first line of a message: what follows it points into the text and needs a fixed-width screen."""
    return text.strip().splitlines()[0].strip() if text.strip() else "This is not right."


def choice_sentence(given: object, expected: str) -> tuple[str, str]:
    names = [name.strip(" '\"") for name in expected.replace(" or ", ", ").split(",")]
    hint = did_you_mean(given, names)
    message = f"This must be one of {', '.join(names)}, not {shown(given)}."
    return message, hint if hint.startswith("did") else ""


def type_sentence(kind: str, given: object) -> tuple[str, str]:
    """For a wrong type: what must stand here and what does."""
    for prefix, words in MUST_BE.items():
        if kind.startswith(prefix):
            hint = "put it in quotes" if words == "text" and isinstance(given, int | float) else ""
            return f"This must be {words}, not {shown(given)}.", hint
    return f"This does not fit here: {shown(given)}.", ""


def shown(value: object) -> str:
    """A value in words, short."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f'the text "{value[:60]}{"…" if len(value) > 60 else ""}"'
    if isinstance(value, Mapping):
        return "a set of fields"
    return "a list" if isinstance(value, list | tuple) else "something else"


def fields_at(model: type[BaseModel], path: Path) -> list[str]:
    """The names of the fields that a model knows at a path below it."""
    found = model_at(model, path)
    return [info.alias or name for name, info in found.model_fields.items()] if found else []


def help_of(model: type[BaseModel], path: Path) -> str:
    """The help text of a field, as a hint."""
    parent = model_at(model, path[:-1])
    for name, info in parent.model_fields.items() if parent else ():
        if path[-1] in {name, info.alias} and info.description:
            return info.description.rstrip(".")
    return ""


def model_at(model: type[BaseModel] | None, path: Path) -> type[BaseModel] | None:
    """The model that describes a place below another."""
    for part in path:
        if isinstance(part, int) or model is None:
            continue
        by_name = {info.alias or name: info for name, info in model.model_fields.items()}
        model = model_in(by_name[part].annotation) if part in by_name else None
    return model


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as `X | None` or `list[X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := model_in(inner)) is not None:
            return found
    return None
