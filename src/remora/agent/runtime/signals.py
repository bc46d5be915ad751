"""What a signal raises in the middle of our work, which is meant for the app.

The handlers of signals run between any two instructions of the main thread, so also
inside a hook. What they raise (a Ctrl-C, the SystemExit of a SIGTERM, the time limit of
a task queue) would be contained there like a fault of ours, and the app would miss it.
"""

from __future__ import annotations

from _signal import getsignal  # pyright: ignore[reportMissingImports] - signal itself costs a start
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from remora.agent.runtime.builtin_object import clone

if TYPE_CHECKING:
    from types import CodeType

_getsignal = clone(getsignal)
_traceback = vars(BaseException)["__traceback__"].__get__
_SIGNALS = range(1, 65)
"""All that Linux has; asking for one that another system lacks is an error."""

_WRAPPED = 10
"""Partials inside partials, at most."""


def is_interruption(error: BaseException) -> bool:
    """Whether it was raised to interrupt whatever runs, and not by what ran."""
    if issubclass(type(error), KeyboardInterrupt):
        return True
    seen: set[tuple[str, int, str]] = set()
    trace = _traceback(error)
    while trace is not None:
        seen.add(_place(trace.tb_frame.f_code))
        trace = trace.tb_next
    codes = (_code_of(_handler(number)) for number in _SIGNALS)
    return any(code is not None and _place(code) in seen for code in codes)


def _place(code: CodeType) -> tuple[str, int, str]:
    """A handler that has a probe runs other code from the same place."""
    return code.co_filename, code.co_firstlineno, code.co_qualname


def _handler(number: int) -> object:
    try:
        return _getsignal(number)
    except (ValueError, OSError):
        return None


def _code_of(handler: Any) -> CodeType | None:
    """The code of a handler, found without running any of it."""
    for _ in range(_WRAPPED):
        if type(handler) is partial:
            handler = handler.func
        elif type(handler) is MethodType:
            handler = handler.__func__
        else:
            break
    if type(handler) is FunctionType:
        return handler.__code__
    for cls in type.__dict__["__mro__"].__get__(type(handler)):
        call = type.__dict__["__dict__"].__get__(cls).get("__call__")
        if type(call) is FunctionType:
            return call.__code__
    return None
