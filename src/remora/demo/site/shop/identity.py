"""Which code objects the shop's functions run: those of the start, or others.

The demo asks here whether its probes have left the functions as they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shop.billing import charge, fee_for
from shop.cart import Cart
from shop.catalogue import search

if TYPE_CHECKING:
    from types import CodeType, FunctionType, ModuleType
    from typing import Any

_WATCHED: dict[str, Any] = {
    "shop.billing:charge": charge,
    "shop.billing:fee_for": fee_for,
    "shop.cart:Cart.add": Cart.add,
    "shop.catalogue:search": search,
}

# Held, not only their ids: the number of a freed object may be given to another.
_AT_START: dict[str, CodeType] = {
    name: function.__code__ for name, function in _WATCHED.items()
}


def report() -> dict[str, dict[str, object]]:
    """For each watched function the code object of the start, and the one of now."""
    return {
        name: _compare(_AT_START[name], function) for name, function in _WATCHED.items()
    }


def report_plugin(module: ModuleType) -> dict[str, object]:
    """The same of a plugin, which keeps the code object of its `apply` itself."""
    return _compare(module.AS_WRITTEN, module.apply)


def _compare(at_start: CodeType, function: FunctionType) -> dict[str, object]:
    now = function.__code__
    return {"start": id(at_start), "now": id(now), "same": now is at_start}
