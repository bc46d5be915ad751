"""How much a step needs to be kept from what our own code calls.

A step on a C function may run that very function itself: the condition of a probe on
`len`, say. All that gates and outcomes call without a guard lives in a few rooms; what
these name is shielded. Everything else is only kept from our own threads and from what
runs under the guard.
"""

from __future__ import annotations

import builtins
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

from remora.agent.interception.plan import CHECKED, SHIELDED
from remora.agent.targets import all_code

if TYPE_CHECKING:
    from remora.agent.interception.plan import AppValue

_ROOMS = (
    "remora.expression",
    "remora.agent.actions",
    "remora.agent.capture",
    "remora.agent.hooks",
    "remora.agent.probes",
    "remora.agent.request",
)


def shield_of(function: AppValue) -> str:
    """The guard that steps on this function need, as far as they have none."""
    home, wanted = getattr(function, "__self__", None), id(function)
    for name, module in list(sys.modules.items()):
        if not name.startswith(_ROOMS) or type(module) is not ModuleType:
            continue
        room = _rooms.get(name)
        if room is None or room.module is not module or room.size != len(vars(module)):
            room = _rooms[name] = _Room(module)
        if wanted in room.values:
            return SHIELDED
        may_call = home is builtins or id(home) in room.values
        if may_call and function.__name__ in room.names:
            return SHIELDED
    return CHECKED


class _Room:
    """What a module of ours holds, by identity, and all names that its code asks for.

    Read once: a start with protection asks for some twenty functions.
    """

    __slots__ = ("module", "names", "size", "values")

    def __init__(self, module: ModuleType) -> None:
        values = list(vars(module).values())
        self.module = module
        self.size = len(values)
        self.values = set(map(id, values))
        self.names = _names_used(values)


_rooms: dict[str, _Room] = {}


def _names_used(values: list[AppValue]) -> set[str]:
    """All names that the code of these functions and classes asks for."""
    names: set[str] = set()
    for value in values:
        within = list(vars(value).values()) if isinstance(value, type) else [value]
        for item in within:
            function = getattr(item, "__func__", getattr(item, "fget", item))
            if type(function) is FunctionType:
                for code in all_code(function.__code__):
                    names.update(code.co_names)
    return names
