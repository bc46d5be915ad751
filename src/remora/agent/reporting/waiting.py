"""Waits: how several routines share the agent's one thread.

A routine is a generator that works for at most a third of a millisecond, yields what
it waits for, and is sent the time (monotonic seconds) when that has come. It never
waits in any other way, so the thread can be stopped between two steps and started
again later: suspended routines keep their sockets and go on where they were.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

NEVER = float("inf")

_Result = TypeVar("_Result")


class Wait:
    """What a routine waits for, whichever comes first.

    `until` is a time (0: at once), `fd` and `events` what poll() watches, `ready` a
    cheap question that is asked whenever the thread is awake.
    """

    __slots__ = ("events", "fd", "ready", "until")

    def __init__(
        self,
        *,
        until: float = 0.0,
        fd: int = -1,
        events: int = 0,
        ready: Callable[[], bool] | None = None,
    ) -> None:
        self.until = until
        self.fd = fd
        self.events = events
        self.ready = ready


Routine = Generator[Wait, float, _Result]
"""A generator that yields waits, is sent the time, and returns a result."""


class Job:
    """One routine, how far it is, and what it waits for."""

    __slots__ = ("failures", "routine", "start", "wait")

    def __init__(self, start: Callable[[], Routine[None]]) -> None:
        self.start = start
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.routine: Routine[None] | None = None
        self.wait = Wait()
        self.failures = 0

    def end(self) -> None:
        """Let it close what it holds, now: the collector's order would be any."""
        routine, self.routine = self.routine, None
        self.wait = Wait(until=NEVER)
        if routine is not None:
            routine.close()

    def is_ready(self, now: float, ready_fds: frozenset[int]) -> bool:
        """Whether what it waits for has come."""
        wait = self.wait
        return (
            wait.until <= now
            or wait.fd in ready_fds
            or (wait.ready is not None and wait.ready())
        )
