"""A callable object of C that is called through an address in itself.

Functions that Cython compiled are such objects, and `operator.itemgetter` and its like.
The address is replaced by one that leads to a trampoline; the original runs through a
builtin that calls the C function at the old address for the same object. The object
stays what it is, so every reference to it is reached, as are methods bound before.

Not reached: calls within compiled code that go to the C function itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.interception.plan import CHECKED
from remora.agent.interception.trampoline import Loose
from remora.agent.runtime import builtin_object, type_object, vector_call

if TYPE_CHECKING:
    from remora.agent.interception.plan import AppValue, Driver, Step
    from remora.agent.targets import Signature, Site

MECHANISM = "address of the object"
WHY = (
    "compiled code: the object is called through another address, so every reference "
    "is reached, and no call from within compiled code that goes past the object"
)


class VectorObject:
    """The interception of one callable object of C. Made by `intercept`."""

    __slots__ = (
        "_before",
        "_entry",
        "_function",
        "_loose",
        "_object",
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
        self._object = site.holder
        self._before = vector_call.read(self._object)
        original = builtin_object.caller_of(self._before, self._object)
        self._loose = Loose(
            original, site.name, signature, site.target, driver, CHECKED
        )
        self._function = self._loose.function(steps)
        self._entry = vector_call.take(self._function)
        vector_call.write(self._object, self._entry.address)

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on."""
        self._function.__code__ = self._loose.function(steps).__code__

    def remove(self) -> bool:
        """Put the address back; False where another tool has put one of its own."""
        if vector_call.read(self._object) != self._entry.address:
            return False
        vector_call.write(self._object, self._before)
        vector_call.give_back(self._entry)
        return True


def why_not(value: AppValue) -> str:
    """Why this object cannot be diverted so, or ""."""
    if vector_call.WHY_NOT:
        return vector_call.WHY_NOT
    if not builtin_object.HAS_LAYOUT:
        return "its memory is not laid out as known"
    # an object made by a class statement has no such address, whatever its type says
    if not type_object.takes_vector_calls(type(value)) or not vector_call.read(value):
        return f"a {type(value).__name__} is called through its type alone"
    return ""
