"""What the worker runs: the parts of the agent that work in its thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remora.agent.reporting.waiting import Routine


class Task(Protocol):
    """A part of the agent that works in the agent's thread."""

    def routines(self) -> Sequence[Callable[[], Routine[None]]]:
        """What to run; started again after a fault of its own."""
        ...

    def hurry(self, is_urgent: bool) -> None:  # noqa: FBT001 - a setter
        """Deliver at once what would wait for company, or stop doing so."""
        ...

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing left to deliver."""
        ...

    def end(self) -> None:
        """Begin to say goodbye: `is_settled` turns true when that is done."""
        ...

    def close(self) -> None:
        """Give back every descriptor; what is left is lost, and counted."""
        ...

    def after_fork_in_child(self) -> None:
        """Begin anew without talking on anything that the parent still uses."""
        ...
