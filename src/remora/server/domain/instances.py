"""Instances as the server knows them, and the states they are shown in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from remora.errors import WireError
from remora.server.domain.clock import to_ns

if TYPE_CHECKING:
    from remora.protocol import Instance

SILENT_PINGS = 2
"""Pings that may be missed: one gets lost in a reconnection, two are a silence."""

GONE_S = 300.0
"""After this an instance counts as gone: far beyond the longest back-off of 45 s."""

UNSERVED_SHOWN_S = 86400.0
"""An unserved process says nothing after its registration: a day later it has either
ended or been started again."""

_ID = re.compile(r"[0-9a-f]{32}\Z")


class InstanceState(Enum):
    """Where an instance stands, as operators see it."""

    CONNECTED = "connected"
    SILENT = "silent"
    GONE = "gone"
    IDLE = "idle"
    UNSERVED = "unserved"

    @property
    def is_live(self) -> bool:
        """Whether its process is believed to run."""
        return self is not InstanceState.GONE


@dataclass(frozen=True, slots=True)
class KnownInstance:
    """A registered instance and what the server keeps of it.

    `left` is the reason of its goodbye, `revision` the one of the set of probes that
    it is to have, `wanted` names that set, `master_id` the process it was forked from.
    """

    instance: Instance
    first_seen: int
    last_seen: int
    left: str | None = None
    revision: int = 0
    wanted: str = ""
    master_id: str = ""

    def state(self, now: int, ping_s: float, *, connected: bool) -> InstanceState:
        """The state at `now`; `connected` says that it holds a connection."""
        quiet = now - self.last_seen
        if self.left is not None:
            return InstanceState.GONE
        if self.instance.role == "unserved":
            shown = quiet < to_ns(UNSERVED_SHOWN_S)
            return InstanceState.UNSERVED if shown else InstanceState.GONE
        if self.instance.role == "master":
            return InstanceState.IDLE if quiet < to_ns(GONE_S) else InstanceState.GONE
        if connected or quiet <= to_ns(SILENT_PINGS * ping_s):
            return InstanceState.CONNECTED
        return InstanceState.SILENT if quiet < to_ns(GONE_S) else InstanceState.GONE


def check_instance_id(value: str) -> str:
    """`value`, if it can be the id of an instance. Raises WireError."""
    if not _ID.match(value):
        raise WireError(
            f"instance id {value[:60]!r} is not 32 hexadecimal digits in lower case"
        )
    return value
