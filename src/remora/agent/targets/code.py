"""What a code object says of itself: the code within it and the lines it runs."""

from __future__ import annotations

from opcode import opmap
from types import FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

TRAMPOLINE_MARK = "__remora_trampoline__"
"""A constant of every code object of ours, so that stacks can leave its frames out."""

INJECTION_MARK = "__remora_lines__"
"""A constant of code of the app into which calls of ours were put; the constant after
it is the code as the app has it."""

SPLICE_MARK = "__remora_splice__"
"""A constant of code of the app that has the steps of a probe around it; the constant
after it is the code as it was before that."""

CO_VARARGS, CO_VARKEYWORDS = 0x4, 0x8
CO_NESTED, CO_GENERATOR, CO_COROUTINE = 0x10, 0x20, 0x80
CO_ITERABLE_COROUTINE, CO_ASYNC_GENERATOR = 0x100, 0x200
CO_HAS_DOCSTRING = 0x4000000
"""The flags of `inspect`, whose import costs more than all of ours. The last is from
3.13 on: without it the first constant is no docstring."""

_RESUME = opmap["RESUME"]


def is_trampoline(code: CodeType) -> bool:
    """Whether a code object was put in place of the app's by us."""
    # By exact type: constants of a trampoline may be objects of the app. No generator:
    # this is asked twice for each function of a glob.
    for constant in code.co_consts:
        if type(constant) is str and constant == TRAMPOLINE_MARK:
            return True
    return False


def running_code(code: CodeType) -> CodeType:
    """The app's own code: what runs behind a trampoline, what calls were put into."""
    if is_trampoline(code):
        for constant in code.co_consts:
            own = constant.__code__ if type(constant) is FunctionType else constant
            if type(own) is type(code) and _is_place_of(own, code):
                return running_code(own)
    return without_injection(code)


def is_spliced(code: CodeType) -> bool:
    """Whether this is code of the app with steps of ours around it."""
    return _mark(code) == SPLICE_MARK


def code_to_clone(code: CodeType) -> CodeType | None:
    """The code that a trampoline runs in clones it makes itself; None for others."""
    if is_trampoline(code):
        for constant in code.co_consts:
            if type(constant) is type(code) and _is_place_of(constant, code):
                return constant
    return None


def _is_place_of(one: CodeType, other: CodeType) -> bool:
    return (
        one.co_filename == other.co_filename
        and one.co_firstlineno == other.co_firstlineno
        and one.co_qualname == other.co_qualname
    )


def without_injection(code: CodeType) -> CodeType:
    """The code as the app has it, if anything was put into it; else the code itself."""
    while _mark(code) in {INJECTION_MARK, SPLICE_MARK}:
        code = code.co_consts[-1]
    return code


def _mark(code: CodeType) -> str:
    marks = code.co_consts[-2:-1]
    # By exact type: constants of a trampoline may be objects of the app.
    return marks[0] if marks and type(marks[0]) is str else ""


def parameters(code: CodeType) -> tuple[str, ...]:
    """All parameters in the order of the code's variables: `*` and `**` come last."""
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)
    return code.co_varnames[:count]


def code_constants(code: CodeType) -> list[CodeType]:
    """Return the code objects defined directly within one."""
    kind = type(code)
    return [constant for constant in code.co_consts if type(constant) is kind]


def all_code(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and everything defined within it, without trampolines."""
    code = running_code(code)
    yield code
    for inner in code_constants(code):
        yield from all_code(inner)


def lines_of(code: CodeType) -> set[int]:
    """Return the lines that the code runs.

    The instructions up to RESUME only set up the frame and belong to the `def` line:
    that line runs nothing, unless the body stands on it as well.
    """
    instructions = code.co_code
    start = 0
    while start < len(instructions) and instructions[start] != _RESUME:
        start += 2
    return {line for _, end, line in code.co_lines() if line and end > start + 2}
