"""Objects that are named rather than looked into, and where objects have fields."""

from __future__ import annotations

import sys
from types import (
    BuiltinFunctionType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any

from remora.expression import (
    Missing,
    instance_dictionary,
    render_text,
    type_dictionary,
    type_mro,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

AppValue = Any

NAME_LIMIT = 200
"""Characters of a type's or a function's name; generated ones can be of any length."""


def describe(value: AppValue, cls: type) -> dict[str, Any] | None:
    """The form of a class, function, enum member, date, …; None for other objects."""
    if cls is Missing:
        return {"$": "missing", "reason": value.reason}
    if issubclass(cls, type):
        return {"$": "type", "name": type_name(value)[:NAME_LIMIT]}
    if cls is FunctionType or cls is BuiltinFunctionType or cls is MethodType:
        return {"$": "function", "name": _function_name(value)[:NAME_LIMIT]}
    if issubclass(cls, ModuleType):
        return {"$": "object", "type": type_name(cls)[:NAME_LIMIT], "cut": "opaque"}
    if is_enum(cls):
        return describe_enum(value, cls)
    text = _stdlib_text(value, cls)
    if text is None:
        return None
    return {
        "$": "object",
        "type": type_name(cls),
        "fields": {"text": text},
        "length": 1,
    }


def is_enum(cls: type) -> bool:
    """Whether instances of the class are members of an enumeration."""
    enum = sys.modules.get("enum")
    return enum is not None and issubclass(type(cls), enum.EnumMeta)


def describe_enum(value: AppValue, cls: type) -> dict[str, Any]:
    """An enumeration's member; a nameless combination of flags shows its number."""
    own = instance_dictionary(value) or {}
    name = own.get("_name_")
    if type(name) is not str:
        stored = own.get("_value_")
        name = render_text(stored) if type(stored) in (int, str) else "?"
    return {"$": "enum", "type": type_name(cls)[:NAME_LIMIT], "name": name[:NAME_LIMIT]}


def _function_name(value: AppValue) -> str:
    """`module:qualname`. These types are exact, so their attributes are C's own."""
    if type(value) is MethodType:
        value = value.__func__
        if type(value) is not FunctionType:
            return "?"
    module = value.__module__
    name = value.__qualname__ if type(value) is FunctionType else value.__name__
    return f"{module if type(module) is str else '?'}:{name}"


def _stdlib_text(value: AppValue, cls: type) -> str | None:
    """Dates, times and UUIDs, whose fields say little to a reader."""
    dates = sys.modules.get("_datetime")
    if dates is not None:
        if cls is dates.datetime:
            zone = value.tzinfo
            # A zone of the app would be asked for its offset: it is left out.
            if zone is not None and type(zone) is not dates.timezone:
                local = value.replace(tzinfo=None).isoformat()
                return f"{local} ({type_name(type(zone))})"
            return value.isoformat()
        if cls is dates.date or (cls is dates.time and value.tzinfo is None):
            return value.isoformat()
        if cls is dates.timedelta:
            return str(value)
    uuid = sys.modules.get("uuid")
    if uuid is not None and cls is getattr(uuid, "UUID", None):
        for name, descriptor in slots_of(cls):
            if name == "int":
                number = descriptor.__get__(value)
                if type(number) is int:
                    digits = f"{number:032x}"
                    return "-".join(
                        (
                            digits[:8],
                            digits[8:12],
                            digits[12:16],
                            digits[16:20],
                            digits[20:],
                        )
                    )
    return None


def slots_of(cls: type) -> Iterator[tuple[str, MemberDescriptorType]]:
    """The slots that Python classes declared, with the descriptors that read them."""
    for owner in type_mro(cls):
        dictionary = type_dictionary(owner)
        if "__slots__" not in dictionary:
            continue
        for name, descriptor in list(dictionary.items()):
            if type(descriptor) is MemberDescriptorType and type(name) is str:
                yield name, descriptor
