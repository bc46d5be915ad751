"""The probes of a process that nobody has put one into so far.

Most processes never get a probe, and all wait for their start. So what probes are made
of is imported with the first one (`Parts.wake`). Until then this stands for them: there
is nothing to do, and hardly anything to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _thread import RLock
    from collections.abc import Iterable, Mapping

    from remora.agent.modules import LoadedModule
    from remora.protocol import Probe, Status


class Asleep:
    """What is asked of the probes whether there are any or not."""

    is_behind = False
    reports = False
    locks: tuple[RLock, ...] = ()

    def __init__(self) -> None:
        self.off = ""
        """Why nothing may be placed in this process; empty where it may."""
        self._refused: tuple[Status, ...] = ()

    def module_loaded(self, module: LoadedModule) -> None:
        """Nothing waits for a module."""

    def installed(self) -> dict[str, Probe]:
        """There are none."""
        return {}

    def in_force(self) -> dict[str, Probe]:
        """There are none."""
        return {}

    def keep(self, reasons: Mapping[str, str]) -> None:
        """Nothing has to say why it stays."""

    def remember_refused(self, statuses: Iterable[Status]) -> None:
        """Probes that were asked for and could not even be read."""
        self._refused = tuple(statuses)

    def statuses(self) -> list[Status]:
        """Those of refused probes."""
        return list(self._refused)

    def try_switch_off(self, reason: str) -> bool:
        """Let nothing be placed any more."""
        self.off = reason
        return True

    def tick(self) -> None:
        """Nothing ends and nothing is counted."""

    def ship(self) -> None:
        """Nothing was counted."""

    def clear(self) -> None:
        """Nothing is installed."""

    def abandon(self) -> None:
        """Nothing of the app is held."""

    def after_fork_in_child(self) -> None:
        """There is no lock."""
