"""Helpers for lists and objects: looking up, picking out, ordering."""

# ruff: noqa: A002 - the parameters are named for the people who write expressions

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

from .errors import ExpressionError, describe
from .helper import Helper
from .limits import ENTRY, as_list, as_object, as_text, room_for_list, spend
from .operators import MISSING, compare, get, peek, weigh
from .values import json_text

Path = tuple[str | int, ...]
MAX_PATH = 64


@lru_cache(maxsize=1024)
def parsed_path(text: str) -> Path:
    """The steps of a path such as `lines[0].price` or `lines.0.price`; raises kind `value`."""
    steps = text.replace("[", ".").replace("]", "").split(".")
    if not all(steps) or len(steps) > MAX_PATH:
        raise ExpressionError("value", 'A path names fields with points between them, such as "address.city".')
    return tuple(int(step) if step.isdecimal() and step.isascii() and len(step) < 7 else step for step in steps)


def follow(value: Any, path: Path) -> Any:
    """The value at a path or MISSING; a number in a path is an index of a list and a field name of an object."""
    for step in path:
        key = str(step) if isinstance(value, dict) else step
        value = peek(value, (key,))
        if value is MISSING:
            return MISSING
    return value


def get_path(value: Any, path: Any, fallback: Any = None) -> Any:
    found = follow(value, parsed_path(as_text(path)))
    return fallback if found is MISSING else found


def find(list: Any, path: Any, value: Any, fallback: Any = None) -> Any:
    steps = parsed_path(as_text(path))
    entries = as_list(list)
    spend(len(entries) * (weigh(value) + ENTRY * len(steps)))
    for entry in entries:
        if follow(entry, steps) == value:
            return entry
    return fallback


def pluck(list: Any, path: Any) -> list[Any]:
    steps = parsed_path(as_text(path))
    entries = as_list(list)
    spend(ENTRY * len(entries) * len(steps))
    found = [follow(entry, steps) for entry in entries]
    return [None if value is MISSING else value for value in found]


def first(list: Any, fallback: Any = None) -> Any:
    entries = as_list(list)
    return entries[0] if entries else fallback


def last(list: Any, fallback: Any = None) -> Any:
    entries = as_list(list)
    return entries[-1] if entries else fallback


def count(list: Any) -> int:
    return len(as_list(list))


def unique(list: Any, path: Any = None) -> list[Any]:
    steps = () if path is None else parsed_path(as_text(path))
    kept: dict[Any, Any] = {}
    for entry in as_list(list):
        kept.setdefault(identity(follow(entry, steps)), entry)
    return [*kept.values()]


def identity(value: Any) -> Any:
    """What is equal for values that are the same; lists and objects by their JSON."""
    if value is MISSING:
        return MISSING
    return json_text(value) if isinstance(value, (dict, tuple)) or value.__class__ is list else (type(value), value)


def sort_by(list: Any, path: Any = None, descending: Any = False) -> list[Any]:
    steps = () if path is None else parsed_path(as_text(path))
    entries = as_list(list)
    keys = [sort_key(entry, steps) for entry in entries]
    for previous, following in pairwise(keys):
        compare("<", previous, following)
    order = sorted(range(len(entries)), key=keys.__getitem__, reverse=bool(descending))
    return [entries[index] for index in order]


def sort_key(entry: Any, steps: Path) -> Any:
    """What an entry is ordered by; raises kind `missing` when it is not there."""
    key = follow(entry, steps)
    if key is MISSING:
        return get(entry, steps[0], ".".join(map(str, steps))) if len(steps) == 1 else missing_key(steps)
    spend(weigh(key) - 1)
    return key


def missing_key(steps: Path) -> Any:
    """A nested field that an entry has not got."""
    raise ExpressionError("missing", f"{'.'.join(map(str, steps))} is missing in an entry of the list.")


def reverse(list: Any) -> list[Any]:
    return as_list(list)[::-1]


def flatten(list: Any) -> list[Any]:
    inner = [as_list(entry) for entry in as_list(list)]
    room_for_list(sum(map(len, inner)))
    return [value for entries in inner for value in entries]


def keys(object: Any) -> list[Any]:
    return [*as_object(object)]


def values(object: Any) -> list[Any]:
    return [*as_object(object).values()]


def entries(object: Any) -> list[Any]:
    return [[key, value] for key, value in as_object(object).items()]


def merge(*objects: Any) -> dict[Any, Any]:
    merged: dict[Any, Any] = {}
    for part in objects:
        merged.update(as_object(part))
        spend(len(part))
    return merged


def pick(object: Any, *names: Any) -> dict[Any, Any]:
    source = as_object(object)
    return {name: source[name] for name in map(as_text, names) if name in source}


def omit(object: Any, *names: Any) -> dict[Any, Any]:
    dropped = set(map(as_text, names))
    return {name: value for name, value in as_object(object).items() if name not in dropped}


def choose(value: Any, choices: Any, fallback: Any = MISSING) -> Any:
    table = as_object(choices)
    if isinstance(value, (list, tuple, dict)):
        raise ExpressionError("value", f"There is no choice for {describe(value)}.", value=value)
    found = table.get(value, MISSING)
    if found is MISSING and value is not None:
        found = table.get(as_text(value), MISSING)
    if found is not MISSING:
        return found
    return get(table, value, f"The choice for {describe(value)}") if fallback is MISSING else fallback


LIST_HELPERS = (
    Helper(
        "get",
        "lists and objects",
        get_path,
        "The field at a path such as 'address.city' or 'lines[0].price', or the fallback when it is not there.",
        (("get({'a': {'b': 1}}, 'a.b')", 1), ("get({'a': {}}, 'a.b', 'none')", "none")),
    ),
    Helper(
        "find",
        "lists and objects",
        find,
        "The first entry of a list whose field at a path has a value.",
        (
            ("find([{'id': 1, 'n': 'a'}, {'id': 2, 'n': 'b'}], 'id', 2).n", "b"),
            ("find([{'id': 1}], 'id', 3, {'id': 0})", {"id": 0}),
        ),
    ),
    Helper(
        "pluck",
        "lists and objects",
        pluck,
        "One field of each entry of a list (null where it is missing).",
        (("pluck([{'id': 1}, {'id': 2}, {}], 'id')", [1, 2, None]),),
    ),
    Helper(
        "first",
        "lists and objects",
        first,
        "The first entry of a list, or the fallback when it has none.",
        (("first([1, 2])", 1), ("first([], 'none')", "none")),
    ),
    Helper("last", "lists and objects", last, "The last entry of a list.", (("last([1, 2])", 2),)),
    Helper("count", "lists and objects", count, "How many entries a list has.", (("count([5, 6])", 2),)),
    Helper(
        "unique",
        "lists and objects",
        unique,
        "The list without repeats, by the whole entry or by a field.",
        (("unique([1, 2, 1])", [1, 2]), ("unique([{'a': 1, 'b': 2}, {'a': 1}], 'a')", [{"a": 1, "b": 2}])),
    ),
    Helper(
        "sort_by",
        "lists and objects",
        sort_by,
        "The list in order, by the whole entry or by a field.",
        (("sort_by([3, 1, 2])", [1, 2, 3]), ("sort_by([{'a': 1}, {'a': 2}], 'a', descending=True)[0].a", 2)),
    ),
    Helper("reverse", "lists and objects", reverse, "The list from its end.", (("reverse([1, 2])", [2, 1]),)),
    Helper(
        "flatten",
        "lists and objects",
        flatten,
        "A list of lists as one list.",
        (("flatten([[1], [2, 3]])", [1, 2, 3]),),
    ),
    Helper("keys", "lists and objects", keys, "The field names of an object.", (("keys({'a': 1})", ["a"]),)),
    Helper("values", "lists and objects", values, "The values of an object.", (("values({'a': 1})", [1]),)),
    Helper(
        "entries",
        "lists and objects",
        entries,
        "The fields of an object as pairs of name and value.",
        (("entries({'a': 1})", [["a", 1]]), ("[k + '=' + v for k, v in entries({'a': 'b'})]", ["a=b"])),
    ),
    Helper(
        "merge",
        "lists and objects",
        merge,
        "One object of several; the later ones win.",
        (("merge({'a': 1, 'b': 1}, {'b': 2})", {"a": 1, "b": 2}),),
    ),
    Helper(
        "pick",
        "lists and objects",
        pick,
        "Only the fields named, those that are there.",
        (("pick({'a': 1, 'b': 2}, 'a', 'c')", {"a": 1}),),
    ),
    Helper(
        "omit", "lists and objects", omit, "All but the fields named.", (("omit({'a': 1, 'b': 2}, 'a')", {"b": 2}),)
    ),
    Helper(
        "choose",
        "lists and objects",
        choose,
        "What a table says for a value; without a fallback, a value that is not in the table is an error.",
        (("choose('S', {'S': 'small', 'L': 'large'})", "small"), ("choose('X', {'S': 'small'}, 'other')", "other")),
    ),
)
