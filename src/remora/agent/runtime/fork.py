"""Fork as a normal event: one callback in the interpreter, our subscribers behind it.

`os.register_at_fork` has no way back, so the three functions registered there are the
single trace that stays after `stop()`: they then walk an empty list.

From 3.12 on, os.fork() warns in the parent when the process has several threads, and it
counts them after the callbacks have run. So a thread of ours is ended before the fork
and must not be started again by `after_in_parent`, but as soon as os.fork() has
returned: `after_fork_returned` waits for that by a pending call of the interpreter.

A pending call that is added while Python code runs is made at the next instruction,
which is still inside the fork; and one that adds itself again may then wait until the
main thread next gives up the GIL (CPython 3.13, make_pending_calls in ceval_gil.c):
for ever, if that waits for the child. So it is added by the death of a local variable
of the last callback, from C: the next instruction is the one after os.fork().
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol
from weakref import ref

from remora.agent.runtime import facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


class Forked(Protocol):
    """Who wants to know of each fork of this process."""

    def before_fork(self) -> None:
        """This process is about to fork."""
        ...

    def after_fork_in_parent(self) -> None:
        """It has forked, and this is the parent."""
        ...

    def after_fork_in_child(self) -> None:
        """It has forked, and this is the child."""
        ...


# Weakly: the interpreter drops the callbacks last of all, and what they hold, the agent
# with the app's functions and the modules of those, would not be finalized.
_subscribers: list[ref[Forked]] = []
_registered = False
_forking_frame: FrameType | None = None


class _Tripwire:
    """An object of which only the death matters."""

    __slots__ = ("__weakref__",)


class _Watch(ref[_Tripwire]):
    """Called back with itself, which ctypes has to hand on as an argument too many."""

    __slots__ = ()
    _as_parameter_ = 0


_tripwire: _Tripwire | None = None
"""Dies as soon as the callbacks for the parent have run."""


def subscribe(subscriber: Forked) -> Callable[[], None]:
    """Tell `subscriber`, which is not kept alive, of each fork. Returns the undo."""
    global _registered  # noqa: PLW0603 - the interpreter keeps the callbacks for ever
    entry = ref(subscriber)
    _subscribers.append(entry)
    if not _registered:
        _registered = True
        os.register_at_fork(
            before=_run_before,
            after_in_parent=_run_after_in_parent,
            after_in_child=_run_after_in_child,
        )

    def undo() -> None:
        if entry in _subscribers:
            _subscribers.remove(entry)

    return undo


def after_fork_returned(function: Callable[[], object]) -> None:
    """Call `function` when the fork that is going on has returned in this parent.

    Where that cannot be arranged it is called at once: the worst case is a warning.
    """
    if not facts.WARNS_ON_FORK_WITH_THREADS or not _add_pending(function):
        function()


def _add_pending(function: Callable[[], object]) -> bool:
    """Let the main thread call `function` between two instructions of the app."""
    if not facts.IS_CPYTHON:
        return False
    try:
        import ctypes
        from functools import partial
    except ImportError:
        return False
    forking = _forking_frame

    def pending(_nothing: object) -> int:
        if _is_inside_fork(forking) and schedule():
            return 0
        _kept.clear()
        function()
        return 0

    # PYFUNCTYPE: the interpreter holds the GIL when it makes pending calls
    callback = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(pending)

    def schedule() -> bool:
        return ctypes.pythonapi.Py_AddPendingCall(callback, None) == 0

    _kept.append(callback)
    if _tripwire is None:
        return schedule()
    add = partial(ctypes.pythonapi.Py_AddPendingCall, callback, None)
    _kept.append(_Watch(_tripwire, add))
    return True


_kept: list[object] = []
"""Callbacks that the interpreter has still to call: freeing one would be fatal."""


def _is_inside_fork(forking: FrameType | None) -> bool:
    """Whether another callback of the same fork is still running on this stack."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - what was interrupted
    if frame is forking:
        return False
    while frame is not None:
        if frame is forking:
            return True
        frame = frame.f_back
    return False


def _living() -> list[Forked]:
    return [found for entry in _subscribers if (found := entry()) is not None]


def _run_before() -> None:
    global _forking_frame  # noqa: PLW0603 - one fork at a time, under the GIL
    subscribers = _living()
    if subscribers:
        _forking_frame = sys._getframe(0).f_back  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - who forks
    for subscriber in reversed(subscribers):
        subscriber.before_fork()


def _run_after_in_parent() -> None:
    global _forking_frame, _tripwire  # noqa: PLW0603 - one fork at a time, under the GIL
    wire = _tripwire = _Tripwire()
    for subscriber in _living():
        subscriber.after_fork_in_parent()
    _forking_frame = _tripwire = None
    assert wire  # it dies with this frame, and not before


def _run_after_in_child() -> None:
    global _forking_frame  # noqa: PLW0603 - one fork at a time, under the GIL
    _forking_frame = None
    for subscriber in _living():
        subscriber.after_fork_in_child()
