"""A `functools.singledispatchmethod`: the dispatcher in it is replaced by one of ours.

Each access of the method asks its dispatcher for the implementation that suits the
first argument, binds that and calls it. Ours asks the original, and hands out what
runs the steps around the implementation. So calls of every implementation are reached,
also of those registered later, by whatever class or object they come.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from remora.agent.interception.class_attribute import copy_of
from remora.agent.interception.plan import CHECKED
from remora.agent.interception.trampoline import Loose

if TYPE_CHECKING:
    from remora.agent.interception.plan import AppValue, Driver, Step
    from remora.agent.targets import Signature, Site

MECHANISM = "dispatcher of the method"
WHY = (
    "a singledispatchmethod: the dispatcher in it is replaced, which reaches the calls "
    "of every implementation, but for a method that was bound before"
)


class DispatchMethod:
    """The interception of one singledispatchmethod. Made by `intercept`."""

    __slots__ = (
        "_bound",
        "_dispatcher",
        "_function",
        "_holder",
        "_loose",
        "_ours",
        "mechanism",
        "why",
    )

    def __init__(
        self,
        site: Site,
        signature: Signature,
        steps: tuple[Step, ...],
        driver: Driver,
    ) -> None:
        self.mechanism = MECHANISM
        self.why = WHY
        self._holder = site.holder
        self._dispatcher = site.holder.dispatcher
        self._loose = Loose(_run, site.name, signature, site.target, driver, CHECKED)
        self._function = self._loose.function(steps)
        self._ours = copy_of(self._dispatcher)
        self._ours.dispatch = self._dispatch  # pyright: ignore[reportFunctionMemberAccess] - as functools does
        # 3.13 keeps what it made for an object, with the dispatcher of that time
        self._bound = vars(self._holder).get("_method_cache")
        self._holder.dispatcher = self._ours
        self._set_bound(None if self._bound is None else type(self._bound)())

    def _dispatch(self, cls: type) -> _Around:
        return _Around(self._dispatcher.dispatch(cls), self._function)

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on."""
        self._function.__code__ = self._loose.function(steps).__code__

    def remove(self) -> bool:
        """Put the dispatcher back; who kept the bound method runs no step."""
        if self._holder.dispatcher is self._ours:
            self._holder.dispatcher = self._dispatcher
            self._set_bound(self._bound)
        if self._holder.dispatcher is not self._dispatcher:
            return False
        self.update(())
        return True

    def _set_bound(self, methods: AppValue) -> None:
        if "_method_cache" in vars(self._holder):
            self._holder._method_cache = methods  # noqa: SLF001 - it has no other name


class _Around:
    """What a dispatch gives in place of an implementation: it binds like one."""

    __slots__ = ("_function", "_implementation")

    def __init__(self, implementation: AppValue, function: AppValue) -> None:
        self._implementation = implementation
        self._function = function

    def __get__(self, value: AppValue, owner: type | None = None) -> AppValue:
        return partial(self._function, self._implementation, owner, value)


def _run(
    implementation: AppValue,
    owner: type | None,
    value: AppValue,
    /,
    *args: AppValue,
    **kwargs: AppValue,
) -> AppValue:
    return implementation.__get__(value, owner)(*args, **kwargs)
