"""What an interception is asked to do, in words that know nothing of probes.

A mechanism diverts the calls of one function to a list of steps. What a step's result
means is not decided here: the driver, handed in by the room above, judges it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

AppValue = Any
"""A value of the app on its way through us."""

PhaseName = Literal["pre", "post", "fail", "line", "body"]

RESULT = "@result"
ERROR = "@error"
DURATION_MS = "@duration_ms"
CALL = "@call"
STATE = "@state"
ARGS = "@args"
KWARGS = "@kwargs"
"""What a step may want besides the parameters of the call, which go by their names.

`STATE` is a dictionary of this call, in which its steps hand things on: it costs less
than `CALL`, which says more.
"""


UNGUARDED, GUARDED, CHECKED, SHIELDED = "", "guarded", "checked", "shielded"
"""What keeps a step from firing by work of ours: nothing; the guard, which it takes; a
look at the guard; a look, and a mark of its own, where the step's own code may come
through this very trampoline."""


class Slot(list[bool]):
    """A list that is empty once its step is switched off.

    It stands among the constants of the app's code, and who hashes code (debugpy does,
    for each frame) hashes its constants.
    """

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType] - by identity


@frozen
class Step:
    """One hook in one phase of a call.

    `call` receives, by position, what `wants` lists. Whatever escapes it goes to
    `fault`, which returns None (or raises what must pass). A result that is not None
    goes to `check`, which returns it, or None to refuse it; where `check` is None the
    result is not even looked at, which is cheaper. `slot` is empty once the step is
    switched off; None where `call` knows that by itself. `guarded` steps hold the
    re-entrancy guard; `awaits` marks a coroutine function. `only` is the one object,
    the first argument, in whose calls the step runs.
    A fail step that is `closing` also runs when a generator or coroutine is closed.
    A step of phase `body` receives, behind what it wants, what a generator function has
    made, and returns what is iterated in its place; nothing contains it.
    """

    phase: PhaseName
    call: Callable[..., object]
    wants: tuple[str, ...]
    fault: Callable[[BaseException], None]
    check: Callable[[object], object] | None
    slot: Slot | None = None
    guarded: bool = False
    awaits: bool = False
    closing: bool = False
    only: object | None = None


class Driver(Protocol):
    """What the room above gives to every trampoline."""

    arguments: type
    """The class of outcomes that ask for other arguments."""

    unbound: AppValue
    """What a step gets for a local variable that has no value yet."""

    @staticmethod
    def give(outcome: object) -> AppValue:
        """Return what the outcome returns, or raise what it raises."""
        ...

    @staticmethod
    def rebind(
        outcome: object,
        names: tuple[str, ...],
        stars: tuple[str, str],
        args: tuple[AppValue, ...],
        kwargs: dict[str, AppValue],
    ) -> tuple[tuple[AppValue, ...], dict[str, AppValue]]:
        """The arguments of the call with those of the outcome in place.

        `names` are the parameters that `args` holds in front, `stars` the names of the
        `*` and `**` parameters, or "".
        """
        ...

    @staticmethod
    def call(
        site: str, started: int, names: tuple[str, ...], values: tuple[AppValue, ...]
    ) -> object:
        """The object that the phases of one call share."""
        ...


class Interception(Protocol):
    """One installed diversion."""

    mechanism: str
    why: str

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on. Raises CannotInterceptError."""
        ...

    def remove(self) -> bool:
        """Put the identical object back; False where somebody stands on top of us."""
        ...
