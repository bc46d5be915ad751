"""Local variables of a frame that goes on running, read without leaving a trace.

From 3.13 on (PEP 667) `f_locals` looks through to the variables. Before, reading it
copies them all into a dictionary that the frame keeps: values would live longer than
the app lets them. What we caused to be copied is therefore dropped again, unless the
dictionary is in the app's hands already. Nothing is ever written to a variable.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from remora.agent.runtime import facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

AppValue = Any

CO_OPTIMIZED = 1
"""inspect.CO_OPTIMIZED: the frame of a function, whose locals live in fast slots."""

OWN_LOCALS = ".remora"
"""How variables of ours begin that a function of the app has while it is diverted."""

_READERS = frozenset({"locals", "vars", "dir", "eval", "exec", "f_locals", "_getframe"})
"""Names by which code may reach, and add to, the dictionary of its own frame."""

_UNSHARED = 3
"""References to that dictionary when only the frame has it: the frame, the variable
here and the argument of getrefcount."""


def read_locals(frame: FrameType) -> dict[str, AppValue]:
    """A copy of the local variables that are bound now."""
    values = frame.f_locals
    if not frame.f_code.co_flags & CO_OPTIMIZED:
        # A class body may run in a mapping of the app: reading that runs its code.
        return values.copy() if type(values) is dict else {}
    result = dict(values)
    for name in frame.f_code.co_varnames:
        if name.startswith(OWN_LOCALS):
            result.pop(name, None)
    if _leaves_copy(frame.f_code) and sys.getrefcount(values) == _UNSHARED:
        values.clear()
    return result


def reader(
    code: CodeType, names: tuple[str, ...], unbound: AppValue
) -> Callable[[FrameType], tuple[AppValue, ...]]:
    """What reads some local variables of the frames of a function.

    `unbound` stands for those without a value.
    """

    def look_through(frame: FrameType) -> tuple[AppValue, ...]:
        look_up = frame.f_locals.get
        return tuple([look_up(name, unbound) for name in names])

    def copy_and_forget(frame: FrameType) -> tuple[AppValue, ...]:
        values = frame.f_locals
        result = tuple([values.get(name, unbound) for name in names])
        if getrefcount(values) == _UNSHARED:
            values.clear()
        return result

    getrefcount = sys.getrefcount
    return copy_and_forget if _leaves_copy(code) else look_through


def _leaves_copy(code: CodeType) -> bool:
    """Whether reading makes a copy that nobody but us asked for."""
    return not facts.LOCALS_ARE_A_VIEW and _READERS.isdisjoint(code.co_names)
