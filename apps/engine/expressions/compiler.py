"""From the tree of an expression to the text of a Python function. Only the nodes that are listed here are allowed.

Every expression becomes two pieces of code with the same meaning. The *fast* one subscripts objects directly, which is
safe because records hold only JSON types, and is silent about why it failed. The *careful* one goes through `get` and
`compare`, and runs only after the fast one has failed, to find the field and the words. Names of the user never reach
the generated code: fields are text constants, variables of a comprehension get a prefix, helpers come from our table.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite

from .chains import Link, constant_key, is_constant_list, read_path, unchain
from .errors import ExpressionError, sentence_start
from .helper import Helper
from .helpers import FAMILIAR_NAMES, HELPERS
from .limits import MAX_DEPTH, MAX_WHOLE
from .syntax import REFUSED_SIGNS, meant, parse, refusal, refuse, shown

Comprehension = ast.ListComp | ast.GeneratorExp | ast.DictComp

SIGNS: dict[type[ast.AST], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}


@dataclass(frozen=True, slots=True)
class Code:
    """The two pieces of code of one expression, what it reads of the record, and whether it needs the meter."""

    source: str
    fast: str
    careful: str
    reads: frozenset[str]
    metered: bool


def generate(source: str, names: frozenset[str]) -> Code:
    """The code of an expression; raises ExpressionError of kind `syntax` with the place."""
    bare = source.strip()
    tree = parse(bare)
    careful = Writer(bare, names, careful=True)
    careful_code = careful.write(tree)
    fast = Writer(bare, names, careful=False)
    return Code(bare, fast.write(tree), careful_code, frozenset(careful.reads), fast.metered)


@dataclass
class Writer:
    """Writes the code of one expression, node by node, and refuses what is not allowed."""

    source: str
    names: frozenset[str]
    careful: bool
    reads: set[str] = field(default_factory=set)
    variables: frozenset[str] = frozenset()
    metered: bool = False
    depth: int = 0
    comprehensions: int = 0

    def write(self, node: ast.AST) -> str:
        """The code of a node and everything below it."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.refuse(node, f"The expression is nested more than {MAX_DEPTH} levels deep.")
        method = getattr(self, f"write_{type(node).__name__.lower()}", None)
        if method is None:
            raise self.refuse(node, f"{sentence_start(refusal(node))}.")
        code: str = method(node)
        self.depth -= 1
        return code

    def refuse(self, node: ast.AST, sentence: str) -> ExpressionError:
        return refuse(self.source, node, sentence)

    def call(self, function: str, *arguments: str) -> str:
        """A call of one of our operators, which charges its work to the meter."""
        self.metered = True
        return f"{function}({', '.join(arguments)})"

    def labelled(self, node: ast.expr, function: str, *arguments: str) -> str:
        """A call whose errors begin, in the careful code, with the part of the expression that failed."""
        if self.careful:
            return self.call("call", repr(shown(node)), function, *arguments)
        return self.call(function, *arguments)

    # --- values --------------------------------------------------------------------------------------------------
    def write_constant(self, node: ast.Constant) -> str:
        value = node.value
        if value is None or isinstance(value, bool):
            return repr(value)
        if isinstance(value, int) and value <= MAX_WHOLE:
            return repr(value)
        if isinstance(value, float) and isfinite(value):
            return repr(value)
        if isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value):
            return repr(value)
        raise self.refuse(node, "This constant can't be used: it is too large, or neither a text nor a number.")

    def write_name(self, node: ast.Name) -> str:
        if node.id in self.variables:
            return f"v_{node.id}"
        if node.id not in self.names:
            raise self.unknown(node)
        return "record" if node.id == "record" else f"scope.{node.id}"

    def unknown(self, node: ast.Name) -> ExpressionError:
        if node.id in HELPERS:
            return self.refuse(node, f"{node.id} is a helper: write {HELPERS[node.id].label}.")
        known = sorted(self.names | self.variables)
        hint = meant(node.id, known) or f"; known are {', '.join(known)}"
        return self.refuse(node, f"{node.id} is not a known name{hint}{'' if hint.endswith('?') else '.'}")

    def write_list(self, node: ast.List) -> str:
        return f"[{', '.join(map(self.write, node.elts))}]"

    def write_tuple(self, node: ast.Tuple) -> str:
        return f"({''.join(self.write(entry) + ', ' for entry in node.elts)})"

    def write_dict(self, node: ast.Dict) -> str:
        pairs = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                raise self.refuse(node, "** can't be used in an expression; use merge(…).")
            pairs.append(f"{self.write(key)}: {self.write(value)}")
        return f"{{{', '.join(pairs)}}}"

    def write_joinedstr(self, node: ast.JoinedStr) -> str:
        return self.call("join_parts", f"({''.join(self.write(part) + ', ' for part in node.values)})")

    def write_formattedvalue(self, node: ast.FormattedValue) -> str:
        if node.format_spec is not None or node.conversion != -1:
            raise self.refuse(node, "Formats in texts (:… and !…) can't be used; use round, format_date or pad_left.")
        return self.call("text_of", self.write(node.value))

    # --- fields --------------------------------------------------------------------------------------------------
    def write_attribute(self, node: ast.Attribute) -> str:
        return self.write_access(node)

    def write_subscript(self, node: ast.Subscript) -> str:
        if isinstance(node.slice, ast.Slice):
            return self.write_slice(node.value, node.slice)
        return self.write_access(node)

    def write_slice(self, value: ast.expr, part: ast.Slice) -> str:
        if part.step is not None:
            raise self.refuse(part, "A slice has two parts, [from:to].")
        ends = (self.write(end) if end else "None" for end in (part.lower, part.upper))
        return self.call("cut_out", self.write(value), *ends)

    def write_access(self, node: ast.expr) -> str:
        """A chain of fields, written from its base on."""
        base, links = unchain(node)
        if len(links) > MAX_DEPTH:
            raise self.refuse(node, f"A field may lie at most {MAX_DEPTH} levels deep.")
        code = self.write(base)
        for link in links:
            code = self.write_link(code, link)
        if isinstance(base, ast.Name) and base.id == "record" and base.id not in self.variables:
            self.reads.add(read_path(links))
        return code

    def write_link(self, base: str, link: Link) -> str:
        """One field of what `base` gives."""
        key = constant_key(link)
        if key is None:
            assert isinstance(link, ast.Subscript)
            return self.call("get", base, self.write(link.slice), repr(shown(link)))
        if isinstance(link, ast.Attribute):
            self.check_field(link)
        if self.careful:
            return self.call("get", base, repr(key), repr(shown(link)))
        return f"{base}[{key!r}]"

    def check_field(self, link: ast.Attribute) -> None:
        """Fields whose name is not what it looks like are written in brackets."""
        if link.attr.startswith("__") and link.attr.endswith("__"):
            raise self.refuse(link, f"{link.attr} is not a field that can be read.")
        if link.attr not in self.source:
            raise self.refuse(link, f'Write this field as ["…"]: as a name it would be read as {link.attr}.')

    # --- operators -----------------------------------------------------------------------------------------------
    def write_boolop(self, node: ast.BoolOp) -> str:
        word = " and " if isinstance(node.op, ast.And) else " or "
        return f"({word.join(map(self.write, node.values))})"

    def write_ifexp(self, node: ast.IfExp) -> str:
        return f"({self.write(node.body)} if {self.write(node.test)} else {self.write(node.orelse)})"

    def write_unaryop(self, node: ast.UnaryOp) -> str:
        if isinstance(node.op, ast.Not):
            return f"(not {self.write(node.operand)})"
        if isinstance(node.op, ast.USub):
            operand = self.write(node.operand)
            is_number = isinstance(node.operand, ast.Constant) and type(node.operand.value) in (int, float)
            return f"(-{operand})" if is_number else self.call("negative", operand)
        raise self.refuse(node, f"{REFUSED_SIGNS.get(type(node.op).__name__, '+')} can't stand in front of a value.")

    def write_binop(self, node: ast.BinOp) -> str:
        sign = SIGNS.get(type(node.op))
        if sign is None:
            raise self.refuse(node, f"{REFUSED_SIGNS[type(node.op).__name__]} can't be used in an expression.")
        sides = self.write(node.left), self.write(node.right)
        return (
            self.labelled(node, "add", *sides) if sign == "+" else self.labelled(node, "calculate", repr(sign), *sides)
        )

    def write_compare(self, node: ast.Compare) -> str:
        operands = [node.left, *node.comparators]
        signs = [SIGNS[type(op)] for op in node.ops]
        for sign, side in zip(signs, node.comparators, strict=True):
            if sign in {"is", "is not"} and not (isinstance(side, ast.Constant) and side.value is None):
                raise self.refuse(node, f'"{sign}" is for None only; write == or !=.')
        return self.write_comparisons(node, signs, operands)

    def write_comparisons(self, node: ast.Compare, signs: list[str], operands: list[ast.expr]) -> str:
        """One comparison, or a chain such as `0 < record.size < 10`, in which each operand is read once."""
        codes = [self.write(operand) for operand in operands]
        if len(signs) == 1:
            return self.write_comparison(node, signs[0], codes[0], codes[1])
        if any(sign in {"in", "not in"} for sign in signs):
            raise self.refuse(node, '"in" can\'t be part of a chain; join two comparisons with and.')
        return self.labelled(node, "compare_chain", repr(tuple(signs)), *(f"lambda: {code}" for code in codes))

    def write_comparison(self, node: ast.Compare, sign: str, left: str, right: str) -> str:
        """One comparison. Against a constant Python's own is safe and fast, and fails only where ours would."""
        one, other = node.left, node.comparators[0]
        if sign in {"in", "not in"} and is_constant_list(other):
            return f"({left} {sign} {right})"
        if sign in {"in", "not in"}:
            inside = self.labelled(node, "contains", left, right)
            return inside if sign == "in" else f"(not {inside})"
        if not self.careful and (isinstance(one, ast.Constant) or isinstance(other, ast.Constant)):
            return f"({left} {sign} {right})"
        return self.labelled(node, "compare", repr(sign), left, right)

    # --- comprehensions ------------------------------------------------------------------------------------------
    def write_listcomp(self, node: ast.ListComp | ast.GeneratorExp) -> str:
        loop, element = self.write_loop(node, lambda: self.write(node.elt))
        return f"[{element} {loop}]"

    def write_generatorexp(self, node: ast.GeneratorExp) -> str:
        return self.write_listcomp(node)

    def write_dictcomp(self, node: ast.DictComp) -> str:
        loop, element = self.write_loop(node, lambda: f"{self.write(node.key)}: {self.write(node.value)}")
        return f"{{{element} {loop}}}"

    def write_loop(self, node: Comprehension, write_element: Callable[[], str]) -> tuple[str, str]:
        """The `for … in … if …` of a comprehension, and its element, which sees the variables."""
        self.comprehensions += 1
        if self.comprehensions > 1 or len(node.generators) > 1 or node.generators[0].is_async:
            raise self.refuse(node, "An expression may have one comprehension with one for.")
        generator = node.generators[0]
        variables = self.loop_variables(generator.target)
        parts = sum(1 for _ in ast.walk(node))
        entries = self.call("each", self.write(generator.iter), str(parts), str(len(variables)))
        outer, self.variables = self.variables, self.variables | set(variables)
        conditions = "".join(f" if {self.write(condition)}" for condition in generator.ifs)
        element = write_element()
        self.variables = outer
        target = f"v_{variables[0]}" if len(variables) == 1 else f"({', '.join(f'v_{name}' for name in variables)})"
        return f"for {target} in {entries}{conditions}", element

    def loop_variables(self, target: ast.expr) -> list[str]:
        """The variables of a comprehension: one, or several that take an entry apart."""
        targets = target.elts if isinstance(target, ast.Tuple) else [target]
        names = [entry.id for entry in targets if isinstance(entry, ast.Name)]
        if len(names) != len(targets) or len(set(names)) != len(names) or not names:
            raise self.refuse(target, "The variables of a comprehension must be simple names.")
        for name in names:
            if name in self.names or name in HELPERS or not name.isascii() or name.startswith("__"):
                raise self.refuse(target, f"{name} can't be the variable of a comprehension; choose another name.")
        return names

    # --- calls ---------------------------------------------------------------------------------------------------
    def write_call(self, node: ast.Call) -> str:
        helper = self.called_helper(node)
        if any(keyword.arg is None for keyword in node.keywords):
            raise self.refuse(node, "** can't be used in an expression.")
        named = [keyword.arg or "" for keyword in node.keywords]
        problem = helper.check_arguments(len(node.args), named)
        if problem or len(set(named)) != len(named):
            raise self.refuse(node, f"{helper.label} does not fit here: {problem or 'an argument stands twice'}.")
        if helper.lazy:
            return self.write_lazy(helper, node)
        arguments = [*map(self.write, node.args), *(f"{key.arg}={self.write(key.value)}" for key in node.keywords)]
        if helper.name == "get":
            self.note_get(node)
        return self.labelled(node, f"h_{helper.name}", *arguments)

    def called_helper(self, node: ast.Call) -> Helper:
        """The helper that a call names; the errors say how it would be written."""
        function = node.func
        if isinstance(function, ast.Attribute):
            name = FAMILIAR_NAMES.get(function.attr.lower(), function.attr)
            hint = f": write {HELPERS[name].label}" if name in HELPERS else ""
            raise self.refuse(node, f"Values have no functions of their own{hint}.")
        if not isinstance(function, ast.Name):
            raise self.refuse(node, "Only helpers can be called, by their name.")
        if function.id not in HELPERS or function.id in self.variables:
            raise self.refuse(node, f"{function.id} is not a helper{meant(function.id, HELPERS) or '.'}")
        return HELPERS[function.id]

    def write_lazy(self, helper: Helper, node: ast.Call) -> str:
        """A helper that gets its arguments unevaluated, so that it can answer for a missing field."""
        careful, self.careful = self.careful, True
        peeked = {"default": 1, "attempt": 0}.get(helper.name, len(node.args))
        arguments = [
            f"lambda: {self.write_peek(entry) if index < peeked else self.write(entry)}"
            for index, entry in enumerate(node.args)
        ]
        named = [f"{key.arg}=lambda: {self.write(key.value)}" for key in node.keywords]
        self.careful = careful
        return self.call(f"h_{helper.name}", *arguments, *named)

    def write_peek(self, node: ast.expr) -> str:
        """A plain field is looked up without an exception when it is missing (MISSING): optional fields often are."""
        base, links = unchain(node)
        keys = [constant_key(link) for link in links]
        if not links or None in keys or not isinstance(base, ast.Name):
            return self.write(node)
        self.write(node)
        return f"peek({self.write(base)}, {tuple(keys)!r})"

    def note_get(self, node: ast.Call) -> None:
        """`get(record, "a.b")` reads a field, too."""
        if len(node.args) < 2:
            return
        base, path = node.args[:2]
        if isinstance(base, ast.Name) and base.id == "record" and isinstance(path, ast.Constant):
            self.reads.add(str(path.value))
