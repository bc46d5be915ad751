"""Code among the constants of other code, exchanged in place.

A function keeps the code of each function that it defines as a constant, and makes a
closure of it every time it comes to that `def`. Where the constant is exchanged in the
very tuple, closures to come are made of the other code, in every function that shares
the tuple and also by frames that are running already. Nothing of the function itself
changes. The address is written into the tuple (CPython's Include/cpython/tupleobject.h)
and only after a self-test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.config import self_tests_must_fail
from remora.agent.runtime import facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

try:
    import ctypes
except ImportError:
    ctypes = None

_WORD = 8
_ITEMS_AT = tuple.__basicsize__


def exchange(code: CodeType, position: int, new: CodeType) -> None:
    """Put `new` in the place of a constant that is code. Only where CAN_EXCHANGE."""
    assert ctypes is not None
    constants = code.co_consts
    old = constants[position]
    assert type(old) is type(new)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(new))
    address = id(constants) + _ITEMS_AT + _WORD * position
    ctypes.c_void_p.from_address(address).value = id(new)
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(old))


def _self_test() -> bool:
    """Exchange a function within one of our own, and put it back."""
    assert ctypes is not None
    if ctypes.sizeof(ctypes.c_void_p) != _WORD:
        return False

    def outer() -> Iterator[str]:
        yield "started"

        def inner() -> str:
            return "before"

        yield inner()

    def other() -> str:
        return "after"

    code = outer.__code__
    constants = code.co_consts
    words = (ctypes.c_void_p * len(constants)).from_address(id(constants) + _ITEMS_AT)
    if [word or 0 for word in words] != [id(constant) for constant in constants]:
        return False
    kind = type(code)
    position = next(n for n, c in enumerate(constants) if type(c) is kind)
    before = constants[position]
    running = outer()
    next(running)
    exchange(code, position, other.__code__)
    changed = code.co_consts is constants and constants[position] is other.__code__
    changed = changed and next(running) == "after"
    exchange(code, position, before)
    return changed and list(outer()) == ["started", "before"]


CAN_EXCHANGE = (
    ctypes is not None
    and facts.CAN_SWAP_CODE
    and not self_tests_must_fail()
    and _self_test()
)
"""Whether constants can be exchanged in this process."""
