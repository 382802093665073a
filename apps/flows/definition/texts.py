"""The types of text in a definition: keys, expressions, templates, cron expressions, time zones."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from apps.core.clock import time_zones
from apps.engine.expressions import ExpressionError, compile_expression, compile_mapping, compile_template
from apps.flows.definition.mistakes import did_you_mean
from apps.flows.schedules import CronError, check_cron

KEY_LENGTH = 64
NAME_LENGTH = 120
NAMES = frozenset({"record", "now", "flow", "run", "settings"})
ANSWER_NAMES = NAMES | {"answer"}
"""What a response mapping reads: the destination's answer beside the rest."""
FAILED_NAMES = NAMES | {"error"}
"""What substitute values and handler steps read: the failure (error.type, error.message, error.trace), and the rest."""
KEY_NAMES = frozenset({"record", "flow", "settings"})
"""What a trace key reads: nothing that differs between two runs, or a record would not be known again."""
PAYLOAD_NAMES = KEY_NAMES | {"run"}
"""What tells one payload from another: the run's parameters too."""

_KEY = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def check_key(text: str) -> str:
    if len(text) > KEY_LENGTH:
        raise ValueError(f"A key has at most {KEY_LENGTH} characters; this one has {len(text)}.")
    if not _KEY.fullmatch(text):
        raise ValueError(f'A key consists of a to z, digits, - and _ (such as load-orders); "{text[:60]}" does not.')
    return text


def check_name(text: str) -> str:
    name = text.strip()
    if not name or not name.isprintable():
        raise ValueError("A name is one line of printable text.")
    if len(name) > NAME_LENGTH:
        raise ValueError(f"A name has at most {NAME_LENGTH} characters; this one has {len(name)}.")
    return name


def check_field(text: str) -> str:
    if not _FIELD.fullmatch(text):
        raise ValueError(f'"{text[:60]}" is no name of a field: use letters, digits and _.')
    return text


def check_time_zone(text: str) -> str:
    if text not in time_zones():
        hint = did_you_mean(text, time_zones()) if len(text) < 60 else ""
        ending = hint if hint.startswith("did") else "use a name such as Europe/Berlin"
        raise ValueError(f'"{text[:60]}" is no time zone: {ending}')
    ZoneInfo(text)
    return text


def check_schedule(text: str) -> str:
    try:
        check_cron(text)
    except CronError as error:
        raise ValueError(str(error)) from None
    return text


def expression_problem(error: ExpressionError) -> str:
    """The sentence of an expression's mistake, with its column unless the sentence tells it."""
    message = error.message.splitlines()[0]
    if error.column is None or "column" in message:
        return message
    return f"{message} (column {error.column})" if error.line in {None, 1} else f"{message} (line {error.line})"


def compiling(compile_it: Callable[..., Any], names: frozenset[str]) -> Callable[[str, ValidationInfo], str]:
    """A validator that compiles a text once, to find its mistakes, and leaves it as it is."""

    def check(text: str, info: ValidationInfo) -> str:
        try:
            compile_it(text, names=names | also_known(info))
        except ExpressionError as error:
            raise ValueError(expression_problem(error)) from None
        return text

    return check


def number_as_text(value: Any) -> Any:
    """`quantity: 1` means the expression 1."""
    return repr(value) if isinstance(value, int | float) else value


def value_as_text(value: Any) -> Any:
    """`price: null` means the expression None, `is_known: false` the expression False."""
    return repr(value) if value is None or isinstance(value, bool) else number_as_text(value)


def also_known(info: ValidationInfo) -> frozenset[str]:
    """The further names that may be read where a text stands: `error`, in the steps of a handler."""
    return frozenset(info.context or ())


def checked_mapping(names: frozenset[str]) -> Callable[[dict[str, str], ValidationInfo], dict[str, str]]:
    def check(fields: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if not fields:
            raise ValueError("A mapping needs at least one field.")
        check_targets(fields, names | also_known(info))
        return fields

    return check


def check_targets(fields: Mapping[str, str], names: frozenset[str]) -> None:
    """What only the mapping as a whole shows: targets that cannot stand together."""
    try:
        compile_mapping(fields, names=names)
    except ExpressionError as error:
        where = f"{error.field}: " if error.field else ""
        raise ValueError(where + expression_problem(error)) from None


Key = Annotated[str, AfterValidator(check_key)]
Name = Annotated[str, AfterValidator(check_name)]
FieldName = Annotated[str, AfterValidator(check_field)]
TimeZone = Annotated[str, AfterValidator(check_time_zone)]
Cron = Annotated[str, AfterValidator(check_schedule)]
Condition = Annotated[str, AfterValidator(compiling(compile_expression, NAMES))]
Message = Annotated[str, AfterValidator(compiling(compile_template, NAMES))]
KeyTemplate = Annotated[str, AfterValidator(compiling(compile_template, KEY_NAMES))]
PayloadTemplate = Annotated[str, AfterValidator(compiling(compile_template, PAYLOAD_NAMES))]
_Formula = Annotated[str, BeforeValidator(number_as_text), AfterValidator(compiling(compile_expression, NAMES))]
_AnswerFormula = Annotated[
    str, BeforeValidator(number_as_text), AfterValidator(compiling(compile_expression, ANSWER_NAMES))
]
_FailedFormula = Annotated[
    str, BeforeValidator(value_as_text), AfterValidator(compiling(compile_expression, FAILED_NAMES))
]
Mapped = Annotated[dict[str, _Formula], AfterValidator(checked_mapping(NAMES))]
AnswerMapped = Annotated[dict[str, _AnswerFormula], AfterValidator(checked_mapping(ANSWER_NAMES))]
Substituted = Annotated[dict[str, _FailedFormula], AfterValidator(checked_mapping(FAILED_NAMES))]
