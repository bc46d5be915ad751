"""The type of one object, changed in place where Python refuses to.

`functools.partial` and `lru_cache` objects are of immutable types: `__class__` cannot
be assigned, although a subclass with nothing of its own has the same layout. To write
the address of the type into the head of the object does what it would do (CPython's
Objects/typeobject.c, object_set_class), and happens only after a self-test.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from remora.agent.config import self_tests_must_fail
from remora.agent.runtime import facts

if TYPE_CHECKING:
    AppValue = Any

try:
    import ctypes
except ImportError:
    ctypes = None

_WORD = 8


def set_type(value: AppValue, cls: type) -> None:
    """Make `value` an object of `cls`. Only where CAN_SET, and with the same layout."""
    assert ctypes is not None
    before = type(value)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(cls))
    ctypes.c_void_p.from_address(id(value) + _TYPE_AT).value = id(cls)
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(before))


_TYPE_AT = object.__basicsize__ - _WORD


def _self_test() -> bool:
    """Change a partial of our own, call it, and change it back."""
    assert ctypes is not None
    if ctypes.sizeof(ctypes.c_void_p) != _WORD:
        return False
    sample = partial(divmod, 7)
    address = ctypes.c_void_p.from_address(id(sample) + _TYPE_AT)
    if address.value != id(partial):
        return False
    calls = {"__slots__": (), "__call__": lambda _, *args: ("ours", args)}
    subclass = type("partial", (partial,), calls)
    if subclass.__basicsize__ != partial.__basicsize__:
        return False
    set_type(sample, subclass)
    changed = sample(2) == ("ours", (2,)) and type(sample) is subclass
    set_type(sample, partial)
    return changed and sample(2) == (3, 1) and type(sample) is partial


CAN_SET = (
    ctypes is not None
    and facts.CAN_SWAP_CODE
    and not self_tests_must_fail()
    and _self_test()
)
"""Whether the type of an object can be changed in this process."""
