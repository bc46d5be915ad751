"""Whether a probe may be installed here: one question, answered with a reason.

The ceiling stands in the app's own environment (`REMORA_ALLOW`) and bounds what a
server may ask for. Files that the environment names are the app's own word, as the
ceiling is, and need no other permission.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora import packs
from remora.errors import RemoraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.protocol import Instance, Probe

ACT = "act"
"""The level of REMORA_ALLOW at which a server may change what the app does."""

_OBSERVE = "observe"
"""The level at which it may not even block an attack."""


def refuse(probe: Probe, allowed: str, identity: Callable[[], Instance]) -> str:
    """Why this process may not or cannot have the probe at all; empty where it may."""
    if not probe.enabled:
        return "switched off by enabled = false"
    # Those of the wheel's packs sleep where a rule may mean a part of their calls.
    is_asleep = probe.id.startswith(packs.PREFIX)
    if probe.protect is not None and probe.protect.mode == "off" and not is_asleep:
        return "switched off by protect.mode = 'off'"
    if reason := refuse_acting(probe, allowed):
        return reason
    try:
        return probe.scope.refusal(identity(), probe.id) or ""
    except RemoraError as error:
        return str(error)


def refuse_acting(probe: Probe, allowed: str) -> str:
    """Why the probe may not be installed under this ceiling; empty where it may."""
    if not probe.acts or allowed == ACT:
        return ""
    if probe.protect is not None:
        return _refuse_blocking(allowed)
    if probe.override is not None:
        what, instead = "override", "use mode = 'watch'"
    else:
        what, instead = "span.propagate", "leave it out"
    return (
        f"{what} changes what the app does, and REMORA_ALLOW is {allowed!r} here: set "
        f"REMORA_ALLOW=act in the app's environment, or {instead}"
    )


def _refuse_blocking(allowed: str) -> str:
    if allowed != _OBSERVE:
        return ""
    return (
        f"protect in mode 'block' changes what the app does, and REMORA_ALLOW is "
        f"{allowed!r} here: set REMORA_ALLOW=protect in the app's environment, or use "
        "mode = 'watch'"
    )
