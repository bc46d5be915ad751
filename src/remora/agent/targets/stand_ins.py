"""Objects of ours that stand in a namespace or class in place of the app's own.

A mechanism that puts an object somewhere says so here, and resolving sees through it:
a second probe finds what the app wrote, and never a wrapper of the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remora.agent.targets import raw

if TYPE_CHECKING:
    from collections.abc import Iterator

AppValue = Any

_stand_ins: dict[int, tuple[AppValue, AppValue]] = {}


def stand_in(ours: AppValue, original: AppValue) -> None:
    """Let `ours` be known for `original`, or for nothing where that is ABSENT."""
    _stand_ins[id(ours)] = (ours, original)


def forget(ours: AppValue) -> None:
    """`ours` stands nowhere any more."""
    _stand_ins.pop(id(ours), None)


def original_of(value: AppValue) -> AppValue:
    """What the app has there: the value itself, unless it is one of ours."""
    found = _stand_ins.get(id(value))
    return value if found is None else found[1]


def look_up(cls: type, name: str) -> tuple[type, AppValue] | None:
    """Return the class that defines a name for `cls`, as if nothing of ours stood."""
    for part in raw.class_order(cls):
        value = raw.class_dictionary(part).get(name, raw.ABSENT)
        value = original_of(value)
        if value is not raw.ABSENT:
            return part, value
    return None


def items(dictionary: dict[str, AppValue]) -> Iterator[tuple[str, AppValue]]:
    """Yield what the app has in a namespace."""
    for name, value in raw.text_keys(dictionary):
        original = original_of(value)
        if original is not raw.ABSENT:
            yield name, original
