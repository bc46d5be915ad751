"""Where acting probes are in force: none comes back by itself after a death.

An instance that had such a probe in force, says no goodbye and is not connected may
have died of it. Until it is back, says goodbye, or somebody writes the probe anew, new
instances of its app do not get the probe and are told why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remora.protocol import State


class ActingProbes:
    """By acting probe, the instances that last said it was in force."""

    def __init__(self) -> None:
        self._instances: dict[str, set[str]] = {}

    def note(self, probe_id: str, instance_id: str, state: State) -> None:
        """Keep what an instance says of an acting probe."""
        having = self._instances.setdefault(probe_id, set())
        if state.meaning.in_force:
            having.add(instance_id)
        else:
            having.discard(instance_id)

    def forget(self, probe_id: str) -> None:
        """The probe was removed, or written anew."""
        self._instances.pop(probe_id, None)

    def having(self, probe_id: str) -> Iterable[str]:
        """The instances, dead or alive, that have it in force as far as is known."""
        return self._instances.get(probe_id, ())


def held_reason(probe_id: str, host: str, pid: int) -> str:
    """What a new instance is told."""
    return (
        f"not installed again by itself: process {pid} on {host} ended without goodbye "
        f"while {probe_id!r} was acting there; replace the probe, or remove it and add "
        "it again, if it is to act all the same"
    )
