"""What has to change so that the wanted probes are the installed ones. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from remora.protocol import Probe


@frozen
class Changes:
    """Ids to remove, probes that replace one of the same id, probes that are new."""

    remove: tuple[str, ...] = ()
    replace: tuple[Probe, ...] = ()
    add: tuple[Probe, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.remove or self.replace or self.add)


def plan(installed: Mapping[str, Probe], wanted: Sequence[Probe]) -> Changes:
    """Compare by id and then by value: an equal probe is left alone, with its counters.

    Removals come in the order of installation, the others in the order they are wanted.
    """
    by_id = {probe.id: probe for probe in wanted}
    return Changes(
        remove=tuple(name for name in installed if name not in by_id),
        replace=tuple(
            probe
            for name, probe in by_id.items()
            if name in installed and installed[name] != probe
        ),
        add=tuple(probe for name, probe in by_id.items() if name not in installed),
    )
