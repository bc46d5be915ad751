"""Construction: the calls of one class, from its arguments to the instance.

The class is called through another address, which leads to a trampoline; that runs the
steps and then what a call of the class always ran: `__new__` and `__init__`, by `type`.
Nothing that Python shows of the class changes. Calls of a subclass are calls of another
object, and so is `Class.__new__(Class)`, by which pickle and copy make instances.

Known difference: a frame between the caller and `__init__`. Calls of `str`, `tuple` and
the like with one argument pass by where the interpreter has specialised them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.interception.plan import SHIELDED
from remora.agent.interception.trampoline import Loose
from remora.agent.runtime import vector_call
from remora.errors import CannotInterceptError

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.agent.interception.plan import AppValue, Driver, Step
    from remora.agent.targets import Signature, Site

MECHANISM = "address of the class"
WHY = (
    "construction: the class is called through another address, so every call of "
    "exactly this class is reached, and no call of a subclass"
)

_REFUSED: tuple[tuple[type, str], ...] = (
    (type, "the interpreter and remora itself ask it for the type of every object"),
    (super, "it reads the frame of its caller, and a probe would stand between"),
    (MemoryError, "there may be no memory to run a probe in"),
    (RecursionError, "there may be no room on the stack to run a probe in"),
)

_bind: Callable[[type], Callable[..., AppValue]] = vars(type)["__call__"].__get__


class Construction:
    """The interception of the calls of one class. Made by `intercept`."""

    __slots__ = (
        "_before",
        "_class",
        "_entry",
        "_function",
        "_loose",
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
        cls: type = site.holder
        reason = why_not(cls)
        if reason:
            raise CannotInterceptError(
                f"the construction of {site.target} cannot be diverted: {reason}"
            )
        self.mechanism = MECHANISM
        self.why = WHY
        self._class = cls
        self._loose = Loose(
            _original(cls), site.name, signature, site.target, driver, SHIELDED
        )
        self._function = self._loose.function(steps)
        self._before = vector_call.read(cls)
        self._entry = vector_call.take(self._function)
        vector_call.lead_class(cls, self._entry.address)

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on."""
        self._function.__code__ = self._loose.function(steps).__code__

    def remove(self) -> bool:
        """Put the address back; False where another tool has put one of its own."""
        if vector_call.read(self._class) != self._entry.address:
            return False
        vector_call.restore_class(self._class, self._before)
        vector_call.give_back(self._entry)
        return True


def why_not(cls: type) -> str:
    """Why calls of this class cannot be diverted, or ""."""
    for refused, reason in _REFUSED:
        if cls is refused:
            return reason
    if vector_call.WHY_NOT:
        return f"{vector_call.WHY_NOT}: name '__init__' or '__new__' of a Python class"
    if vector_call.field_of(cls) - id(cls) != vector_call.field_of(type) - id(type):
        return f"its metaclass {type(cls).__name__} calls it in a way of its own"
    return ""


def _original(cls: type) -> Callable[..., AppValue]:
    """What a call of the class runs, past the address in it."""
    metaclass = type(cls)
    if metaclass is type:
        return _bind(cls)

    def construct(*args: AppValue, **kwargs: AppValue) -> AppValue:
        # looked up at each call: the metaclass may get a `__call__` of its own
        return metaclass.__call__(cls, *args, **kwargs)

    return construct
