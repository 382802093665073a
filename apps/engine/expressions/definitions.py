"""Expressions and templates as field types of definitions: a mistake is a validation error with place and hint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from .compiled import DEFAULT_NAMES, compile_expression, compile_template
from .errors import ExpressionError


def valid_expression(names: frozenset[str] = DEFAULT_NAMES) -> Callable[[str], str]:
    """A validator for expressions that may use these names."""

    def check(source: str) -> str:
        try:
            compile_expression(source, names)
        except ExpressionError as error:
            raise PydanticCustomError("expression", "{sentence}", {"sentence": str(error)}) from None
        return source

    return check


def valid_template(names: frozenset[str] = DEFAULT_NAMES) -> Callable[[str], str]:
    """A validator for templates that may use these names."""

    def check(source: str) -> str:
        try:
            compile_template(source, names)
        except ExpressionError as error:
            raise PydanticCustomError("template", "{sentence}", {"sentence": str(error)}) from None
        return source

    return check


Expression = Annotated[str, AfterValidator(valid_expression())]
Template = Annotated[str, AfterValidator(valid_template())]
