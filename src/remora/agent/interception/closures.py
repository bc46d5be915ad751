"""Finding the functions that run a code object, or have it within."""

from __future__ import annotations

import gc
import sys
from functools import cached_property, partial, partialmethod
from types import CellType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

AppValue = Any

_namespace: Any = vars(ModuleType)["__dict__"].__get__

_FOLLOWED = {
    *(FunctionType, CellType, MethodType, partial, partialmethod),
    *(staticmethod, classmethod, property, cached_property),
}
_TABLES = {dict, list, tuple}


def functions_with(
    code: CodeType, outer: FunctionType | None
) -> tuple[list[FunctionType], bool]:
    """Functions that run this very code, and those of the module of `outer`.

    The collector searches all objects, some tens of nanoseconds for each. It does not
    see what `gc.freeze()` has put aside: where `outer` is among that, names of modules
    are gone through as well, and the answer says that it may lack some.
    """
    searched = (code,) if outer is None else (code, outer.__globals__)
    found = [
        value for value in gc.get_referrers(*searched) if type(value) is FunctionType
    ]
    if outer is None or any(value is outer for value in found):
        return found, True
    return [*found, *functions_by_name()], False


def functions_by_name() -> Iterator[FunctionType]:
    """Yield functions that names of modules lead to.

    The way goes through classes, decorators, cells, and one table (a list of callbacks,
    a dictionary of routes) between two of them. Runs no code of the app.
    """
    seen: set[int] = set()
    work: list[AppValue] = []
    for module in list(sys.modules.values()):
        # by type: an object may claim to be a module
        if issubclass(type(module), ModuleType):
            work += list(_namespace(module).values())
    while work:
        value = work.pop()
        kind = type(value)
        is_table = kind in _TABLES
        if id(value) in seen:
            continue
        if not is_table and kind not in _FOLLOWED and not issubclass(kind, type):
            continue
        seen.add(id(value))
        if kind is FunctionType:
            yield value
        within = gc.get_referents(value)
        work += [v for v in within if type(v) not in _TABLES] if is_table else within
