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

from remora.agent.interception.template import CHECKED, SHIELDED
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
    home = getattr(function, "__self__", None)
    for name, module in list(sys.modules.items()):
        if not name.startswith(_ROOMS) or type(module) is not ModuleType:
            continue
        values = list(vars(module).values())
        if any(value is function for value in values):
            return SHIELDED
        may_call = home is builtins or any(value is home for value in values)
        if may_call and function.__name__ in _names_used(values):
            return SHIELDED
    return CHECKED


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
