"""What one helper is: the function behind a name, and how the help page shows it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Group = Literal["text", "numbers", "dates", "lists and objects", "empty values", "conversion"]


@dataclass(frozen=True, slots=True)
class Helper:
    """One helper: `name(signature)`, a sentence about it, and examples as pairs of an expression and its JSON result.

    `lazy` helpers get their arguments unevaluated, as functions without parameters, so that they can answer for a field
    that is missing.
    """

    name: str
    group: Group
    function: Callable[..., Any]
    sentence: str
    examples: tuple[tuple[str, Any], ...]
    lazy: bool = False

    @property
    def label(self) -> str:
        """How it is written: `left(text, length)`."""
        return self.name + self.signature

    @property
    def signature(self) -> str:
        """Its parameters with their defaults, without types."""
        parameters = inspect.signature(self.function).parameters.values()
        return f"({', '.join(shown_parameter(parameter) for parameter in parameters)})"

    def check_arguments(self, positional: int, named: list[str]) -> str | None:
        """Why a call with these arguments does not fit the signature, or None when it does."""
        try:
            inspect.signature(self.function).bind(*[None] * positional, **dict.fromkeys(named))
        except TypeError as error:
            return str(error)
        return None


def shown_parameter(parameter: inspect.Parameter) -> str:
    """One parameter as the help shows it."""
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return f"{parameter.name}, …"
    if parameter.default is inspect.Parameter.empty:
        return parameter.name
    shown = f'"{parameter.default}"' if isinstance(parameter.default, str) else repr(parameter.default)
    return f"{parameter.name}={shown}"
