"""Rules between the keys of a probe: what one asks for, another has to allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.errors import ProbeError
from remora.protocol.probe import Phase

if TYPE_CHECKING:
    from remora.protocol.probe import Probe


def check_whole(probe: Probe) -> None:
    """Refuse with a ProbeError what does not go together."""
    actions = (probe.count, probe.override, probe.notes, probe.span, probe.request)
    if not any((probe.reports, *actions, probe.protect)):
        raise ProbeError(
            f"probe {probe.id!r} does nothing: give it log, snapshot, count or override"
        )
    if probe.is_line != (probe.phase is Phase.LINE):
        raise ProbeError(
            f"probe {probe.id!r}: phase = {probe.phase.value!r} does not fit its "
            "target; 'line' is the phase of file:line targets, and of these alone"
        )
    if probe.request is not None and (probe.reports or any(actions[:-1])):
        raise ProbeError(
            f"probe {probe.id!r}: request stands alone: make another probe of the rest"
        )
    if probe.frames and "stack" not in probe.snapshot_special:
        raise ProbeError(
            f"probe {probe.id!r}: frames chooses from the stack, and the snapshot has "
            "none: add 'stack' to it"
        )
    if probe.span is not None:
        _check_span(probe)
    if probe.keep is not None and not (probe.reports or probe.override or probe.span):
        raise ProbeError(
            f"probe {probe.id!r}: keep holds records back, and this probe makes none: "
            "give it log or snapshot"
        )
    if probe.logger is not None and probe.log is None:
        raise ProbeError(
            f"probe {probe.id!r}: logger says where a message goes, and there is no "
            "log: write one"
        )
    _check_override(probe)
    if probe.protect is not None:
        # Loaded when the key was read.
        from remora.protocol.protect import check_protect

        check_protect(probe, probe.protect)
    if probe.expect is not None and not probe.is_line:
        raise ProbeError(
            f"probe {probe.id!r}: expect compares the text of a line, but "
            f"{probe.target.texts[0]!r} is no line target"
        )
    if "locals" in probe.snapshot_special and probe.phase in {Phase.PRE, Phase.POST}:
        raise ProbeError(
            f"probe {probe.id!r}: snapshot 'locals' belongs to line targets and to "
            "phase = 'fail'; at the start a function has only its arguments: write "
            "'arguments'"
        )


def _check_span(probe: Probe) -> None:
    if probe.reports or probe.count or probe.override or probe.notes:
        raise ProbeError(
            f"probe {probe.id!r}: span stands alone: make another probe of the rest"
        )
    if probe.phase is not Phase.PRE:
        raise ProbeError(
            f"probe {probe.id!r}: span lasts from the start of a call to its end, so "
            "it has the phase 'pre' and a function as its target"
        )


def _check_override(probe: Probe) -> None:
    if probe.override is None:
        return
    if probe.phase is Phase.LINE:
        raise ProbeError(
            f"probe {probe.id!r}: override takes the place of a call's arguments or "
            "result, and a line has none: give the function as the target"
        )
    if probe.override.arguments and probe.phase is not Phase.PRE:
        raise ProbeError(
            f"probe {probe.id!r}: override.arguments comes too late in phase "
            f"{probe.phase.value!r}: the phase for it is 'pre'"
        )
