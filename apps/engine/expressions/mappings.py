"""Mappings: all fields of a step compiled into one function that builds the record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from apps.engine.ports import Scope

from .building import RESET, Evaluate, build, careful_function
from .compiler import Code, generate
from .errors import ExpressionError
from .values import to_json_value

MAX_TARGET_DEPTH = 16
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MappedField:
    """One target field: where it goes, what fills it, and whether it may stay empty."""

    name: str
    path: Path
    code: Code
    is_required: bool
    explain: Evaluate


class CompiledMapping:
    """A mapping ready to run: `mapping(record, scope)` gives a new dict of JSON values.

    Raises ExpressionError with `field` set to the first field that failed, or that is required and came out empty.
    `run` is the generated function itself, for loops that call it very often.
    """

    __slots__ = ("_fields", "_paths", "names", "reads", "run")

    def __init__(self, fields: tuple[MappedField, ...]) -> None:
        self._fields = fields
        self._paths = tuple((field.name, field.path) for field in fields)
        self.names = tuple(field.name for field in fields)
        self.reads = frozenset[str]().union(*(field.code.reads for field in fields))
        self.run: Evaluate = mapping_function(fields, self._explain)

    def __call__(self, record: Any, scope: Scope) -> dict[str, Any]:
        result: dict[str, Any] = self.run(record, scope)
        return result

    def empty_fields(self, result: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of the mapped fields that are null, an empty text or not there, in a result of this mapping."""
        values = result.values()
        if None not in values and "" not in values and len(self._paths) == len(values):
            return ()
        return tuple(name for name, path in self._paths if is_empty_at(result, path))

    def _explain(self, record: Any, scope: Scope) -> dict[str, Any]:
        """Field by field and with care: finds the field that failed, or the result when none does."""
        result: dict[str, Any] = {}
        for field in self._fields:
            put(result, field.path, filled(field, record, scope))
        return result


def filled(field: MappedField, record: Any, scope: Scope) -> Any:
    """The value of one field; raises ExpressionError that names the field."""
    value = field.explain(record, scope)
    try:
        value = to_json_value(value)
    except ExpressionError as error:
        error.expression, error.field = field.code.source, field.name
        raise
    if field.is_required and is_empty(value):
        raise ExpressionError(
            "missing",
            f"It is required, but {field.code.source[:80]} is empty.",
            value=value,
            expression=field.code.source,
            field=field.name,
        )
    return value


def is_empty(value: Any) -> bool:
    """Null or a text without characters."""
    return value is None or (isinstance(value, str) and not value)


def is_empty_at(result: Mapping[str, Any], path: Path) -> bool:
    """Whether there is nothing at a path."""
    value: Any = result
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return is_empty(value)


def put(result: dict[str, Any], path: Path, value: Any) -> None:
    """Put a value at a path, making the objects on the way."""
    for name in path[:-1]:
        result = result.setdefault(name, {})
    result[path[-1]] = value


def mapping_function(fields: tuple[MappedField, ...], explain: Evaluate) -> Evaluate:
    """One function for all fields: each value in a variable of its own, then one dict."""
    lines = ["def run(record, scope):", "    try:"]
    if any(field.code.metered for field in fields):
        lines.append(f"        {RESET}")
    for index, field in enumerate(fields):
        lines.append(f"        v{index} = {field.code.fast}")
        lines.append(f"        if v{index}.__class__ not in PLAIN: v{index} = to_json_value(v{index})")
        if field.is_required:
            lines.append(f"        if v{index} is None or v{index} == '': return explain(record, scope)")
    lines += [f"        return {dict_code(target_tree(fields))}", "    except Exception:", "        pass"]
    return build([*lines, "    return explain(record, scope)"], explain=explain)


Tree = dict[str, Any]


def target_tree(fields: tuple[MappedField, ...]) -> Tree:
    """The shape of the result, with the index of the field at each leaf."""
    tree: Tree = {}
    for index, field in enumerate(fields):
        put(tree, field.path, index)
    return tree


def dict_code(tree: Tree | int) -> str:
    """The dict display that builds the result."""
    if isinstance(tree, int):
        return f"v{tree}"
    return f"{{{', '.join(f'{name!r}: {dict_code(branch)}' for name, branch in tree.items())}}}"


def compile_fields(
    fields: Mapping[str, str], required: Collection[str], names: frozenset[str]
) -> tuple[MappedField, ...]:
    """Every field compiled; raises ExpressionError of kind `syntax` with `field` set."""
    paths = target_paths(fields)
    for name in required:
        if name not in fields:
            raise ExpressionError("syntax", f"{name} is required, but the mapping does not fill it.", field=name)
    return tuple(compile_field(name, paths[name], source, name in required, names) for name, source in fields.items())


def compile_field(name: str, path: Path, source: str, is_required: bool, names: frozenset[str]) -> MappedField:
    """One field compiled."""
    try:
        code = generate(source, names)
        return MappedField(name, path, code, is_required, careful_function(code, name))
    except ExpressionError as error:
        error.field = name
        raise


def target_paths(fields: Collection[str]) -> dict[str, Path]:
    """Where each field goes; raises ExpressionError when a name is no path or one field would cover another."""
    paths = {name: tuple(name.split(".")) for name in fields}
    leaves = set(paths.values())
    for name, path in paths.items():
        if not all(path) or len(path) > MAX_TARGET_DEPTH:
            raise ExpressionError("syntax", "A target field is a name, or names with points between them.", field=name)
        covered = next((path[:end] for end in range(1, len(path)) if path[:end] in leaves), None)
        if covered:
            raise ExpressionError(
                "syntax", f"{'.'.join(covered)} is filled as a whole and by its part {name}; keep one.", field=name
            )
    return paths
