"""Another object in a class: methods of C types, and what a subclass inherits.

The wrapper stands under the name in the dictionary of the class; at removal the
identical object returns, or the name goes where the class had none of its own. Identity
of the attribute differs meanwhile, and a C method that was bound before is not reached.
"""

from __future__ import annotations

from types import ClassMethodDescriptorType, FunctionType, WrapperDescriptorType
from typing import TYPE_CHECKING, Any

from remora.agent.interception.plan import SHIELDED
from remora.agent.interception.trampoline import Loose, exact
from remora.agent.runtime import type_object
from remora.agent.targets import ABSENT, forget, stand_in
from remora.errors import CannotInterceptError

if TYPE_CHECKING:
    from remora.agent.interception.plan import AppValue, Driver, Step
    from remora.agent.targets import Signature, Site

C_TYPE = "type dictionary"
C_TYPE_WHY = (
    "a method of a C type: it is replaced in the type, which reaches all objects and "
    "subclasses, and not a method that was bound before"
)
OWN = "own attribute"
OWN_WHY = (
    "inherited: the subclass gets an attribute of its own, so only its calls are "
    "reached, and not a method that was bound before"
)

_dictionary: Any = vars(type)["__dict__"].__get__


class Place:
    """A name in a class, with what stood there."""

    __slots__ = ("_before", "_cls", "_name", "_placed", "_put")

    def __init__(self, cls: type, name: str, placed: AppValue) -> None:
        self._cls = cls
        self._name = name
        self._placed = placed
        self._before = _dictionary(cls).get(name, ABSENT)
        self._put = _put_for(cls, name, self._before)
        stand_in(placed, self._before)
        self._put(cls, name, placed)

    def restore(self) -> bool:
        """Put back what stood there; False where somebody has put another thing."""
        if _dictionary(self._cls).get(self._name, ABSENT) is self._placed:
            if self._before is ABSENT:
                type_object.take_out(self._cls, self._name)
            else:
                self._put(self._cls, self._name, self._before)
        elif _dictionary(self._cls).get(self._name, ABSENT) is not self._before:
            return False
        forget(self._placed)
        return True


class ClassWrapper:
    """A wrapper in a class around a callable of any kind. Made by `intercept`."""

    __slots__ = ("_loose", "_place", "_wrapper", "mechanism", "why")

    def __init__(
        self, site: Site, signature: Signature, steps: tuple[Step, ...], driver: Driver
    ) -> None:
        is_own = site.own
        self.mechanism, self.why = (C_TYPE, C_TYPE_WHY) if is_own else (OWN, OWN_WHY)
        holder = site.holder
        around = type(holder) if type(holder) in {staticmethod, classmethod} else None
        original = holder.__func__ if around is not None else holder
        if type(holder) is ClassMethodDescriptorType:
            around = classmethod
        self._loose = Loose(
            original, site.name, signature, site.target, driver, SHIELDED
        )
        self._wrapper = self._loose.function(steps)
        _describe(self._wrapper, original)
        placed = self._wrapper if around is None else around(self._wrapper)
        self._place = Place(site.owner, site.name, placed)

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on."""
        self._wrapper.__code__ = self._loose.function(steps).__code__

    def remove(self) -> bool:
        """Put the identical object back."""
        if not self._place.restore():
            return False
        self.update(())
        return True


class OwnCopy:
    """A copy of an inherited Python function that calls it. Made by `intercept`.

    It calls the function itself, and no clone: what else is hooked there stays hooked.
    """

    __slots__ = (
        "_code",
        "_copy",
        "_driver",
        "_function",
        "_place",
        "_site",
        "mechanism",
        "why",
    )

    def __init__(self, site: Site, steps: tuple[Step, ...], driver: Driver) -> None:
        self.mechanism = OWN
        self.why = OWN_WHY
        self._driver = driver
        self._site = site.target
        self._function: FunctionType = site.function
        # a trampoline of ours on the parent has the same parameters
        self._code = self._function.__code__
        self._copy = copy_of(self._function)
        self.update(steps)
        holder = site.holder
        is_around = type(holder) in {staticmethod, classmethod}
        placed = type(holder)(self._copy) if is_around else self._copy
        self._place = Place(site.owner, site.name, placed)

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on."""
        self._copy.__code__ = exact(
            self._code, self._function, self._site, steps, self._driver
        )

    def remove(self) -> bool:
        """Delete the attribute; who kept the copy runs no step."""
        if not self._place.restore():
            return False
        self.update(())
        return True


def copy_of(function: FunctionType) -> FunctionType:
    """A function object of its own with all that the other one has."""
    copy = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__qualname__ = function.__qualname__
    copy.__module__ = function.__module__
    copy.__doc__ = function.__doc__
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__annotations__ = function.__annotations__
    copy.__dict__.update(function.__dict__)
    return copy


def _describe(wrapper: FunctionType, original: AppValue) -> None:
    for name in ("__name__", "__qualname__", "__doc__"):
        value = getattr(original, name, None)
        if value is not None:
            setattr(wrapper, name, value)
    home = getattr(original, "__objclass__", None)
    wrapper.__module__ = getattr(home, "__module__", None) or __name__
    wrapper.__wrapped__ = original  # pyright: ignore[reportFunctionMemberAccess] - for inspect.signature


def _put_for(cls: type, name: str, before: AppValue) -> AppValue:
    """How a name of this class is set. Raises CannotInterceptError."""
    if not type_object.is_immutable(cls):
        return type_object.put
    said = f"{cls.__module__}:{cls.__qualname__}.{name}"
    if before is ABSENT:
        raise CannotInterceptError(
            f"{said} is inherited by a C type: name it through the type that defines it"
        )
    if not type_object.CAN_CHANGE:
        raise CannotInterceptError(
            f"{said} is of an immutable type, which can only be changed in memory, and "
            "the self-test for that did not pass in this process"
        )
    if type(before) is not WrapperDescriptorType:
        return type_object.put_in_dictionary
    if not type_object.is_made_at_run_time(cls):
        raise CannotInterceptError(
            f"{said} is a slot of a static C type: the interpreter calls it past every "
            "name, so it cannot be diverted"
            + (f": name the class, {said[:-9]}" if name == "__init__" else "")
        )
    return type_object.put_in_slot
