"""Probes of servers and frameworks: asleep until the module that they are for is there.

Most processes have one or two of them, so the others are never more than JSON.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora import packs
from remora.agent.runtime import guard
from remora.protocol import parse_probe
from remora.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remora.agent.modules import LoadedModule
    from remora.protocol import Probe


class Frameworks:
    """What waits, by module. `wake` is a subscriber of the store of modules."""

    def __init__(
        self, add: Callable[[list[Probe]], None], carried: Mapping[str, bytes]
    ) -> None:
        self._add = add
        self._made: set[str] = set()
        self._waiting: dict[str, list[object]] = packs.read_made(
            packs.FRAMEWORKS, carried
        )

    def wake(self, module: LoadedModule | None = None) -> None:
        """Install what is for modules that are there by now, `module` being news."""
        own = "" if module is None else module.real_name
        if own not in self._waiting and self._waiting.keys().isdisjoint(
            sys.modules.keys()
        ):
            return
        present = [n for n in tuple(self._waiting) if n in sys.modules or n == own]
        for name in present:
            # Another thread may import as well: each probe is installed by one.
            for table in self._waiting.pop(name, ()):
                # what we call on the way may carry a probe
                guard.run(lambda table=table: self._install(table))

    def _install(self, table: object) -> None:
        probe = parse_probe(table)
        if probe.id in self._made:
            return
        self._made.add(probe.id)
        self._add([replace(probe, id=f"{packs.PREFIX}{probe.id}")])
