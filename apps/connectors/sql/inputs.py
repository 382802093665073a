"""The values behind `:name`: expressions compiled once, evaluated for each record or once for an export."""

from collections.abc import Mapping
from typing import Any

from apps.engine.classification import classify
from apps.engine.expressions import Compiled, ExpressionError, Scope, compile_expression, to_json_value
from apps.engine.ports import ConnectorError, Failure, Record


class InputError(Exception):
    """A parameter whose value could not be worked out."""

    def __init__(self, name: str, error: ExpressionError) -> None:
        super().__init__(str(error))
        self.name = name
        self.error = error

    @property
    def code(self) -> str:
        return f"parameter_{self.error.kind}"

    @property
    def message(self) -> str:
        return f"Parameter {self.name}: {self.error}"

    def failure(self, source: str) -> Failure:
        found = classify(source, self.code, self.message)
        return Failure(source, self.code, self.message, found, field=self.name)

    def as_error(self, source: str) -> ConnectorError:
        found = classify(source, self.code, self.message)
        return ConnectorError(self.code, self.message, classification=found, source=source)


class Inputs:
    """Named expressions ready to be evaluated together."""

    def __init__(self, expressions: Mapping[str, str]) -> None:
        self._compiled: dict[str, Compiled] = {name: compile_expression(text) for name, text in expressions.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._compiled

    def value(self, name: str, record: Record, scope: Scope) -> Any:
        """The value of one name as JSON. Raises InputError."""
        try:
            return to_json_value(self._compiled[name](record, scope))
        except ExpressionError as error:
            raise InputError(name, error) from None

    def values(self, record: Record, scope: Scope) -> Record:
        """All values by name, as JSON. Raises InputError for the first that fails."""
        return {name: self.value(name, record, scope) for name in self._compiled}
