"""`include` and `exclude`: which fields of a list's rows are answered. `_id` always is, unless it is excluded."""

from collections.abc import Iterable, Mapping
from typing import Any

from apps.api.failures import bad_query
from apps.api.queries import many, text

CHOOSING = (
    many(text("include", "Only these fields; dot paths reach into objects.")),
    many(text("exclude", "Without these fields; dot paths reach into objects.")),
)
Tree = dict[str, "Tree"]


def chosen(rows: list[dict[str, Any]], query: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Raises a Refusal for a call that names both."""
    wanted, unwanted = query.get("include"), query.get("exclude")
    if wanted and unwanted:
        raise bad_query("Say either include or exclude, not both.", "include")
    if wanted:
        kept = tree_of([*wanted, "_id"])
        return [with_only(row, kept) for row in rows]
    if unwanted:
        left_out = tree_of(unwanted)
        return [without(row, left_out) for row in rows]
    return rows


def tree_of(paths: Iterable[str]) -> Tree:
    """`["a", "b.c"]` as `{"a": {}, "b": {"c": {}}}`; a whole object wins over a part of it."""
    found: Tree = {}
    for path in sorted(paths, key=len):
        place = found
        for name in path.split("."):
            if name in place and not place[name]:
                break  # the whole of it is named already
            place = place.setdefault(name, {})
    return found


def with_only(value: Any, tree: Tree) -> Any:
    if isinstance(value, list):
        return [with_only(part, tree) for part in value]
    if not isinstance(value, dict):
        return value
    return {name: with_only(part, tree[name]) if tree[name] else part for name, part in value.items() if name in tree}


def without(value: Any, tree: Tree) -> Any:
    if isinstance(value, list):
        return [without(part, tree) for part in value]
    if not isinstance(value, dict):
        return value
    kept = {name: part for name, part in value.items() if tree.get(name, True)}
    return {name: without(part, tree[name]) if name in tree else part for name, part in kept.items()}
