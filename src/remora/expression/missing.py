"""What an expression yields where there is nothing, or nothing that may be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from typing import Self


class Missing:
    """Nothing there, or not read: `reason` says which. It is false and is not None.

    There is one instance for each reason, so identity tells them apart.
    """

    __slots__ = ("reason",)

    reason: str

    def __new__(cls, reason: str) -> Self:
        """The one instance for this reason; the reasons are a closed set."""
        return _BY_REASON[reason]  # pyright: ignore[reportReturnType] - the class is not subclassed

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"{self!r} cannot be changed: {name!r} was to be {value!r}"
        )

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "missing" if self is MISSING else f"missing ({self.reason})"

    def __reduce__(self) -> tuple[type[Missing], tuple[str]]:
        return Missing, (self.reason,)


REASONS: dict[str, str] = {
    "absent": "there is no such name, attribute, key or index",
    "property": "reading it would run code of the app: a property or other descriptor",
    "method": "it is a method, not a value",
    "dynamic": "it is not stored, and the class makes attributes up in __getattr__",
    "type": "the operation is not defined for a value of this type",
    "size": "the value is beyond the bounds of the language",
    "arithmetic": "the result is not defined, such as a division by zero",
}
"""Every reason with its meaning; docs/expressions.md has the same table."""

_BY_REASON: dict[str, Missing] = {}
for _reason in REASONS:
    _missing = object.__new__(Missing)
    object.__setattr__(_missing, "reason", _reason)
    _BY_REASON[_reason] = _missing

MISSING = _BY_REASON["absent"]
PROPERTY = _BY_REASON["property"]
METHOD = _BY_REASON["method"]
DYNAMIC = _BY_REASON["dynamic"]
WRONG_TYPE = _BY_REASON["type"]
TOO_LARGE = _BY_REASON["size"]
UNDEFINED = _BY_REASON["arithmetic"]
