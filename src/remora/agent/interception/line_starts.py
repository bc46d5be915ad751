"""Where in its code a line begins.

An interpreter reports a line whenever execution comes to it from another one. A call
that is written over several lines comes back to its first when the arguments are ready,
a `with` when it is left: that is the rest of a line that has begun already, and does
not count again.
"""

from __future__ import annotations

from opcode import opmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType

_RESUME = opmap["RESUME"]
_PUSH_EXC_INFO = opmap["PUSH_EXC_INFO"]
_WITH_EXCEPT_START = opmap["WITH_EXCEPT_START"]
_THREE_NONES = bytes([opmap["LOAD_CONST"]] * 3)
_CALLS = frozenset({opmap["CALL"], opmap.get("PRECALL", opmap["CALL"])})

Span = tuple[int, int]
"""First and last line of the source of one instruction; (0, 0) where it has none."""


def returns_to(code: CodeType, line: int) -> frozenset[int]:
    """Offsets at which execution comes back to a line that has begun already."""
    spans, opcodes = _spans(code), code.co_code[::2]
    found: set[int] = set()
    for position in range(1, len(spans)):
        first, last = spans[position]
        if first != line or spans[position - 1][0] == line:
            continue
        comes_back = line < spans[position - 1][0] <= last
        if (comes_back and _has_begun(spans, position)) or _leaves_with(
            opcodes[position : position + 4]
        ):
            found.add(2 * position)
    return frozenset(found)


def _leaves_with(opcodes: bytes) -> bool:
    """Whether these call `__exit__`: with an exception, or with None three times."""
    is_handler = opcodes[0] == _PUSH_EXC_INFO and opcodes[1] == _WITH_EXCEPT_START
    return is_handler or (opcodes[:3] == _THREE_NONES and opcodes[3] in _CALLS)


def first_line(code: CodeType) -> int:
    """The line of the instruction at which the body starts: that of the `def`."""
    opcodes = code.co_code[::2]
    return _spans(code)[opcodes.index(_RESUME)][0]


def _has_begun(spans: list[Span], position: int) -> bool:
    """Whether the code just before is all of the same statement, from its line on."""
    first, last = spans[position]
    for before in range(position - 1, -1, -1):
        line = spans[before][0]
        if line == first:
            return True
        if not first < line <= last:
            return False
    return False


def _spans(code: CodeType) -> list[Span]:
    return [(first or 0, last or 0) for first, last, _, _ in code.co_positions()]
