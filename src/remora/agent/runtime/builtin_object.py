"""The builtin object of a C function: its words in memory, and clones of it.

A builtin is a small object that points to a method definition, to the `self` it hands
on and to the C function that receives vector calls. A clone made from the same words is
the same C function by another object: the agent keeps clones of what it uses itself, so
a builtin that is redirected for a probe is never redirected for us.

Whatever reads or writes these words does so only where the layout was found as expected
in this very process; elsewhere `HAS_LAYOUT` is false and clones are the object itself.
"""

from __future__ import annotations

from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any

from remora.agent.config import self_tests_must_fail
from remora.agent.runtime import facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Function = TypeVar("Function")

AppValue = Any

METH_VARARGS, METH_KEYWORDS, METH_NOARGS, METH_O = 0x1, 0x2, 0x4, 0x8
METH_FASTCALL, METH_METHOD = 0x80, 0x200

DEFINITION, SELF, MODULE, WEAK_REFERENCES, VECTOR_CALL = range(5)
"""The words behind the object's head (CPython's Include/cpython/methodobject.h)."""

_WORD = 8
_HEAD = object.__basicsize__

try:
    import ctypes
except ImportError:
    ctypes = None


def words(builtin: AppValue) -> list[int]:
    """Read the five words. Only where HAS_LAYOUT."""
    assert ctypes is not None
    return [word or 0 for word in (ctypes.c_void_p * 5).from_address(_address(builtin))]


def write(builtin: AppValue, new: list[int]) -> None:
    """Write the five words at once: other threads see all of them or none."""
    assert ctypes is not None
    source = (ctypes.c_void_p * 5)(*new)
    _move(_address(builtin), ctypes.addressof(source), 5 * _WORD)


def flags_of(builtin: AppValue) -> int:
    """The METH_ flags of its definition. Only where HAS_LAYOUT."""
    return definition_at(words(builtin)[DEFINITION]).flags


def clone(builtin: Function) -> Function:
    """Another object for the same C function; the object itself where unsafe."""
    if not HAS_LAYOUT or type(builtin) is not BuiltinFunctionType:
        return builtin
    definition, owner, module, _, _ = words(builtin)
    if definition_at(definition).flags & METH_METHOD:
        return builtin
    return make(definition, owner, module)


def _address(builtin: AppValue) -> int:
    return id(builtin) + _HEAD


def _prepare() -> tuple[Any, Any, Any]:
    """The definition's structure, the maker of builtins and an uninterrupted move."""
    assert ctypes is not None

    class Definition(ctypes.Structure):
        _fields_ = (
            ("name", ctypes.c_void_p),
            ("function", ctypes.c_void_p),
            ("flags", ctypes.c_int),
            ("doc", ctypes.c_void_p),
        )

    maker: Any = ctypes.pythonapi.PyCMethod_New
    maker.restype = ctypes.py_object
    maker.argtypes = [ctypes.c_void_p] * 4
    # PyDLL keeps the GIL during the call: nobody runs while the words change
    mover: Any = ctypes.PyDLL(None).memmove
    mover.restype = ctypes.c_void_p
    mover.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    return Definition, maker, mover


if ctypes is not None and facts.CAN_SWAP_CODE:
    Definition, _make, _move = _prepare()


def definition_at(address: int) -> AppValue:
    """The method definition at an address."""
    return Definition.from_address(address)


def make(definition: int, owner: int, module: int) -> AppValue:
    """A new builtin object of a definition."""
    return _make(definition, owner or None, module or None, None)


def definition_like(address: int, function: str, flags: int) -> tuple[AppValue, int]:
    """A definition with the name and text of another, and where it lies.

    It runs a function of CPython's API. Whoever uses the address keeps the definition.
    """
    assert ctypes is not None
    old = definition_at(address)
    target = ctypes.cast(getattr(ctypes.pythonapi, function), ctypes.c_void_p).value
    definition = Definition(old.name, target, flags, old.doc)
    return definition, ctypes.addressof(definition)


def caller_of(address: int, owner: AppValue) -> AppValue:
    """A builtin that calls the C function at an address as a vector call of `owner`."""
    assert ctypes is not None
    kept = _definitions.get(address)
    if kept is None:
        text = ctypes.c_char_p(b"call")
        name = ctypes.cast(text, ctypes.c_void_p).value
        definition = Definition(name, address, METH_FASTCALL | METH_KEYWORDS, None)
        kept = _definitions[address] = definition, text
    return make(ctypes.addressof(kept[0]), id(owner), 0)


_definitions: dict[int, tuple[AppValue, AppValue]] = {}
"""By address; kept for ever, because builtins point to them. There are few."""


def keep_for_ever(value: AppValue) -> None:
    """Count a reference that memory holds and no object does."""
    assert ctypes is not None
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


def _has_layout() -> bool:
    """The self-test: what is known of one builtin stands where it is expected."""
    if ctypes is None or not facts.CAN_SWAP_CODE or self_tests_must_fail():
        return False
    if BuiltinFunctionType.__basicsize__ != _HEAD + 5 * _WORD:
        return False
    if ctypes.sizeof(ctypes.c_void_p) != _WORD:
        return False
    sample: AppValue = abs
    owner: AppValue = sample.__self__
    found = words(sample)
    if found[SELF] != id(owner) or not found[VECTOR_CALL]:
        return False
    definition = definition_at(found[DEFINITION])
    if ctypes.string_at(definition.name) != b"abs" or definition.flags != METH_O:
        return False
    other: Callable[[int], int] = make(found[DEFINITION], found[SELF], found[MODULE])
    return other is not sample and other(-2) == 2 and words(other) == found


HAS_LAYOUT = _has_layout()
"""Whether builtins can be cloned and redirected in this process."""
