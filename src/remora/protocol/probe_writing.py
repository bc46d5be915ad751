"""Probes as tables: the keys as people write them, and as they go over the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.protocol.count import write_count
from remora.protocol.override import write_override
from remora.protocol.quantity import format_duration, format_rate, format_share
from remora.protocol.span import write_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.protocol.probe import Limit, Probe, RequestAction
    from remora.protocol.protect import Protect
    from remora.protocol.reading import Write


def write_probe(probe: Probe, write: Write) -> dict[str, object]:
    """The table of a probe; `write` says what becomes of an expression."""
    texts = probe.target.texts
    table: dict[str, object] = {
        "id": probe.id,
        "target": texts[0] if len(texts) == 1 else list(texts),
        "phase": probe.phase.value,
    }
    for key, write_key in _WRITERS.items():
        value = write_key(probe, write)
        # an empty text is a log all the same
        if value or value == "":
            table[key] = value
    if not probe.enabled:
        table["enabled"] = False
    return table


_WRITERS: dict[str, Callable[[Probe, Write], object]] = {
    "scope": lambda probe, _: probe.scope.to_json(),
    "when": lambda probe, write: probe.when and write(probe.when),
    "log": lambda probe, write: probe.log and write(probe.log),
    "logger": lambda probe, _: (
        probe.logger and {"name": probe.logger.name, "level": probe.logger.level}
    ),
    "snapshot": lambda probe, write: [
        *map(write, probe.snapshot),
        *probe.snapshot_special,
    ],
    "frames": lambda probe, _: list(probe.frames),
    "count": lambda probe, write: probe.count and write_count(probe.count, write),
    "set": lambda probe, write: {name: write(each) for name, each in probe.notes},
    "keep": lambda probe, write: probe.keep and write(probe.keep),
    "span": lambda probe, write: probe.span and write_span(probe.span, write),
    "override": lambda probe, write: (
        probe.override and write_override(probe.override, write)
    ),
    "protect": lambda probe, write: (
        probe.protect and _protect_to_table(probe.protect, write)
    ),
    "request": lambda probe, write: (
        probe.request and _request_to_table(probe.request, write)
    ),
    "limit": lambda probe, _: _limit_to_table(probe.limit),
    "requires": lambda probe, _: probe.requires,
    "expect": lambda probe, _: probe.expect,
    "expires_at": lambda probe, _: probe.expires_at,
    "signature": lambda probe, _: probe.signature and probe.signature.to_json(),
}
"""How each key is written; what is empty is left out."""


def _protect_to_table(protect: Protect, write: Write) -> dict[str, object]:
    # Loaded when the probe was read.
    from remora.protocol.protect import write_protect

    return write_protect(protect, write)


def _request_to_table(request: RequestAction, write: Write) -> dict[str, object]:
    written: dict[str, object] = {k: write(each) for k, each in request.values}
    if request.callable:
        written["callable"] = request.callable
    return {"kind": request.kind} | written


def _limit_to_table(limit: Limit) -> dict[str, object]:
    table: dict[str, object] = {}
    if limit.rate is not None:
        table["rate"] = format_rate(limit.rate)
    if limit.time is not None:
        table["time"] = format_share(limit.time)
    if limit.hits is not None:
        table["hits"] = limit.hits
    if limit.expires_s is not None:
        table["expires"] = format_duration(limit.expires_s)
    return table
