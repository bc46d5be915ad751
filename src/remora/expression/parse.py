"""From text to tree, by Python's own parser and a table of what is allowed."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING

from remora.errors import ExpressionError
from remora.expression.source_text import parse_expression
from remora.expression.tree import (
    DEPTH_LIMIT,
    EXACT_INT,
    FUNCTIONS,
    OWN_NAMES,
    TEXT_LIMIT,
    Tree,
    check_tree,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
}
_TEXT_METHODS = {"startswith": 1, "endswith": 1, "lower": 0, "upper": 0}
"""Methods of text that people write out of habit, with the number of arguments."""


def parse_text(text: str) -> Tree:
    """The checked tree of an expression. Raises ExpressionError with the column."""
    if not isinstance(text, str):
        raise ExpressionError(f"expression {text!r} is no text")
    if len(text) > TEXT_LIMIT:
        raise ExpressionError(
            f"expression {text[:60]!r}… is longer than {TEXT_LIMIT} characters"
        )
    if not text.strip():
        raise ExpressionError(
            "the expression is empty: write for example amount > 1000"
        )
    bare = text.strip()
    try:
        tree = _Reader(bare).read(_parse(bare), 0)
        return check_tree(tree)
    except _PlacedError as error:
        raise ExpressionError(
            f"expression {_quote(bare)}, column {error.column}: {error.message}"
        ) from None
    except ExpressionError as error:
        raise ExpressionError(f"expression {_quote(bare)}: {error}") from None


def _quote(text: str) -> str:
    return repr(text) if len(text) <= 100 else f"{text[:100]!r}…"


class _PlacedError(Exception):
    """A refusal and the column, counted from 1 in characters, that it is about."""

    def __init__(self, column: int, message: str) -> None:
        super().__init__(message)
        self.column = column
        self.message = message


def _parse(text: str) -> ast.expr:
    try:
        if "\\" not in text:
            return parse_expression(text)
        # '\d' in a pattern makes the parser warn. The filters belong to the whole
        # process, so they are touched for such texts only.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parse_expression(text)
    except SyntaxError as error:
        column = max(1, min(error.offset or 1, len(text)))
        raise _PlacedError(
            column,
            f"this is no Python expression ({error.msg}): write a > 1 and b == 'x'",
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise _PlacedError(
            1, f"Python's parser refused it ({type(error).__name__}): make it simpler"
        ) from None


class _Reader:
    """Turns the nodes of Python into ours, and names the column of what it refuses."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self, node: ast.expr, depth: int) -> Tree:
        if depth > DEPTH_LIMIT:
            raise self.refuse(
                node, f"nested deeper than {DEPTH_LIMIT}: make it flatter"
            )
        reader = _READERS.get(type(node))
        if reader is None:
            what = _WORDS.get(type(node), type(node).__name__)
            raise self.refuse(
                node,
                f"{what} is not in the language; it has names, attributes, indexing, "
                "comparisons, and or not in, 'a if b else c', + - * / // % and "
                f"the functions {', '.join(FUNCTIONS)}",
            )
        return reader(self, node, depth + 1)

    def refuse(self, node: ast.expr, message: str) -> _PlacedError:
        lines = self._text.encode().splitlines(keepends=True)
        before = b"".join(lines[: node.lineno - 1])
        line = lines[node.lineno - 1] if lines else b""
        place = before + line[: node.col_offset]
        return _PlacedError(len(place.decode(errors="replace")) + 1, message)

    def all(self, nodes: list[ast.expr], depth: int) -> list[Tree]:
        return [self.read(node, depth) for node in nodes]


def _constant(reader: _Reader, node: ast.Constant, depth: int) -> Tree:
    del depth
    value = node.value
    if isinstance(value, (bytes, complex)) or value is ...:
        raise reader.refuse(
            node, f"{type(value).__name__} is no constant of the language"
        )
    if type(value) is int and abs(value) > EXACT_INT:
        if abs(value) > 10**299:
            raise reader.refuse(node, "the integer has more than 299 digits")
        return ("int", str(value))
    return value


def _name(reader: _Reader, node: ast.Name, depth: int) -> Tree:
    del reader, depth
    return ("name", node.id)


def _attribute(reader: _Reader, node: ast.Attribute, depth: int) -> Tree:
    if (
        isinstance(node.value, ast.Name)
        and node.value.id == "remora"
        and node.attr in OWN_NAMES
    ):
        return ("name", f"remora.{node.attr}")
    return ("attribute", reader.read(node.value, depth), node.attr)


def _subscript(reader: _Reader, node: ast.Subscript, depth: int) -> Tree:
    if isinstance(node.slice, ast.Slice):
        raise reader.refuse(
            node.slice, "slices are not in the language: use startswith or one index"
        )
    return ("item", reader.read(node.value, depth), reader.read(node.slice, depth))


def _display(reader: _Reader, node: ast.List | ast.Tuple | ast.Set, depth: int) -> Tree:
    return ("list", *reader.all(node.elts, depth))


def _bool_op(reader: _Reader, node: ast.BoolOp, depth: int) -> Tree:
    kind = "and" if isinstance(node.op, ast.And) else "or"
    return (kind, *reader.all(node.values, depth))


def _unary(reader: _Reader, node: ast.UnaryOp, depth: int) -> Tree:
    if isinstance(node.op, ast.Not):
        return ("not", reader.read(node.operand, depth))
    if isinstance(node.op, ast.USub):
        operand = reader.read(node.operand, depth)
        if type(operand) in {int, float}:
            return -operand  # pyright: ignore[reportOperatorIssue] - checked above
        if isinstance(operand, tuple) and operand[0] == "int":
            return ("int", f"-{operand[1]}".removeprefix("--"))
        return ("negate", operand)
    sign = "+" if isinstance(node.op, ast.UAdd) else "~"
    raise reader.refuse(node, f"the sign {sign!r} is not in the language")


def _binary(reader: _Reader, node: ast.BinOp, depth: int) -> Tree:
    operator = _ARITHMETIC.get(type(node.op))
    if operator is None:
        raise reader.refuse(
            node,
            f"the operator {type(node.op).__name__} is not in the language; it has "
            f"{' '.join(_ARITHMETIC.values())} on numbers",
        )
    return (operator, reader.read(node.left, depth), reader.read(node.right, depth))


def _compare(reader: _Reader, node: ast.Compare, depth: int) -> Tree:
    if any(isinstance(operator, (ast.Is, ast.IsNot)) for operator in node.ops):
        return _identity(reader, node, depth)
    parts: list[Tree] = ["compare", reader.read(node.left, depth)]
    for operator, right in zip(node.ops, node.comparators, strict=True):
        parts += (_COMPARISONS[type(operator)], reader.read(right, depth))
    return tuple(parts)


def _identity(reader: _Reader, node: ast.Compare, depth: int) -> Tree:
    """`x is None`, `x is missing` and their negations; identity of objects is not."""
    right = node.comparators[0]
    negated = isinstance(node.ops[0], ast.IsNot)
    if len(node.ops) == 1 and isinstance(right, ast.Constant) and right.value is None:
        left = reader.read(node.left, depth)
        return ("compare", left, "!=" if negated else "==", None)
    if len(node.ops) == 1 and isinstance(right, ast.Name) and right.id == "missing":
        tree = ("missing", reader.read(node.left, depth))
        return ("not", tree) if negated else tree
    raise reader.refuse(
        node, "'is' stands before None and missing alone: write == to compare values"
    )


def _conditional(reader: _Reader, node: ast.IfExp, depth: int) -> Tree:
    return ("if", *reader.all([node.test, node.body, node.orelse], depth))


def _call(reader: _Reader, node: ast.Call, depth: int) -> Tree:
    name, arguments = _callee(reader, node)
    if node.keywords or any(isinstance(part, ast.Starred) for part in node.args):
        raise reader.refuse(node, f"{name}() takes plain arguments only")
    if len(arguments) == 1 and isinstance(arguments[0], ast.GeneratorExp):
        return _loop(reader, name, arguments[0], depth)
    return ("call", name, *reader.all(arguments, depth))


def _callee(reader: _Reader, node: ast.Call) -> tuple[str, list[ast.expr]]:
    function = node.func
    if isinstance(function, ast.Name):
        if function.id in FUNCTIONS:
            return function.id, node.args
        name = function.id
    elif isinstance(function, ast.Attribute):
        if _TEXT_METHODS.get(function.attr) == len(node.args):
            return function.attr, [function.value, *node.args]
        name = f".{function.attr}"
    else:
        raise reader.refuse(node, "only functions of the language can be called")
    raise reader.refuse(
        node,
        f"calls of {name!r} are not in the language; it has {', '.join(FUNCTIONS)}",
    )


def _loop(reader: _Reader, name: str, node: ast.GeneratorExp, depth: int) -> Tree:
    part = node.generators[0]
    if (
        name not in {"any", "all"}
        or len(node.generators) != 1
        or part.is_async
        or not isinstance(part.target, ast.Name)
    ):
        raise reader.refuse(
            node, "a loop has one form: any(condition for name in container), or all(…)"
        )
    if part.ifs:
        raise reader.refuse(
            part.ifs[0], "'if' in a loop is not in the language: use 'and' or 'or not'"
        )
    container = reader.read(part.iter, depth)
    return ("loop", name, part.target.id, container, reader.read(node.elt, depth))


_READERS: dict[type[ast.expr], Callable[..., Tree]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.List: _display,
    ast.Tuple: _display,
    ast.Set: _display,
    ast.BoolOp: _bool_op,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.Compare: _compare,
    ast.IfExp: _conditional,
    ast.Call: _call,
}
_WORDS: dict[type[ast.expr], str] = {
    ast.Lambda: "lambda",
    ast.NamedExpr: "assignment ':='",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
    ast.JoinedStr: "an f-string",
    ast.Dict: "a dictionary",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a loop outside any() and all()",
    ast.Starred: "'*'",
}
