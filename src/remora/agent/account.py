"""What the agent says of itself: statuses, protection, cost.

Imported when somebody asks: the server, or `remora.status()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.request import protection
from remora.agent.runtime import facts, guard
from remora.protocol import Cost
from remora.usage import usage
from remora.version import __version__

if TYPE_CHECKING:
    from remora.agent.parts import Parts
    from remora.protocol import Status


def describe(parts: Parts) -> dict[str, object]:
    """What `remora.status()` shows."""
    return {
        "version": __version__,
        "python": facts.PYTHON,
        "instance": parts.instance.to_json(),
        "server": parts.settings.text("server"),
        "connected": parts.link is not None and parts.link.is_connected,
        "off": parts.probes.off,
        "probes": [status.to_json() for status in asked_for(parts)],
        "hooks": [handle.describe() for handle in parts.handles],
        "protection": _protection(parts),
        "drops": parts.drops.counts,
        "agent": {**cost(parts).to_json(), "counters": parts.diagnostics.counters},
        "settings": parts.settings.explain(),
    }


def asked_for(parts: Parts) -> list[Status]:
    """Statuses of the probes that people asked for, in files and on the server."""
    packed = parts.pack_ids()
    return [s for s in parts.probes.statuses() if s.probe not in packed]


def _protection(parts: Parts) -> dict[str, object]:
    """How this process is protected, and what came of each guarded place."""
    installed = parts.probes.installed()
    return {
        "mode": parts.settings.text("protect"),
        "complaint": protection.complaint,
        "outside": protection.outside,
        "requests": protection.requests,
        "refused": protection.refused,
        "cut": protection.cut,
        "ignored": parts.ignored,
        "rules": [
            rule.to_json()
            for rule in (parts.guarding.rule_states() if parts.guarding else ())
        ],
        "probes": [
            status.to_json()
            for status in parts.probes.statuses()
            if (probe := installed.get(status.probe)) and probe.protect is not None
        ],
    }


def cost(parts: Parts) -> Cost:
    """What the agent itself takes of this process."""
    found: list[tuple[int, int]] = []
    guard.run(lambda: found.append(usage()))
    ((process_ns, memory),) = found
    start_ns, start_memory = parts.start_cost
    return Cost(
        threads=int(parts.worker.running),
        cpu_ms=round(parts.worker.own_cpu_s * 1000),
        start_cpu_ms=start_ns // 1_000_000,
        process_cpu_ms=process_ns // 1_000_000,
        queued=len(parts.queue),
        queued_bytes=parts.queue.size_bytes,
        start_memory_bytes=start_memory,
        memory_bytes=memory,
    )
