"""The phases of a call: hooks, their outcomes, their order, their containment."""

from remora.agent.hooks.call import Call
from remora.agent.hooks.local import FAULTS_ALLOWED, LocalHook, describe
from remora.agent.hooks.outcomes import refusal
from remora.agent.hooks.table import HookTable, Installed
from remora.outcomes import Arguments, Outcome, Raise, Return

__all__ = [
    "FAULTS_ALLOWED",
    "Arguments",
    "Call",
    "HookTable",
    "Installed",
    "LocalHook",
    "Outcome",
    "Raise",
    "Return",
    "describe",
    "refusal",
]
