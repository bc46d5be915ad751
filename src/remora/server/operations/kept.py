"""Probes that instances keep and that this server does not have, or no longer has.

An app with a public key keeps signed protection against a server that takes it away. So
what is in force somewhere is more than what is wanted, and the operator is to see both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from remora.protocol import Status
    from remora.server.domain import KnownInstance
    from remora.server.operations.instances import Instances
    from remora.server.store import ProbeStore


class KeptProbes:
    """By the id of a probe, the instances that have it against this server."""

    def __init__(self, store: ProbeStore, instances: Instances) -> None:
        self._store = store
        self._instances = instances
        self._having: dict[str, set[str]] = {}

    def load(
        self, states: Iterable[tuple[str, str, str, int]], stored: Container[str]
    ) -> None:
        """Take in what the store has statuses of and no probe."""
        for probe_id, instance_id, _, _ in states:
            if probe_id not in stored:
                self._having.setdefault(probe_id, set()).add(instance_id)

    async def report(self, known: KnownInstance, statuses: Sequence[Status]) -> None:
        """Note what an instance says of probes that the server does not have."""
        instance_id = known.instance.id
        kept = [each for each in statuses if each.kept and each.state.meaning.in_force]
        names = {status.probe for status in kept}
        gone = [
            status.probe
            for status in statuses
            if status.probe not in names
            and instance_id in self._having.get(status.probe, ())
        ]
        for name in names:
            self._having.setdefault(name, set()).add(instance_id)
        for name in gone:
            self._having[name].discard(instance_id)
        if kept:
            await self._store.save_statuses(instance_id, kept)
        if gone:
            await self._store.drop_statuses(instance_id, gone)

    def drop(self, probe_id: str) -> None:
        """The server has this probe now; or had it, and its statuses went with it."""
        self._having.pop(probe_id, None)

    def count(self, probe_id: str) -> int:
        """How many live instances keep this probe."""
        having = self._having.get(probe_id, set())
        return sum(known.instance.id in having for known in self._instances.live())

    async def overview(self) -> list[dict[str, object]]:
        """Each kept probe with what one of its instances says, for API and pages."""
        live = {known.instance.id: known for known in self._instances.live()}
        rows: list[dict[str, object]] = []
        for probe_id, having in sorted(self._having.items()):
            if having.isdisjoint(live):
                continue
            said = [
                (live[instance_id], status)
                for instance_id, status in await self._store.statuses(probe_id)
                if instance_id in live
            ]
            if said:
                known, status = said[0]
                rows.append(
                    {
                        "id": probe_id,
                        "instances": len(said),
                        "apps": sorted({each.instance.app for each, _ in said}),
                        "site": status.sites[0].site if status.sites else "",
                        "reason": status.kept,
                        "instance": known.instance.to_json(),
                    }
                )
        return rows
