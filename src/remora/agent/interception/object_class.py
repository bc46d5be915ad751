"""One callable object gets a class of its own: every reference to it is reached.

For `lru_cache` and `partial` objects. The class is a subclass with a `__call__` of ours
and the same name; `__class__` says what it always said, and pickling and copying go by
the original class. Removal makes the object what it was.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from remora.agent.interception.plan import CHECKED
from remora.agent.interception.trampoline import Loose
from remora.agent.runtime import object_type, type_object
from remora.errors import CannotInterceptError

if TYPE_CHECKING:
    from types import FunctionType

    from remora.agent.interception.plan import AppValue, Driver, Step
    from remora.agent.targets import Signature

MECHANISM = "class of the object"
WHY = (
    "a callable object: it alone gets a class with a call of ours, so every reference "
    "to it is reached"
)


class ObjectClass:
    """The interception of one callable object. Made by `intercept`."""

    __slots__ = ("_class", "_loose", "_object", "_original", "mechanism", "why")

    def __init__(
        self,
        value: AppValue,
        site: str,
        signature: Signature,
        steps: tuple[Step, ...],
        driver: Driver,
    ) -> None:
        if not (object_type.CAN_SET and type_object.CAN_CHANGE):
            raise CannotInterceptError(
                f"{site} is an object of type {type(value).__name__}, whose class can "
                "only be changed in memory, and the self-test for that did not pass in "
                "this process: name its function with '.__wrapped__' or by its own name"
            )
        self.mechanism = MECHANISM
        self.why = WHY
        self._object = value
        self._original = type(value)
        # The first argument is the object, which the original takes as `self`.
        self._loose = Loose(
            self._original.__call__,
            "__call__",
            signature,
            site,
            driver,
            CHECKED,
        )
        self._class = _subclass(self._original, self._call(steps))
        if self._class.__basicsize__ != self._original.__basicsize__:
            raise CannotInterceptError(
                f"{site} is an object of type {self._original.__name__}, of which no "
                "subclass has the same layout"
            )
        object_type.set_type(value, self._class)

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on."""
        type.__setattr__(self._class, "__call__", self._call(steps))

    def remove(self) -> bool:
        """Give the object its class back; False where it has got another one."""
        if type(self._object) is self._class:
            object_type.set_type(self._object, self._original)
        return type(self._object) is self._original

    def _call(self, steps: tuple[Step, ...]) -> FunctionType:
        return self._loose.function(steps)


def _subclass(original: type, call: FunctionType) -> type:
    namespace: dict[str, object] = {
        "__slots__": (),
        "__call__": call,
        "__class__": property(lambda _: original),
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
        "__doc__": original.__doc__,
    }
    if issubclass(original, partial):
        namespace["__reduce__"] = _reduce_partial
    return type_object.subclass(original, namespace)


def _reduce_partial(value: AppValue) -> AppValue:
    """How a partial is pickled and copied, as an object of the original class."""
    reduced: AppValue = partial.__reduce__(value)
    return (reduced[0].__base__, *reduced[1:])
