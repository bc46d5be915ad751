"""The re-entrancy guard: what we do for a probe must not fire probes.

A set of thread identifiers, because that is the cheapest guard measured (a ContextVar
costs about twice as much). Gates take no guard; actions and local hooks do. The agent's
own thread is a member for as long as it lives, so it is never instrumented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.runtime.originals import get_ident

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")


busy: set[int] = set()
"""Identifiers of the threads that are inside work of ours."""

shielded: set[int] = set()
"""Those inside a gate on a C function: the gate's own code may call that function. Not
`busy`, or the action behind the gate would think that it runs within another one."""


class Marks:
    """Both sets, for the constants of code that the app's functions run.

    Who hashes code (debugpy does, for each frame) hashes its constants, and sets have
    no hash. A set of a class of ours would have one, but `in` is slower by half there.
    """

    __slots__ = ("busy", "shielded")

    def __init__(self) -> None:
        self.busy = busy
        self.shielded = shielded


marks = Marks()
"""One for all of them."""


def enter() -> bool:
    """Mark this thread as ours; False, and no mark, where it is marked already."""
    ident = get_ident()
    if ident in busy:
        return False
    busy.add(ident)
    return True


def leave() -> None:
    """Take the mark away again."""
    busy.discard(get_ident())


def run(work: Callable[[], Result]) -> Result:
    """Run work of ours under the guard, whether this thread has it already or not."""
    ident = get_ident()
    if ident in busy:
        return work()
    try:
        # inside: a Ctrl-C that arrives at this very call must not leave the mark
        busy.add(ident)
        return work()
    finally:
        busy.discard(ident)


def forget_other_threads() -> None:
    """In a forked child: the other threads do not exist here, and one may return."""
    busy.intersection_update({get_ident()})
    shielded.intersection_update({get_ident()})
