"""The trees of expressions: their nodes, their JSON form, and what may stand in them.

A tree is made of tuples here and of arrays in JSON. A constant is the JSON scalar
itself; every other node is an array whose first item names it. `check_tree` is the one
gate: nothing that did not pass it is ever compiled, wherever it came from.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from remora.errors import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Tree = Any
"""None, bool, int, float, str, or a tuple that starts with the name of a node."""

NODES_LIMIT = 500
"""Nodes of one tree: the longest condition seen in practice has some forty."""

DEPTH_LIMIT = 50
"""Nodes inside each other: keeps a recursion over a tree far from the stack's end."""

TEXT_LIMIT = 4000
"""Characters of an expression, and of a text within it."""

LOOPS_LIMIT = 5
"""Loops of `any` and `all` in one expression; with LOOP_NODES_LIMIT and ITEMS_LIMIT
they bound the work of an evaluation."""

LOOP_NODES_LIMIT = 60
"""Nodes of a condition that is evaluated for each item."""

EXACT_INT = 2**53
"""Integers up to here are JSON numbers in every runtime; larger ones travel as text."""

INT_DIGITS_LIMIT = 300

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")
ARITHMETIC = ("+", "-", "*", "/", "//", "%")

FUNCTIONS: dict[str, tuple[int, int]] = {
    "len": (1, 1),
    "startswith": (2, 2),
    "endswith": (2, 2),
    "contains": (2, 2),
    "matches": (2, 2),
    "lower": (1, 1),
    "upper": (1, 1),
    "any": (1, 1),
    "all": (1, 1),
    "min": (1, 20),
    "max": (1, 20),
    "abs": (1, 1),
    "int": (1, 1),
    "float": (1, 1),
    "str": (1, 1),
    "type_name": (1, 1),
}
"""The functions with the least and the largest number of their arguments."""

OWN_NAMES = (
    "user",
    "request",
    "result",
    "error",
    "args",
    "kwargs",
    "duration_ms",
    "target",
    "state",
    "now_ms",
)
"""Names of ours that `remora.` reaches even where the call has a parameter so named."""

_NAME = re.compile(r"[^\W\d]\w*\Z")
_INTEGER = re.compile(rf"-?[0-9]{{1,{INT_DIGITS_LIMIT}}}\Z")


class _Count:
    """Nodes and loops met so far while a tree is checked."""

    __slots__ = ("loops", "nodes")

    def __init__(self) -> None:
        self.nodes = 0
        self.loops = 0


def check_tree(value: object) -> Tree:
    """The tree that a JSON value stands for, frozen. Raises ExpressionError."""
    return _check(value, _Count(), 0, in_loop=False)


def _check(value: object, count: _Count, depth: int, *, in_loop: bool) -> Tree:
    count.nodes += 1
    if count.nodes > NODES_LIMIT:
        raise ExpressionError(
            f"the expression has more than {NODES_LIMIT} nodes: make it shorter"
        )
    if depth > DEPTH_LIMIT:
        raise ExpressionError(
            f"the expression is nested deeper than {DEPTH_LIMIT}: make it flatter"
        )
    if not isinstance(value, (list, tuple)):
        return _check_constant(value)
    kind = value[0] if value else None
    if kind == "loop":
        return _check_loop(value, count, depth, in_loop=in_loop)
    reader = _SHAPES.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise ExpressionError(
            f"{_short(kind)} is no node of a tree; known are "
            f"{', '.join((*_SHAPES, 'loop'))}"
        )

    def below(part: object) -> Tree:
        return _check(part, count, depth + 1, in_loop=in_loop)

    return reader(tuple(value), below)


def _check_constant(value: object) -> Tree:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > TEXT_LIMIT:
            raise ExpressionError(
                f"text {_short(value)} is longer than {TEXT_LIMIT} characters"
            )
        return value
    if isinstance(value, int):
        if abs(value) > EXACT_INT:
            raise ExpressionError(
                f"integer {value:.3e} is beyond 2^53: in a tree write ['int', 'digits']"
                if abs(value) < 10**300
                else "integer beyond 2^53: in a tree write ['int', 'digits']"
            )
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ExpressionError(
        f"{_short(value)} is no constant: write a text, a finite number, true, false "
        "or null"
    )


def _check_int(node: tuple[object, ...], below: Callable[[object], Tree]) -> Tree:
    del below
    digits = node[1] if len(node) == 2 else None
    if not isinstance(digits, str) or not _INTEGER.match(digits):
        raise _bad_shape(node, "['int', 'digits']")
    return ("int", digits)


def _check_name(node: tuple[object, ...], below: Callable[[object], Tree]) -> Tree:
    del below
    if len(node) != 2 or not isinstance(node[1], str):
        raise _bad_shape(node, "['name', name]")
    name = node[1]
    bare = name.removeprefix("remora.")
    if bare == name or bare not in OWN_NAMES:
        check_identifier(name)
    return ("name", name)


def _check_attribute(node: tuple[object, ...], below: Callable[[object], Tree]) -> Tree:
    if len(node) != 3 or not isinstance(node[2], str):
        raise _bad_shape(node, "['attribute', tree, name]")
    check_identifier(node[2])
    return ("attribute", below(node[1]), node[2])


def _check_parts(least: int, most: int, shape: str) -> Callable[..., Tree]:
    """A node whose items after its name are all trees."""

    def check(node: tuple[object, ...], below: Callable[[object], Tree]) -> Tree:
        if not least <= len(node) - 1 <= most:
            raise _bad_shape(node, shape)
        return (node[0], *map(below, node[1:]))

    return check


def _check_compare(node: tuple[object, ...], below: Callable[[object], Tree]) -> Tree:
    if len(node) < 4 or len(node) % 2:
        raise _bad_shape(node, "['compare', tree, operator, tree, …]")
    parts: list[Tree] = ["compare", below(node[1])]
    for position in range(2, len(node), 2):
        operator = node[position]
        if not isinstance(operator, str) or operator not in COMPARISONS:
            raise ExpressionError(
                f"{_short(operator)} is no comparison; known are "
                f"{' '.join(COMPARISONS)}"
            )
        parts += (operator, below(node[position + 1]))
    return tuple(parts)


def _check_call(node: tuple[object, ...], below: Callable[[object], Tree]) -> Tree:
    name: object = node[1] if len(node) > 1 else None
    arguments = node[2:]
    if not isinstance(name, str) or name not in FUNCTIONS:
        raise ExpressionError(
            f"calls of {_short(name)} are not in the language; it has "
            f"{', '.join(FUNCTIONS)}"
        )
    least, most = FUNCTIONS[name]
    given = len(arguments)
    if not least <= given <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise ExpressionError(f"{name}() takes {wanted} arguments, not {given}")
    if name == "matches":
        pattern = list(arguments)[1]
        if not isinstance(pattern, str):
            raise ExpressionError(
                "the pattern of matches() must be a text written in the expression"
            )
        # Late, because few expressions have one.
        from remora.expression.pattern import check_pattern

        check_pattern(pattern)
    return ("call", name, *map(below, arguments))


def _check_loop(
    node: list[object] | tuple[object, ...], count: _Count, depth: int, *, in_loop: bool
) -> Tree:
    quantifier = node[1] if len(node) == 5 and isinstance(node[1], str) else ""
    if quantifier not in {"any", "all"} or not isinstance(node[2], str):
        raise _bad_shape(
            tuple(node), "['loop', 'any' or 'all', name, container, condition]"
        )
    if in_loop:
        raise ExpressionError(
            f"{node[1]}() with a loop inside another is not in the language"
        )
    count.loops += 1
    if count.loops > LOOPS_LIMIT:
        raise ExpressionError(f"the expression has more than {LOOPS_LIMIT} loops")
    check_identifier(node[2])
    container = _check(node[3], count, depth + 1, in_loop=False)
    before = count.nodes
    condition = _check(node[4], count, depth + 1, in_loop=True)
    if count.nodes - before > LOOP_NODES_LIMIT:
        raise ExpressionError(
            f"the condition of a loop has more than {LOOP_NODES_LIMIT} nodes"
        )
    return ("loop", node[1], node[2], container, condition)


_SHAPES: dict[str, Callable[..., Tree]] = {
    "int": _check_int,
    "name": _check_name,
    "attribute": _check_attribute,
    "item": _check_parts(2, 2, "['item', container, key]"),
    "list": _check_parts(0, NODES_LIMIT, "['list', tree, …]"),
    "not": _check_parts(1, 1, "['not', tree]"),
    "and": _check_parts(2, NODES_LIMIT, "['and', tree, tree, …]"),
    "or": _check_parts(2, NODES_LIMIT, "['or', tree, tree, …]"),
    "if": _check_parts(3, 3, "['if', condition, then, otherwise]"),
    "missing": _check_parts(1, 1, "['missing', tree]"),
    "negate": _check_parts(1, 1, "['negate', tree]"),
    **{
        operator: _check_parts(2, 2, f"['{operator}', left, right]")
        for operator in ARITHMETIC
    },
    "compare": _check_compare,
    "call": _check_call,
}


def check_identifier(name: str) -> None:
    """Refuse what is no identifier, and the names of Python's own machinery."""
    if not _NAME.match(name) or len(name) > 200:
        raise ExpressionError(
            f"{_short(name)} is no name: write letters, digits and '_'"
        )
    if name.startswith("__"):
        raise ExpressionError(
            f"{_short(name)}: names that start with two underscores are not in the "
            "language; type_name(x) gives the class of x"
        )


def _bad_shape(node: tuple[object, ...], shape: str) -> ExpressionError:
    return ExpressionError(f"node {_short(list(node))} has another shape than {shape}")


def _short(value: object) -> str:
    """A value for a message; bounded, because it may come from the wire."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**20 else "a huge integer"
    if isinstance(value, str):
        text = repr(value[:60])
    elif isinstance(value, (list, tuple)):
        text = f"[{', '.join(_head(part) for part in value[:4])}]"
    else:
        text = _head(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _head(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "[…]"
    if isinstance(value, dict):
        return "{…}"
    return repr(value[:20]) if isinstance(value, str) else repr(value)[:20]


def walk(tree: Tree) -> Iterator[tuple[object, ...]]:
    """Every node of a tree that is no constant, parents first."""
    if not isinstance(tree, tuple):
        return
    yield tree
    for part in children(tree):
        yield from walk(part)


def children(node: tuple[object, ...]) -> tuple[Tree, ...]:
    """The trees directly inside a node."""
    kind = node[0]
    if kind in {"int", "name"}:
        return ()
    if kind == "attribute":
        return (node[1],)
    if kind == "compare":
        return node[1::2]
    if kind == "call":
        return node[2:]
    if kind == "loop":
        return node[3:]
    return node[1:]


def root_names(tree: Tree) -> frozenset[str]:
    """The names that must be bound to evaluate a tree; a loop binds its own."""
    if not isinstance(tree, tuple):
        return frozenset()
    if tree[0] == "name":
        return frozenset((str(tree[1]),))
    if tree[0] == "loop":
        inner = root_names(tree[4]) - {str(tree[2])}
        return root_names(tree[3]) | inner
    return frozenset[str]().union(*map(root_names, children(tree)))


_KEEPS_CONTENT = {"lower", "upper", "str", "min", "max", "int", "float", "abs"}


def shown_names(tree: Tree) -> frozenset[str]:
    """Names under which the content of the value is known: `pin` in `user.pin`.

    Redaction by name looks here. A comparison or a length does not show content.
    """
    if not isinstance(tree, tuple):
        return frozenset()
    kind = tree[0]
    if kind == "name":
        return frozenset((str(tree[1]).removeprefix("remora."),))
    if kind == "attribute":
        return frozenset((str(tree[2]),))
    if kind == "item" and isinstance(tree[2], str):
        return frozenset((tree[2],))
    if kind == "item":
        return shown_names(tree[1])
    if kind == "if":
        return shown_names(tree[2]) | shown_names(tree[3])
    if kind == "call" and tree[1] not in _KEEPS_CONTENT:
        return frozenset()
    if kind in {"compare", "not", "missing", "loop", "int"}:
        return frozenset()
    return frozenset[str]().union(*map(shown_names, children(tree)))


def to_json(tree: Tree) -> object:
    """The tree with arrays in place of tuples."""
    return [to_json(part) for part in tree] if isinstance(tree, tuple) else tree
