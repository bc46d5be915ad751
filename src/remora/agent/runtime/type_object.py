"""Types that nobody may change: their dictionary, and the flag that forbids it.

Types made in C refuse `setattr`. A method of theirs can be replaced in the type's
dictionary, if the type then forgets what it has cached; a slot such as `__init__` only
through `setattr`, which sets the C field too, while the flag is off. The place of the
flag is found in this very process, and used only after a self-test there.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from remora.agent.config import self_tests_must_fail
from remora.agent.runtime import facts

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    import ctypes
except ImportError:
    ctypes = None

AppValue = Any

_IMMUTABLE, _HEAP, _BASE, _VECTOR = 1 << 8, 1 << 9, 1 << 10, 1 << 11
"""Py_TPFLAGS_IMMUTABLETYPE, Py_TPFLAGS_HEAPTYPE, Py_TPFLAGS_BASETYPE,
Py_TPFLAGS_HAVE_VECTORCALL"""
_WORD = 8

_flags: Callable[[type], int] = vars(type)["__flags__"].__get__
_view: Callable[[type], AppValue] = vars(type)["__dict__"].__get__
_set = type.__setattr__
_delete = type.__delattr__


def is_immutable(cls: type) -> bool:
    """Whether `setattr` is refused."""
    return bool(_flags(cls) & _IMMUTABLE) or not _flags(cls) & _HEAP


def is_made_at_run_time(cls: type) -> bool:
    """Whether it is a heap type; the others are static data of a C program."""
    return bool(_flags(cls) & _HEAP)


def put_in_dictionary(cls: type, name: str, value: AppValue) -> None:
    """Set a name of an immutable type that is no slot. Only where CAN_CHANGE."""
    _dictionary(cls)[name] = value
    forget_caches(cls)


def put_in_slot(cls: type, name: str, value: AppValue) -> None:
    """Set a slot of an immutable heap type. Only where CAN_CHANGE."""
    assert ctypes is not None
    assert _offset
    field = ctypes.c_ulong.from_address(id(cls) + _offset)
    field.value &= ~_IMMUTABLE
    try:
        _set(cls, name, value)
    finally:
        field.value |= _IMMUTABLE


def subclass(cls: type, namespace: dict[str, AppValue]) -> type:
    """A subclass of the same name, also of a type that forbids it. Only CAN_CHANGE."""
    assert ctypes is not None
    assert _offset
    if _flags(cls) & _BASE:
        return type(cls.__name__, (cls,), namespace)
    field = ctypes.c_ulong.from_address(id(cls) + _offset)
    field.value |= _BASE
    try:
        return type(cls.__name__, (cls,), namespace)
    finally:
        field.value &= ~_BASE


def takes_vector_calls(cls: type) -> bool:
    """Whether objects of this type are called through an address in themselves."""
    return bool(_flags(cls) & _VECTOR)


def set_vector_calls(cls: type, *, taken: bool) -> None:
    """Let objects of this type be called so, or not. Only where CAN_CHANGE."""
    assert ctypes is not None
    assert _offset
    field = ctypes.c_ulong.from_address(id(cls) + _offset)
    field.value = field.value | _VECTOR if taken else field.value & ~_VECTOR


def forget_caches(cls: type) -> None:
    """Let the type, and calls that are specialised for it, forget what they cached."""
    assert ctypes is not None
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(cls))


def put(cls: type, name: str, value: AppValue) -> None:
    """Set a name of a class that allows it, past its metaclass."""
    _set(cls, name, value)


def take_out(cls: type, name: str) -> None:
    """Delete a name of a class that allows it, past its metaclass."""
    _delete(cls, name)


def _dictionary(cls: type) -> dict[str, AppValue]:
    """The dictionary behind the read-only view."""
    view = _view(cls)
    return next(found for found in gc.get_referents(view) if type(found) is dict)


def _find_offset() -> int:
    """Where the flags of a type lie, agreed on by several; 0 where not found."""
    assert ctypes is not None

    class Sample:
        """A heap type."""

    for offset in range(10 * _WORD, 40 * _WORD, _WORD):
        if all(
            ctypes.c_ulong.from_address(id(cls) + offset).value == _flags(cls)
            for cls in (Sample, int, type, dict, BaseException)
        ):
            return offset
    return 0


def _self_test() -> bool:
    """Do with a class of our own all that is done with others."""

    class Sample:
        """Becomes immutable for the test."""

        def __init__(self) -> None:
            self.made = "before"

        def method(self) -> str:
            return "before"

    def replacement(self: Sample) -> str:
        self.made = "after"
        return "after"

    assert ctypes is not None
    field = ctypes.c_ulong.from_address(id(Sample) + _offset)
    field.value |= _IMMUTABLE
    try:
        if not is_immutable(Sample):
            return False
        initial = vars(Sample)["__init__"]
        put_in_dictionary(Sample, "method", replacement)
        method_changed = Sample().method() == "after"
        put_in_slot(Sample, "__init__", lambda self: replacement(self) and None)
        slot_changed = Sample().made == "after"
        put_in_slot(Sample, "__init__", initial)
        restored = Sample().made == "before" and is_immutable(Sample)
    finally:
        field.value &= ~_IMMUTABLE
    return method_changed and slot_changed and restored


_may_try = ctypes is not None and facts.CAN_SWAP_CODE and not self_tests_must_fail()
_offset = _find_offset() if _may_try else 0

CAN_CHANGE = bool(_offset) and _self_test()
"""Whether immutable types can be changed in this process."""
