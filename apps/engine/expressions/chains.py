"""Chains of fields, `record.lines[0].price`: their base, their links, their path."""

from __future__ import annotations

import ast

from .limits import MAX_LIST

Link = ast.Attribute | ast.Subscript


def unchain(node: ast.expr) -> tuple[ast.expr, list[Link]]:
    """The base of a chain of fields, and its links in order."""
    links: list[Link] = []
    while isinstance(node, ast.Attribute) or (
        isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice)
    ):
        links.append(node)
        node = node.value
    return node, links[::-1]


def constant_key(link: Link) -> str | int | None:
    """The field name or index that a link always has; None when it is worked out."""
    if isinstance(link, ast.Attribute):
        return link.attr
    node, sign = link.slice, 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node, sign = node.operand, -1
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
        return None
    if isinstance(node.value, str) and sign == 1:
        return node.value
    return sign * node.value if isinstance(node.value, int) and node.value <= MAX_LIST else None


def read_path(links: list[Link]) -> str:
    """The path of a field as the console shows it: `lines[0].price`, up to what is worked out."""
    path = ""
    for link in links:
        key = constant_key(link)
        if key is None:
            break
        path += f"[{key}]" if isinstance(key, int) else f".{key}" if path else key
    return path


def is_constant_list(node: ast.expr) -> bool:
    """A list or tuple of constants, as in `record.size in ("S", "M")`."""
    return isinstance(node, (ast.List, ast.Tuple)) and all(isinstance(entry, ast.Constant) for entry in node.elts)
