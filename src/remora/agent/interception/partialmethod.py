"""A `functools.partialmethod`: the function inside it is replaced by one of ours.

Ours has the parameters of the original and calls it. Only the calls through this
partialmethod are reached, by whatever class or object they come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.interception.class_attribute import copy_of
from remora.agent.interception.trampoline import exact

if TYPE_CHECKING:
    from types import FunctionType

    from remora.agent.interception.plan import AppValue, Driver, Step

MECHANISM = "function of the partialmethod"
WHY = "a partialmethod: the function in it is replaced, which reaches all its calls"


class PartialMethod:
    """The interception of one partialmethod. Made by `intercept`."""

    __slots__ = (
        "_copy",
        "_driver",
        "_function",
        "_holder",
        "_site",
        "mechanism",
        "why",
    )

    def __init__(
        self,
        holder: AppValue,
        function: FunctionType,
        site: str,
        steps: tuple[Step, ...],
        driver: Driver,
    ) -> None:
        self.mechanism = MECHANISM
        self.why = WHY
        self._holder = holder
        self._function = function
        self._site = site
        self._driver = driver
        self._copy = copy_of(function)
        self.update(steps)
        holder.func = self._copy

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on."""
        self._copy.__code__ = exact(
            self._function.__code__, self._function, self._site, steps, self._driver
        )

    def remove(self) -> bool:
        """Put the function back; who kept the bound method runs no step."""
        if self._holder.func is self._copy:
            self._holder.func = self._function
        if self._holder.func is not self._function:
            return False
        self.update(())
        return True
