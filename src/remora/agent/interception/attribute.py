"""Another object in place of the original, wherever the original is found by identity.

The fallback for C functions whose object cannot be redirected. The wrapper stands in
the module's namespace and in every other namespace of a module, and in classes there,
that holds the original; in classes as a static method, because a C function does not
bind and a function does. Modules of the agent keep the original. At removal all are
searched again: what was imported meanwhile has copied the wrapper.

Not reached: references in containers, instances, closures, default arguments.
"""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from remora.agent.interception import frame_readers
from remora.agent.interception.shield import shield_of
from remora.agent.interception.trampoline import Loose
from remora.agent.modules import is_our_own
from remora.agent.targets import forget, stand_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remora.agent.interception.plan import AppValue, Driver, Step
    from remora.agent.targets import Signature

MECHANISM = "attribute"
WHY = (
    "a C function that cannot be redirected ({}): names of modules and classes that "
    "hold it are reached, references in containers, instances and closures are not"
)

_namespace: Any = vars(ModuleType)["__dict__"].__get__
_class_dictionary: Any = vars(type)["__dict__"].__get__


class AttributeWrapper:
    """The interception of one callable by its names. Made by `intercept`."""

    __slots__ = ("_loose", "_original", "_wrapper", "mechanism", "why")

    def __init__(
        self,
        original: AppValue,
        site: str,
        signature: Signature,
        steps: tuple[Step, ...],
        driver: Driver,
        reason: str,
    ) -> None:
        self.mechanism = MECHANISM
        self.why = WHY.format(reason)
        self._original = original
        self._loose = Loose(
            frame_readers.shim(original, original),
            getattr(original, "__name__", type(original).__name__),
            signature,
            site,
            driver,
            shield_of(original),
        )
        self._wrapper = self._loose.function(steps)
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            value = getattr(original, name, None)
            if value is not None:
                setattr(self._wrapper, name, value)
        self._wrapper.__wrapped__ = original  # pyright: ignore[reportFunctionMemberAccess] - for inspect.signature
        stand_in(self._wrapper, original)
        _replace(original, self._wrapper)

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on."""
        self._wrapper.__code__ = self._loose.function(steps).__code__

    def remove(self) -> bool:
        """Put the original back everywhere; who kept the wrapper runs no step."""
        _replace(self._wrapper, self._original)
        forget(self._wrapper)
        self.update(())
        return True


def _replace(old: AppValue, new: AppValue) -> None:
    """Put one object in the place of another, in all modules but ours."""
    for name, module in list(sys.modules.items()):
        # by type: an object may claim to be a module, as cffi's libraries do
        if not issubclass(type(module), ModuleType) or is_our_own(name):
            continue
        namespace = _namespace(module)
        for key, value in list(namespace.items()):
            if value is old:
                namespace[key] = new
            elif type(value) is type and value.__module__ == name:
                _replace_in_class(value, old, new)


def _replace_in_class(cls: type, old: AppValue, new: AppValue) -> None:
    # only ours are functions; the original needs no static method around it, and is
    # bound as a function is if Cython compiled it
    is_loose = type(new) is FunctionType and not hasattr(type(old), "__get__")
    placed = staticmethod(new) if is_loose else new
    for key, value in _held(cls):
        if value is old or _is_static(value, old):
            try:
                setattr(cls, key, placed)
            except TypeError:
                return  # a class made in C, which nobody may change


def _held(cls: type) -> Iterator[tuple[str, AppValue]]:
    yield from list(_class_dictionary(cls).items())


def _is_static(value: AppValue, function: AppValue) -> bool:
    """Whether this is the static method that we made of our wrapper."""
    return (
        type(function) is FunctionType
        and type(value) is staticmethod
        and value.__func__ is function
    )
