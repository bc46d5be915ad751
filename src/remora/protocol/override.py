"""override: what a probe puts in place of what the program would have done."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remora.errors import ProbeError
from remora.expression import Expression, Template
from remora.protocol.reading import read_expression, read_table, read_template
from remora.values import frozen

if TYPE_CHECKING:
    from remora.protocol.reading import Write

MODES = ("act", "watch")
"""To act, or only to report what would have been done. What is off has `enabled`."""

EXCEPTIONS = frozenset(
    [
        "ArithmeticError",
        "AssertionError",
        "AttributeError",
        "BlockingIOError",
        "BrokenPipeError",
        "BufferError",
        "ChildProcessError",
        "ConnectionAbortedError",
        "ConnectionError",
        "ConnectionRefusedError",
        "ConnectionResetError",
        "EOFError",
        "Exception",
        "FileExistsError",
        "FileNotFoundError",
        "FloatingPointError",
        "ImportError",
        "IndexError",
        "InterruptedError",
        "IsADirectoryError",
        "KeyError",
        "LookupError",
        "MemoryError",
        "ModuleNotFoundError",
        "NameError",
        "NotADirectoryError",
        "NotImplementedError",
        "OSError",
        "OverflowError",
        "PermissionError",
        "ProcessLookupError",
        "RecursionError",
        "ReferenceError",
        "RuntimeError",
        "TimeoutError",
        "TypeError",
        "UnicodeError",
        "ValueError",
        "ZeroDivisionError",
    ]
)
"""Classes that an override may raise: failures that take one text. Those that end a
process or an iteration, and those of the app, whose constructors are its code, are not
among them."""

ARGUMENTS_LIMIT = 20
"""Arguments that one override replaces: more is another function."""

_KINDS = ("return", "raise", "arguments")
_EXAMPLE = "return = 'None'"
_RAISED = re.compile(r"\s*(\w+)\s*(?::\s*|\Z)")


@frozen
class Override:
    """Exactly one of a value to return, an exception to raise, arguments to go on with.

    `returns` is called so because of the keyword; `raises` is the whole template, whose
    first word is the class.
    """

    returns: Expression | None = None
    raises: Template | None = None
    arguments: tuple[tuple[str, Expression], ...] = ()
    mode: str = "act"

    @property
    def kind(self) -> str:
        """`return`, `raise` or `arguments`."""
        if self.returns is not None:
            return "return"
        return "arguments" if self.raises is None else "raise"

    @property
    def acts(self) -> bool:
        """Whether it changes the run, and does not only watch."""
        return self.mode == "act"

    @property
    def raised(self) -> tuple[str, Template]:
        """Name of the class to raise, and the message without it."""
        assert self.raises is not None
        first, *rest = self.raises.parts
        match = _RAISED.match(first) if isinstance(first, str) else None
        assert match is not None
        assert isinstance(first, str)
        begin = first[match.end() :]
        return match[1], Template(self.raises.text, (begin, *rest))

    def expressions(self) -> list[Expression | Template]:
        """All that has to be evaluated."""
        if self.returns is not None:
            return [self.returns]
        if self.raises is not None:
            return [self.raises]
        return [expression for _, expression in self.arguments]


def read_override(value: object) -> Override:
    """Read the table under `override`. Raises ProbeError, ExpressionError."""
    table = read_table(value, "override", (*_KINDS, "mode"), _EXAMPLE)
    given = [kind for kind in _KINDS if kind in table]
    if len(given) != 1:
        raise ProbeError(
            f"override has {' and '.join(given) or 'nothing to do'}: write exactly one "
            "of return, raise and arguments"
        )
    mode = table.get("mode", "act")
    if mode not in MODES:
        raise ProbeError(f"override.mode = {mode!r} is not known: 'act' or 'watch'")
    mode = str(mode)
    if "return" in table:
        returns = read_expression(table["return"], "override.return")
        return Override(returns=returns, mode=mode)
    if "raise" in table:
        return Override(raises=_read_raise(table["raise"]), mode=mode)
    return Override(arguments=_read_arguments(table["arguments"]), mode=mode)


def _read_raise(value: object) -> Template:
    template = read_template(value, "override.raise")
    first = template.parts[0] if template.parts else ""
    match = _RAISED.match(first) if isinstance(first, str) else None
    if match is None or match[1] not in EXCEPTIONS:
        raise ProbeError(
            f"override.raise = {template.text[:100]!r} names no exception that may be "
            "raised: write a builtin class and a text, as 'PermissionError: not today'"
        )
    return template


def _read_arguments(value: object) -> tuple[tuple[str, Expression], ...]:
    if not isinstance(value, dict) or not 0 < len(value) <= ARGUMENTS_LIMIT:
        raise ProbeError(
            f"override.arguments = {value!r} is no table of 1 to {ARGUMENTS_LIMIT} "
            "arguments: write { name = 'expression' }"
        )
    return tuple(
        (str(name), read_expression(entry, f"override.arguments.{name}"))
        for name, entry in value.items()
    )


def write_override(override: Override, write: Write) -> dict[str, object]:
    """The table under `override`."""
    table: dict[str, object] = {}
    if override.returns is not None:
        table["return"] = write(override.returns)
    elif override.raises is not None:
        table["raise"] = write(override.raises)
    else:
        table["arguments"] = {name: write(each) for name, each in override.arguments}
    if override.mode != "act":
        table["mode"] = override.mode
    return table
