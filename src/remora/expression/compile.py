"""From trees to one function: expressions become Python's own syntax trees.

A `Code` gathers expressions and the statements around them into a single function, so
that a gate costs a call and what it looks at, and nothing else. Comparisons with
constants are written out with a test of the exact type in front; all else calls
operations.py. Types are compared with `is`: a set of types would hash them, and hashing
a type runs its metaclass. The parameters are renamed (`p0`, `p1`, …), constants are
globals of the function (`c0`, …), so no name of the app can clash with ours.
"""

from __future__ import annotations

import ast
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, ClassVar

from remora.errors import ExpressionError
from remora.expression import operations
from remora.expression.containers import read_item
from remora.expression.expression import Expression, Template
from remora.expression.functions import FUNCTIONS
from remora.expression.missing import Missing
from remora.expression.operations import (
    is_in,
    is_not_in,
    is_text_in,
    is_text_not_in,
    is_true,
)
from remora.expression.readers import attribute_reader
from remora.expression.reading import AppValue
from remora.expression.rendering import render_text
from remora.expression.tree import Tree, root_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

_LOAD = ast.Load()

_STORE = ast.Store()
_COMPARERS: dict[str, tuple[type[ast.cmpop], Callable[..., bool]]] = {
    "==": (ast.Eq, operations.is_equal),
    "!=": (ast.NotEq, operations.is_not_equal),
    "<": (ast.Lt, operations.is_less),
    "<=": (ast.LtE, operations.is_at_most),
    ">": (ast.Gt, operations.is_greater),
    ">=": (ast.GtE, operations.is_at_least),
    "in": (ast.In, is_in),
    "not in": (ast.NotIn, is_not_in),
}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ARITHMETIC: dict[str, Callable[[AppValue, AppValue], AppValue]] = {
    "+": operations.add,
    "-": operations.subtract,
    "*": operations.multiply,
    "/": operations.divide,
    "//": operations.floor_divide,
    "%": operations.remainder,
}
_BOOLEAN_CALLS = {"startswith", "endswith", "contains"}
_REDACTED = "(redacted)"
_STEPS = "steps of the loop"
"""No name that an expression could have."""


class Code:
    """One function in the making: expressions over parameters, and what is around them.

    A name in an expression is a parameter, or else the result of its provider, which is
    called where and when the value is needed.
    """

    __slots__ = (
        "_bound",
        "_counted",
        "_names",
        "_parameters",
        "_providers",
        "_readers",
        "_steps",
        "_temps",
    )

    def __init__(
        self,
        parameters: Sequence[str],
        providers: Mapping[str, Callable[[], AppValue]] | None = None,
        steps: str = "",
    ) -> None:
        """`steps` is the parameter that has the steps of the loop around this."""
        self._steps = steps
        self._counted: dict[AppValue, AppValue] = {}
        self._parameters = {name: f"p{i}" for i, name in enumerate(parameters)}
        self._providers = providers or {}
        self._bound: dict[str, AppValue] = {"__builtins__": {}}
        self._names: dict[int, str] = {}
        self._readers: dict[str, str] = {}
        self._temps = 0

    def condition(self, expression: Expression) -> ast.expr:
        """A test that is exactly True or False and may stand in an `if`."""
        return self._test(expression.tree)

    def value(self, expression: Expression) -> ast.expr:
        """The value of the expression, a Missing where there is none."""
        return self._value(expression.tree)

    def text(
        self, template: Template, is_secret: Callable[[str], bool] | None = None
    ) -> ast.expr:
        """The template's text; values known under a secret name are not shown."""
        parts: list[ast.expr] = []
        for part in template.parts:
            if isinstance(part, str):
                parts.append(ast.Constant(part))
            elif is_secret is not None and any(map(is_secret, part.shown)):
                parts.append(ast.Constant(_REDACTED))
            else:
                shown = self._call(render_text, self._value(part.tree))
                parts.append(ast.FormattedValue(shown, -1))
        return ast.JoinedStr(parts)

    def parameter(self, name: str) -> ast.expr:
        """One of the function's parameters."""
        return ast.Name(self._parameters[name], _LOAD)

    def constant(self, value: AppValue) -> ast.expr:
        """A name that stands for any object inside the function."""
        name = self._names.get(id(value))
        if name is None:
            name = self._names[id(value)] = f"c{len(self._names)}"
            self._bound[name] = value
        return ast.Name(name, _LOAD)

    def function(self, name: str, body: list[ast.stmt]) -> FunctionType:
        """The function: its positional parameters in order, and these statements."""
        arguments = ast.arguments(
            posonlyargs=[],
            args=[ast.arg(p) for p in self._parameters.values()],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        )
        definition = ast.FunctionDef(name, arguments, body, [])
        definition.type_params = []  # pyright: ignore[reportAttributeAccessIssue] - 3.12+
        module = ast.Module([definition], [])
        ast.fix_missing_locations(module)
        compiled = compile(module, f"<remora {name}>", "exec", dont_inherit=True)
        code = next(part for part in compiled.co_consts if type(part) is CodeType)
        return FunctionType(code, self._bound, name)

    def _call(self, function: AppValue, *arguments: ast.expr) -> ast.expr:
        if self._steps:
            if function not in self._counted:
                self._counted[function] = _loops().counted(function)
            if (within := self._counted[function]) is not None:
                return self._call_counted(within, *arguments)
        return ast.Call(self.constant(function), list(arguments), [])

    def _call_counted(self, function: AppValue, *arguments: ast.expr) -> ast.expr:
        steps = self.parameter(self._steps)
        return ast.Call(self.constant(function), [steps, *arguments], [])

    def _kept(self, node: ast.expr) -> tuple[ast.expr, ast.expr]:
        """A first use of a value that keeps it, and the later uses."""
        if isinstance(node, (ast.Name, ast.Constant)):
            return node, node
        name = f"t{self._temps}"
        self._temps += 1
        return ast.NamedExpr(ast.Name(name, _STORE), node), ast.Name(name, _LOAD)

    def _value(self, tree: Tree) -> ast.expr:
        if not isinstance(tree, tuple):
            return ast.Constant(tree)
        kind = tree[0]
        if kind in _ARITHMETIC:
            return self._call(_ARITHMETIC[kind], *map(self._value, tree[1:]))
        return self._WRITERS[kind](self, tree)

    def _write_int(self, tree: tuple[AppValue, ...]) -> ast.expr:
        return ast.Constant(int(tree[1]))

    def _write_name(self, tree: tuple[AppValue, ...]) -> ast.expr:
        name: str = tree[1]
        root, _, rest = name.partition(".")
        if rest and root in self._parameters:
            # The call has a parameter that is called remora: its own names win.
            return self._read(self.parameter(root), rest)
        if name in self._parameters:
            return self.parameter(name)
        provider = self._providers.get(name)
        if provider is None:
            known = [*self._parameters, *self._providers]
            raise ExpressionError(
                f"{name!r} is not known here; known are "
                f"{', '.join(known) or 'no names'}"
            )
        return self._call(provider)

    def _write_attribute(self, tree: tuple[AppValue, ...]) -> ast.expr:
        return self._read(self._value(tree[1]), tree[2])

    def _read(self, owner: ast.expr, name: str) -> ast.expr:
        reader = self._readers.get(name)
        if reader is None:
            reader = self._readers[name] = f"r{len(self._readers)}"
            self._bound[reader] = attribute_reader(name)
        return ast.Call(ast.Name(reader, _LOAD), [owner], [])

    def _write_item(self, tree: tuple[AppValue, ...]) -> ast.expr:
        return self._call(read_item, self._value(tree[1]), self._value(tree[2]))

    def _write_list(self, tree: tuple[AppValue, ...]) -> ast.expr:
        return ast.List([self._value(part) for part in tree[1:]], _LOAD)

    def _write_choice(self, tree: tuple[AppValue, ...]) -> ast.expr:
        """`and`, `or`: the value of the operand that decided, as in Python."""
        result = self._value(tree[-1])
        for part in reversed(tree[1:-1]):
            first, again = self._kept(self._value(part))
            test = self._call(is_true, first)
            if tree[0] == "and":
                result = ast.IfExp(test, result, again)
            else:
                result = ast.IfExp(test, again, result)
        return result

    def _write_if(self, tree: tuple[AppValue, ...]) -> ast.expr:
        return ast.IfExp(
            self._test(tree[1]), self._value(tree[2]), self._value(tree[3])
        )

    def _write_test(self, tree: tuple[AppValue, ...]) -> ast.expr:
        return self._test(tree)

    def _write_negate(self, tree: tuple[AppValue, ...]) -> ast.expr:
        return self._call(operations.negate, self._value(tree[1]))

    def _write_call(self, tree: tuple[AppValue, ...]) -> ast.expr:
        name: str = tree[1]
        if name == "matches":
            # Loaded when the tree was checked.
            from remora.expression.pattern import compile_pattern

            matches = compile_pattern(tree[3])
            if self._steps:
                loops = _loops()
                weighted = loops.weighed(matches, loops.PATTERN_WEIGHT)
                return self._call_counted(weighted, self._value(tree[2]))
            return self._call(matches, self._value(tree[2]))
        return self._call(FUNCTIONS[name], *map(self._value, tree[2:]))

    def _write_loop(self, tree: tuple[AppValue, ...]) -> ast.expr:
        """The condition becomes a function of the item and the names that it uses."""
        _, function, variable, container, condition = tree
        used = sorted(
            (root_names(condition) - {variable}) & self._parameters.keys(),
            key=list(self._parameters).index,
        )
        if "remora" in self._parameters and "remora" not in used:
            used.append("remora")
        names = [_STEPS, variable, *(u for u in used if u != variable)]
        inner = Code(names, self._providers, _STEPS)
        each = inner.function("condition", [ast.Return(inner._test(condition))])
        return self._call(
            _loops().any_match if function == "any" else _loops().all_match,
            self._value(container),
            self.constant(each),
            *(self.parameter(name) for name in used if name != variable),
        )

    def _test(self, tree: Tree) -> ast.expr:
        """The same as is_true(value), written out where the value is a bool anyway."""
        if not isinstance(tree, tuple):
            return ast.Constant(is_true(tree))
        kind = tree[0]
        if kind == "compare":
            return self._compare(tree)
        if kind == "not":
            return ast.UnaryOp(ast.Not(), self._test(tree[1]))
        if kind in {"and", "or"}:
            joined = ast.And() if kind == "and" else ast.Or()
            return ast.BoolOp(joined, [self._test(part) for part in tree[1:]])
        if kind == "if":
            return ast.IfExp(*map(self._test, tree[1:]))
        if kind == "missing":
            return self._is_type(self._value(tree[1]), Missing)
        if kind == "call" and tree[1] in _BOOLEAN_CALLS:
            return self._value(tree)
        first, again = self._kept(self._value(tree))
        # Most values that stand as a test are bools: no call for these.
        return ast.BoolOp(
            ast.Or(),
            [
                ast.Compare(first, [ast.Is()], [ast.Constant(True)]),
                ast.BoolOp(
                    ast.And(),
                    [
                        ast.Compare(again, [ast.IsNot()], [ast.Constant(False)]),
                        self._call(is_true, again),
                    ],
                ),
            ],
        )

    def _is_type(self, node: ast.expr, cls: type) -> ast.expr:
        return ast.Compare(self._call(type, node), [ast.Is()], [self.constant(cls)])

    def _compare(self, tree: tuple[AppValue, ...]) -> ast.expr:
        if len(tree) == 4:
            return self._pair(tree[1], tree[2], tree[3])
        tests: list[ast.expr] = []
        left = self._value(tree[1])
        for position in range(2, len(tree), 2):
            operator, right = tree[position], tree[position + 1]
            if isinstance(right, tuple) or operator not in _MIRRORED:
                first, again = self._kept(self._value(right))
                tests.append(self._call(_COMPARERS[operator][1], left, first))
                left = again
            else:
                tests.append(self._with_constant(left, operator, right))
                left = ast.Constant(right)
        return ast.BoolOp(ast.And(), tests)

    def _pair(self, left: Tree, operator: str, right: Tree) -> ast.expr:
        if operator in _MIRRORED:
            if not isinstance(right, tuple):
                return self._with_constant(self._value(left), operator, right)
            if not isinstance(left, tuple):
                mirrored = _MIRRORED[operator]
                return self._with_constant(self._value(right), mirrored, left)
        elif right and isinstance(right, tuple) and right[0] == "list":
            return self._in_list(left, operator, right)
        return self._call(
            _COMPARERS[operator][1], self._value(left), self._value(right)
        )

    def _with_constant(
        self, value: ast.expr, operator: str, constant: Tree
    ) -> ast.expr:
        """A comparison with a constant: exact types are compared in place."""
        node, compare = _COMPARERS[operator]
        literal = ast.Constant(constant)
        if isinstance(value, ast.Constant):
            # Comparing two literals makes the compiler warn; it is rare anyway.
            return self._call(compare, value, literal)
        if constant is None or isinstance(constant, bool):
            if node is ast.Eq:
                return ast.Compare(value, [ast.Is()], [literal])
            if node is not ast.NotEq:
                return self._call(compare, value, literal)
            first, again = self._kept(value)
            there = ast.Compare(first, [ast.IsNot()], [literal])
            known = self._is_type(again, Missing)
            return ast.BoolOp(ast.And(), [there, ast.UnaryOp(ast.Not(), known)])
        first, again = self._kept(value)
        if isinstance(constant, str):
            exact = self._is_type(first, str)
        else:
            exact = self._is_number(first)
        fast = ast.Compare(again, [node()], [literal])
        return ast.IfExp(exact, fast, self._call(compare, again, literal))

    def _is_number(self, node: ast.expr) -> ast.expr:
        first, again = self._kept(self._call(type, node))
        return ast.BoolOp(
            ast.Or(),
            [
                ast.Compare(first, [ast.Is()], [self.constant(int)]),
                ast.Compare(again, [ast.Is()], [self.constant(float)]),
            ],
        )

    def _in_list(self, left: Tree, operator: str, right: Tree) -> ast.expr:
        """`x in ['a', 'b']`: a set of texts, where x is a text."""
        node, compare = _COMPARERS[operator]
        otherwise = is_text_in if operator == "in" else is_text_not_in
        items: tuple[AppValue, ...] = right[1:]  # pyright: ignore[reportIndexIssue] - a list node
        if not items or not all(isinstance(item, str) for item in items):
            return self._call(compare, self._value(left), self._value(right))
        choices = self.constant(frozenset(items))
        first, again = self._kept(self._value(left))
        return ast.IfExp(
            self._is_type(first, str),
            ast.Compare(again, [node()], [choices]),
            self._call(otherwise, again, choices),
        )

    _WRITERS: ClassVar[dict[AppValue, Callable[..., ast.expr]]] = {
        "int": _write_int,
        "name": _write_name,
        "attribute": _write_attribute,
        "item": _write_item,
        "list": _write_list,
        "and": _write_choice,
        "or": _write_choice,
        "if": _write_if,
        "not": _write_test,
        "compare": _write_test,
        "missing": _write_test,
        "negate": _write_negate,
        "call": _write_call,
        "loop": _write_loop,
    }


def compile_value(
    expression: Expression,
    parameters: Sequence[str],
    providers: Mapping[str, Callable[[], AppValue]] | None = None,
) -> Callable[..., AppValue]:
    """A function of the parameters that returns the expression's value."""
    code = Code(parameters, providers)
    return code.function("value", [ast.Return(code.value(expression))])


def compile_condition(
    expression: Expression,
    parameters: Sequence[str],
    providers: Mapping[str, Callable[[], AppValue]] | None = None,
) -> Callable[..., bool]:
    """A function of the parameters that says whether the expression counts as true."""
    code = Code(parameters, providers)
    return code.function("condition", [ast.Return(code.condition(expression))])


def compile_template(
    template: Template,
    parameters: Sequence[str],
    providers: Mapping[str, Callable[[], AppValue]] | None = None,
    is_secret: Callable[[str], bool] | None = None,
) -> Callable[..., str]:
    """A function of the parameters that returns the template's text."""
    code = Code(parameters, providers)
    return code.function("text", [ast.Return(code.text(template, is_secret))])


def _loops() -> ModuleType:
    # Late, because few conditions have a loop.
    from remora.expression import loops

    return loops
