"""A property that a subclass inherits: the subclass gets one of its own.

Its accessors are copies that call those of the parent, so what else is hooked there
stays hooked. Getter, setter and deleter may be diverted one by one; the first puts the
property into the subclass, the last takes it out again. A `cached_property` is copied
in the same way and goes on to keep its value under the same name.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING

from remora.agent.interception.class_attribute import OWN, Place, copy_of
from remora.agent.interception.trampoline import exact
from remora.agent.targets import SiteKind
from remora.errors import CannotInterceptError

if TYPE_CHECKING:
    from remora.agent.interception.plan import AppValue, Driver, Step
    from remora.agent.targets import Site

WHY = (
    "inherited: the subclass gets a property of its own, so only its objects are "
    "reached"
)

_PARTS = {
    SiteKind.PROPERTY_GET: "fget",
    SiteKind.PROPERTY_SET: "fset",
    SiteKind.PROPERTY_DELETE: "fdel",
    SiteKind.CACHED_PROPERTY: "func",
}
"""Where a property keeps the function of each kind."""

KINDS = frozenset(_PARTS)


class OwnProperty:
    """The interception of one inherited accessor. Made by `intercept`."""

    __slots__ = ("_driver", "_function", "_own", "_part", "_site", "mechanism", "why")

    def __init__(self, site: Site, steps: tuple[Step, ...], driver: Driver) -> None:
        self.mechanism = OWN
        self.why = WHY
        self._driver = driver
        self._site = site.target
        self._part = _PARTS[site.kind]
        self._function: AppValue = getattr(site.holder, self._part)
        if self._function is not site.function:
            raise CannotInterceptError(
                f"{site.target} is inherited and no plain function: name it through "
                "the class that defines it"
            )
        self._own = _own_of(site, driver)
        self._own.users.add(self._part)
        self.update(steps)

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on."""
        self._own.copies[self._part].__code__ = exact(
            self._function.__code__, self._function, self._site, steps, self._driver
        )

    def remove(self) -> bool:
        """Take the property out with its last accessor."""
        if self._own.users == {self._part} and not self._own.take_out():
            return False
        self._own.users.discard(self._part)
        self.update(())
        return True


class _Own:
    """The property that stands in the subclass, and which of its copies are in use."""

    __slots__ = ("_key", "_place", "copies", "users")

    def __init__(self, site: Site, driver: Driver) -> None:
        self._key = id(site.owner), site.name
        self.users: set[str] = set()
        self.copies: dict[str, FunctionType] = {}
        for part in _PARTS.values():
            function = getattr(site.holder, part, None)
            if type(function) is FunctionType:
                copy = self.copies[part] = copy_of(function)
                copy.__code__ = exact(
                    function.__code__, function, site.target, (), driver
                )
        self._place = Place(site.owner, site.name, self._property(site))

    def _property(self, site: Site) -> AppValue:
        holder = site.holder
        if site.kind is SiteKind.CACHED_PROPERTY and hasattr(holder, "__dict__"):
            own: AppValue = object.__new__(type(holder))
            vars(own).update(vars(holder) | self.copies)
            return own
        if type(holder) is not property:
            raise CannotInterceptError(
                f"{site.target} is inherited and of a type of its own, "
                f"{type(holder).__name__}: name it through the class that defines it"
            )
        parts = [
            self.copies.get(part, getattr(holder, part))
            for part in ("fget", "fset", "fdel")
        ]
        return property(parts[0], parts[1], parts[2], holder.__doc__)

    def take_out(self) -> bool:
        """Delete the property; False where somebody has put another thing."""
        if not self._place.restore():
            return False
        del _own[self._key]
        return True


_own: dict[tuple[int, str], _Own] = {}
"""By class and name, for as long as they stand there."""


def _own_of(site: Site, driver: Driver) -> _Own:
    key = id(site.owner), site.name
    if key not in _own:
        _own[key] = _Own(site, driver)
    return _own[key]
