"""Turning protection on and off, for whoever installs protect probes.

Imported when protection begins, and with it all that a hook may need later: a hook
itself should import nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.request import edge, sources
from remora.agent.request.protected import protection

if TYPE_CHECKING:
    from typing import Literal

    Mode = Literal["off", "watch", "block"]


def turn_protection(mode: Mode) -> None:
    """Go this far from now on. It imports, so no lock of ours may be held."""
    if mode == "off":
        protection.end()
        return
    protection.edge, protection.sources = edge, sources
    if protection.keeps_stored and protection.stored is None:
        # Late, because it is a setting that is mostly off.
        from remora.agent.request.stored import StoredTexts

        protection.stored = StoredTexts()
    protection.watches = True
    protection.blocks = mode == "block"
