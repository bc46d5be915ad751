"""The version number of a function, which 3.13 forgets when its code is set.

3.13 specialises calls by this number, sets it to zero when `__code__` is assigned, and
never gives a new one: calls of that function would stay slow for ever, also after
removal (CPython's Objects/funcobject.c; `func_version` is the last field). Reading and
writing it goes through memory, so it happens only where a self-test in this very
process has found the field at its place.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING

from remora.agent.config import self_tests_must_fail
from remora.agent.runtime import facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from ctypes import c_uint32

_FIRST_OF_OURS = 0xFFFF_0000
"""Versions that we give count down from here; CPython counts up from one."""

_next_of_ours = _FIRST_OF_OURS


def _find_field() -> Callable[[FunctionType], c_uint32] | None:
    """A way to the field, or None where it is not needed or not found."""
    if not (facts.FORGETS_FUNCTION_VERSION and facts.CAN_SWAP_CODE):
        return None
    if facts.has_jit() or self_tests_must_fail():
        return None
    try:
        import ctypes
    except ImportError:
        return None
    offset = FunctionType.__basicsize__ - 8

    def field(function: FunctionType) -> c_uint32:
        return ctypes.c_uint32.from_address(id(function) + offset)

    return field if _is_version(field) else None


def _is_version(field: Callable[[FunctionType], c_uint32]) -> bool:
    """The self-test: versions of new functions grow by one and die with the code."""

    def make() -> FunctionType:
        def probe() -> None:
            """Be a function of which only the version matters."""

        assert isinstance(probe, FunctionType)
        return probe

    one, two = make(), make()
    first, second = field(one).value, field(two).value
    # functions of one `def` share the version of their code object
    shared = first == second != 0
    one.__code__ = one.__code__.replace(co_name="other")
    return shared and field(one).value == 0 and field(two).value == second


_field = _find_field()


def read(function: FunctionType) -> int:
    """The version, or 0 where it is of no use."""
    return _field(function).value if _field is not None else 0


def write(function: FunctionType, version: int) -> None:
    """Put the version back after the code was set."""
    if _field is not None and version:
        _field(function).value = version


def give_new(function: FunctionType) -> None:
    """A version of its own for a function that was made without one."""
    global _next_of_ours  # noqa: PLW0603 - versions are the interpreter's, one for all
    if _field is not None:
        _next_of_ours -= 1
        _field(function).value = _next_of_ours
