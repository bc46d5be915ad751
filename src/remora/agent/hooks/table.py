"""Which functions are diverted, and by which steps: one interception a function.

Whoever installs a step gets an `Installed` back; the table recompiles the function's
trampoline with the steps in order of their installation, and puts the original back
with the last one. All changes happen under one lock; calls never take it.
"""

from __future__ import annotations

from _weakref import ref
from contextlib import suppress
from typing import TYPE_CHECKING

from remora.agent.hooks.outcomes import Driver
from remora.agent.interception import (
    AppValue,
    Interception,
    Step,
    anchor_of,
    intercept,
    key_of,
    loosen,
)
from remora.agent.runtime import originals
from remora.errors import CannotInterceptError
from remora.values import replace

if TYPE_CHECKING:
    from _thread import RLock
    from collections.abc import Callable, Hashable

    from remora.agent.targets import Site


class Installed:
    """The steps that were put at one site together. `remove()` may be called twice."""

    __slots__ = ("_diverted", "_table", "steps")

    def __init__(
        self, table: HookTable, diverted: _Diverted, steps: tuple[Step, ...]
    ) -> None:
        self._table = table
        self._diverted: _Diverted | None = diverted
        self.steps = steps

    @property
    def mechanism(self) -> str:
        """The mechanism that diverts the site."""
        return self._diverted.interception.mechanism if self._diverted else "none"

    @property
    def why(self) -> str:
        """Why this mechanism."""
        return self._diverted.interception.why if self._diverted else "removed"

    @property
    def is_gone(self) -> bool:
        """Whether the app's object that was diverted has been collected."""
        return self._diverted is not None and self._diverted.is_gone

    def remove(self) -> bool:
        """Take the steps away.

        False where another tool stands on top of us: the steps are switched off, and
        the original code returns once that tool has left and `HookTable.settle` ran.
        """
        diverted, self._diverted = self._diverted, None
        if diverted is None:
            return True
        for step in self.steps:
            if step.slot is not None:
                step.slot.clear()
        return self._table.take_away(diverted, self)

    def loosen(self) -> None:
        """The app may be done with what is diverted: do not keep it alive."""
        if self._diverted is not None:
            self._table.loosen(self._diverted)

    def tighten(self) -> None:
        """The app is not done with it: make its calls cheap again."""
        if self._diverted is not None:
            self._table.tighten(self._diverted)

    def let_go(self) -> None:
        """Hold the site no longer."""
        self._diverted = None


class _Diverted:
    """One site with its interception and its steps in order."""

    __slots__ = ("anchor", "installed", "interception", "is_loose", "key")

    def __init__(self, key: Hashable, anchor: Callable[[], AppValue] | None) -> None:
        self.key = key
        self.anchor = anchor
        self.installed: list[Installed] = []
        self.interception: Interception
        self.is_loose = False

    @property
    def is_gone(self) -> bool:
        return self.anchor is not None and self.anchor() is None

    def steps(self) -> tuple[Step, ...]:
        return tuple(step for entry in self.installed for step in entry.steps)

    def update(self) -> None:
        self.interception.update(self.steps())
        if self.is_loose:
            loosen(self.interception, self.steps())


class HookTable:
    """All functions of this process that are diverted by us.

    What the app drops is not kept: its site is forgotten once it has been collected.
    """

    def __init__(self) -> None:
        self._lock = originals.allocate_rlock()
        self._diverted: dict[Hashable, _Diverted] = {}
        self._buried: list[_Diverted] = []
        self._gone: list[Hashable] = []
        self.forgotten = 0
        """How many sites have ended with their objects."""

    def install(self, site: Site, *steps: Step) -> Installed:
        """Let `steps` run in calls of a site. Raises CannotInterceptError."""
        if site.is_one_of_many:
            # the code is that of all objects of the class
            steps = tuple(replace(step, only=site.holder) for step in steps)
        with self._lock:
            self.settle()
            key = key_of(site)
            diverted = self._diverted.get(key)
            if diverted is None:
                diverted = _Diverted(key, self._watch(key, anchor_of(site)))
                entry = Installed(self, diverted, steps)
                diverted.installed.append(entry)
                diverted.interception = intercept(site, diverted.steps(), Driver())
                self._diverted[key] = diverted
                return entry
            entry = Installed(self, diverted, steps)
            diverted.installed.append(entry)
            try:
                diverted.update()
            except CannotInterceptError:
                diverted.installed.remove(entry)
                raise
            return entry

    def take_away(self, diverted: _Diverted, entry: Installed) -> bool:
        """Remove an entry's steps; False where the code could not be put back yet."""
        with self._lock:
            diverted.installed.remove(entry)
            if diverted.installed:
                try:
                    diverted.update()
                except CannotInterceptError:
                    return False
                return True
            if self._diverted.get(diverted.key) is diverted:
                del self._diverted[diverted.key]
            if diverted.interception.remove():
                return True
            self._buried.append(diverted)
            return False

    def settle(self) -> int:
        """Put back what stood under another tool; returns how many still do.

        Forgets what has been collected, too.
        """
        with self._lock:
            while self._gone:
                self._forget(self._gone.pop())
            if self._buried:
                self._buried = [d for d in self._buried if not d.interception.remove()]
            return len(self._buried)

    def loosen(self, diverted: _Diverted) -> None:
        """Keep nothing of the app alive for a site that no name may lead to."""
        with self._lock:
            if not diverted.is_loose:
                diverted.is_loose = True
                loosen(diverted.interception, diverted.steps())

    def tighten(self, diverted: _Diverted) -> None:
        """Undo `loosen`; where another tool is on top, it stays as it is."""
        with self._lock:
            if diverted.is_loose:
                diverted.is_loose = False
                with suppress(CannotInterceptError):
                    diverted.update()

    def _watch(
        self, key: Hashable, anchor: AppValue | None
    ) -> Callable[[], AppValue] | None:
        """A weak reference that tells when the object is collected.

        Told in any thread, in the middle of anything: only a note is taken.
        """
        if anchor is None:
            return None
        gone = self._gone
        return ref(anchor, lambda _: gone.append(key))

    def _forget(self, key: Hashable) -> None:
        """The object is gone, unless another one has its identity by now."""
        diverted = self._diverted.get(key)
        if diverted is not None and diverted.is_gone:
            del self._diverted[key]
            diverted.interception.remove()
            self.forgotten += 1

    def abandon(self) -> None:
        """Put everything back while the interpreter finalizes.

        A trampoline holds the app's function and so its module, through a code object
        that the collector cannot look into: what that module holds, a file with lines
        that were not flushed yet, would never be given back. No lock: whoever holds
        one now, a daemon thread, will not run again.
        """
        for diverted in (*self._diverted.values(), *self._buried):
            diverted.interception.remove()
            for entry in diverted.installed:
                entry.let_go()
        self._diverted.clear()
        self._buried.clear()

    @property
    def locks(self) -> tuple[RLock, ...]:
        """What to hold for a moment in which nothing changes, in this order."""
        return (self._lock,)

    def after_fork_in_child(self) -> None:
        """A lock held by a thread of the parent would never be released here."""
        self._lock = originals.allocate_rlock()

    def __len__(self) -> int:
        return len(self._diverted)
