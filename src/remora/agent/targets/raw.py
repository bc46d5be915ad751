"""Reads of the app's objects that run none of its code.

No `getattr`, no `isinstance` (it asks for `__class__`), no comparison: classes are read
through the descriptors of `type` itself, so a metaclass sees nothing of it, and of
descriptors only those written in C are ever called.
"""

from __future__ import annotations

from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any

from remora.expression import type_dictionary, type_mro

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AppValue = Any

ABSENT: AppValue = object()
"""Nothing is there; None is a value."""

_TYPE: dict[str, Any] = dict(type.__dict__)
_get_qualname: Callable[[type], str] = _TYPE["__qualname__"].__get__
_get_flags: Callable[[type], int] = _TYPE["__flags__"].__get__

_IS_HEAP_TYPE = 1 << 9
"""Py_TPFLAGS_HEAPTYPE: made at run time, by a class statement or by a C module."""
_IS_IMMUTABLE = 1 << 8
"""Py_TPFLAGS_IMMUTABLETYPE: never set on what a class statement makes."""


def is_class(value: AppValue) -> bool:
    """Whether the value is a class."""
    return issubclass(type(value), type)


def is_a(value: AppValue, *classes: type) -> bool:
    """Whether the value's type is one of these, whatever it says of itself."""
    return issubclass(type(value), classes)


def class_dictionary(cls: type) -> MappingProxyType[str, AppValue]:
    """Return what the class itself defines."""
    _make_ready(cls)
    return type_dictionary(cls)


def class_order(cls: type) -> tuple[type, ...]:
    """Return the method resolution order."""
    _make_ready(cls)
    return type_mro(cls)


def _make_ready(cls: type) -> None:
    """A class of C may have neither dictionary nor order before somebody uses it.

    CPython completes such a class at the first look at one of its attributes
    (type_getattro in Objects/typeobject.c); `_socket.socket` of 3.11 is one.
    """
    if type_dictionary(cls) is None:  # pyright: ignore[reportUnnecessaryComparison] - just then
        type.__getattribute__(cls, "__mro__")


def class_qualname(cls: type) -> str:
    """Return the qualified name of a class."""
    return _get_qualname(cls)


def class_module(cls: type) -> str:
    """Return the name of the module that a class says it is defined in, or ""."""
    module = class_dictionary(cls).get("__module__")
    if type(module) is str:
        return module
    name = _TYPE["__module__"].__get__(cls) if not is_python_class(cls) else ""
    return name if type(name) is str else ""


def look_up(cls: type, name: str) -> tuple[type, AppValue] | None:
    """Return the class in the resolution order that defines a name, and its value."""
    for part in class_order(cls):
        value = class_dictionary(part).get(name, ABSENT)
        if value is not ABSENT:
            return part, value
    return None


def type_name(value: AppValue) -> str:
    """Return the name of the value's type, for messages."""
    return class_qualname(type(value))


def instance_dictionary(value: AppValue) -> dict[str, AppValue] | None:
    """Return the object's own attributes; None where they are not plainly readable."""
    found = look_up(type(value), "__dict__")
    if found is None or type(found[1]) is not GetSetDescriptorType:
        return None
    try:
        dictionary = found[1].__get__(value)
    except (AttributeError, TypeError, ValueError):
        # A proxy in C that has nothing behind it yet.
        return None
    return dictionary if type(dictionary) is dict else None


def own_attribute(value: AppValue, name: str) -> AppValue:
    """Return an attribute from a slot or the object's own dictionary, or ABSENT."""
    if type(value) is FunctionType:
        # Safe: nobody can subclass it. And a read leaves the dictionary uncreated.
        return getattr(value, name, ABSENT)
    found = look_up(type(value), name)
    if found is not None and is_a(found[1], MemberDescriptorType, GetSetDescriptorType):
        try:
            return found[1].__get__(value)
        except (AttributeError, TypeError, ValueError):
            return ABSENT
    dictionary = instance_dictionary(value)
    return ABSENT if dictionary is None else dictionary.get(name, ABSENT)


def own_values(value: AppValue) -> Iterator[tuple[str, AppValue]]:
    """Yield what an object keeps in its slots and its own dictionary, by name."""
    for cls in class_order(type(value)):
        for name, member in class_dictionary(cls).items():
            if type(member) is MemberDescriptorType and type(name) is str:
                found = own_attribute(value, name)
                if found is not ABSENT:
                    yield name, found
    yield from text_keys(instance_dictionary(value) or {})


_C_METHODS = (
    ClassMethodDescriptorType,
    GetSetDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
)


def is_python_class(cls: type) -> bool:
    """Whether a class statement made this class, judged by what it defines.

    Both kinds may be made at run time; only C puts descriptors of its own into a class.
    """
    flags = _get_flags(cls)
    if not flags & _IS_HEAP_TYPE or flags & _IS_IMMUTABLE:
        return False
    for name, value in class_dictionary(cls).items():
        if name in {"__dict__", "__weakref__"}:
            continue
        if type(value) in _C_METHODS and value.__objclass__ is cls:
            return False
        if type(value) is BuiltinFunctionType and value.__self__ is cls:
            return False
    return True


def text_keys(dictionary: dict[str, AppValue]) -> Iterator[tuple[str, AppValue]]:
    """Yield a dictionary's items as they are now, less keys that are no text."""
    for key, value in dict.copy(dictionary).items():
        if type(key) is str:
            yield key, value
