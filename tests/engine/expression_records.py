"""A record and a scope that the tests of the expression language share."""

from datetime import UTC, datetime
from typing import Any

from apps.engine.expressions import DEFAULT_NAMES, Scope, compile_expression, to_json_value

SCOPE = Scope(
    now=datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC),
    flow={"name": "Orders"},
    run={"id": 7, "parameters": {"since": "2025-01-01"}},
    settings={"country": "NO"},
    error={"type": "ValueError", "message": "no stock"},
    answer={"id": "A-1"},
)

ORDER: dict[str, Any] = {
    "id": 4711,
    "name": "Ann",
    "note": "",
    "fax": None,
    "paid": True,
    "price": 12.5,
    "day": "2024-12-31",
    "address": {"city": "Oslo", "zip": "0150"},
    "Origin State": "Texas",
    "_id": "x1",
    "größe": "L",
    "lines": [{"sku": "a", "count": 2, "price": 10}, {"sku": "b", "count": 0, "price": 5}],
}


def value_of(source: str, record: Any = None, names: frozenset[str] = DEFAULT_NAMES) -> Any:
    """The JSON value of an expression for the order, or for another record."""
    return to_json_value(compile_expression(source, names)(ORDER if record is None else record, SCOPE))
