"""Reads of the app's objects that never run the app's code.

Rules of this file. No `getattr`, `len`, `==`, `in`, `hash`, `isinstance` on a value
whose type is not known to be a builtin: each of them can end in a method of the app
(`isinstance` asks `__class__`). A type is asked through the slots of `type` itself,
because a metaclass may define the same names. `object.__getattribute__` is used only
after every class on the way was seen to have either nothing of that name or a value
that runs no code; unlike a look into `__dict__` it leaves the compact layout of
instances as it is. Types are compared by identity and kept by `id`, because hashing a
type runs its metaclass.

Readers that are fast because they remember classes are in readers.py.

Not excluded: an instance dictionary or a class dictionary holding keys that are no
plain texts, of the same hash as the name that is read.
"""

from __future__ import annotations

import collections
import sys
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

from remora.expression.missing import DYNAMIC, METHOD, MISSING, PROPERTY, Missing

if TYPE_CHECKING:
    from collections.abc import Callable

AppValue = Any

_ABSENT = object()
read_generic = object.__getattribute__
type_dictionary: Callable[[type], MappingProxyType[str, AppValue]]
type_dictionary = type.__dict__["__dict__"].__get__
type_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
type_flags: Callable[[type], int] = type.__dict__["__flags__"].__get__
_type_module: Callable[[type], object] = type.__dict__["__module__"].__get__
_type_qualname: Callable[[type], str] = type.__dict__["__qualname__"].__get__

IMMUTABLE_TYPE = 1 << 8
"""Py_TPFLAGS_IMMUTABLETYPE: the dictionary of such a type never changes."""

_METHOD_TYPES = frozenset(
    map(
        id,
        (
            FunctionType,
            BuiltinFunctionType,
            MethodDescriptorType,
            WrapperDescriptorType,
            ClassMethodDescriptorType,
            classmethod,
            staticmethod,
        ),
    )
)
_STORED_TYPES = frozenset(
    map(
        id,
        (
            MemberDescriptorType,
            collections._tuplegetter,  # pyright: ignore[reportAttributeAccessIssue] # noqa: SLF001
        ),
    )
)
"""Descriptors that hand out what is stored: slots, and fields of named tuples."""

_PLAIN_GETTERS = frozenset(map(id, (BaseException, int, float, complex)))
"""Builtin types whose computed attributes (`args`, `real`) run nothing of the app."""


def type_name(cls: type) -> str:
    """`module.Class`, and the bare name for builtins, without asking the metaclass."""
    qualname = _type_qualname(cls)
    try:
        module = _type_module(cls)
    except AttributeError:
        return qualname
    if type(module) is not str or module == "builtins":
        return qualname
    return f"{module}.{qualname}"


def find_in_type(cls: type, name: str) -> AppValue:
    """The raw class-level value of that name, or MISSING. A missing is never stored."""
    for owner in type_mro(cls):
        value = type_dictionary(owner).get(name, _ABSENT)
        if value is not _ABSENT:
            return value
    return MISSING


def instance_dictionary(obj: AppValue) -> dict[str, AppValue] | None:
    """The object's own dictionary, or None where it has none or hides it."""
    descriptor = find_in_type(type(obj), "__dict__")
    if type(descriptor) in (GetSetDescriptorType, MemberDescriptorType):
        dictionary = descriptor.__get__(obj)
        return dictionary if type(dictionary) is dict else None
    return None


def read_attribute(obj: AppValue, name: str) -> AppValue:
    """The attribute as it is stored, or a Missing that says why it was not read."""
    cls = type(obj)
    if cls is Missing:
        return obj
    if issubclass(cls, type):
        return _read_class_attribute(obj, name)
    value = find_in_type(cls, name)
    if value is MISSING or is_stored(value):
        try:
            return read_generic(obj, name)
        except AttributeError:
            return absent(obj)
    if _is_enum_property(name, value):
        return read_attribute(obj, f"_{name}_")
    if not _defines(value, "__set__") and not _defines(value, "__delete__"):
        own = instance_dictionary(obj)
        if own is not None and name in own:
            return own[name]
        if id(type(value)) in _METHOD_TYPES:
            return METHOD
    return PROPERTY


def _read_class_attribute(cls: type, name: str) -> AppValue:
    value = find_in_type(cls, name)
    if value is MISSING or not _defines(value, "__get__"):
        return value
    return METHOD if id(type(value)) in _METHOD_TYPES else PROPERTY


def is_stored(value: AppValue) -> bool:
    """Whether a class-level value may be met by the plain read: no code of the app."""
    kind = type(value)
    if kind is GetSetDescriptorType:
        owner = value.__objclass__
        return id(owner) in _PLAIN_GETTERS or (
            bool(type_flags(owner) & IMMUTABLE_TYPE)
            and _type_module(owner) == "datetime"
        )
    return id(kind) in _STORED_TYPES or not _defines(value, "__get__")


def _defines(value: AppValue, name: str) -> bool:
    return find_in_type(type(value), name) is not MISSING


def _is_enum_property(name: str, value: AppValue) -> bool:
    """`name` and `value` of an enum member that its class did not override."""
    if name not in {"name", "value"}:
        return False
    enum = sys.modules.get("enum")
    return enum is not None and value is type_dictionary(enum.Enum).get(name)


def absent(obj: AppValue) -> Missing:
    """Why an attribute is missing that is stored nowhere."""
    return DYNAMIC if _defines(obj, "__getattr__") else MISSING
