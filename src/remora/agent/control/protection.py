"""The packs of sinks as probes of this process, each in the mode that was asked for.

Imported where protection is on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora import packs
from remora.agent.control.probe_files import read_probe_files
from remora.protocol.protect import read_modes
from remora.values import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remora.protocol import Probe


def read_protection(
    modes: str, allowed: tuple[str, ...], carried: Mapping[str, bytes]
) -> list[Probe]:
    """The probes of all packs whose detector is not off.

    `modes` is the setting `protect`, `allowed` the hosts that requests may choose.
    """
    probes: list[Probe] = []
    for pack, mode in read_modes(modes).items():
        if mode != "off":
            found = read_probe_files((packs.pack_file(pack),), carried)
            probes += [_turned(probe, pack, mode, allowed) for probe in found]
    return probes + _read_plain(packs.THREADS, carried) if probes else probes


def read_stored(carried: Mapping[str, bytes]) -> list[Probe]:
    """The probes that look for stored input in what databases give."""
    return _read_plain(packs.STORED, carried)


def _read_plain(pack: str, carried: Mapping[str, bytes]) -> list[Probe]:
    """The probes of a pack that has no modes."""
    return [
        replace(probe, id=f"{packs.PREFIX}{pack}.{probe.id}")
        for probe in read_probe_files((packs.pack_file(pack),), carried)
    ]


def _turned(probe: Probe, pack: str, mode: str, allowed: tuple[str, ...]) -> Probe:
    protect = probe.protect
    assert protect is not None
    if protect.family == "url":
        protect = replace(protect, allowed=(*protect.allowed, *allowed))
    protect = replace(protect, mode=mode)
    return replace(probe, id=f"{packs.PREFIX}{pack}.{probe.id}", protect=protect)
