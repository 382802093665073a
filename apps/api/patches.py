"""PATCH bodies: an object that is merged, or a list of operations (JSON Patch) on its fields."""

from typing import Any

from apps.api.failures import invalid

SETTING = frozenset({"add", "replace"})


def merged(operations: list[Any]) -> dict[str, Any]:
    """The object that a list of operations stands for; `remove` is null. Raises a Refusal for any other operation."""
    found: dict[str, Any] = {}
    for at, operation in enumerate(operations):
        if not isinstance(operation, dict):
            raise invalid("An operation is an object with op, path and value.", f"[{at}]")
        name = str(operation.get("path", "")).removeprefix("/")
        kind = operation.get("op")
        if not name or "/" in name or (kind not in SETTING and kind != "remove"):
            message = "Known are the operations add, replace and remove of a whole field, such as /name."
            raise invalid(message, f"[{at}]", "invalid_operation")
        found[name] = operation.get("value") if kind in SETTING else None
    return found
