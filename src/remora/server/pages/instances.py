"""The page of instances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from remora.protocol import Cost, Instance
    from remora.protocol.protection import ProtectionState
    from remora.server.domain import InstanceState, KnownInstance
    from remora.server.operations import Operations
    from remora.server.pages.frame import Visit

ROWS_SHOWN = 500
"""More than anybody reads; the filter reaches the others."""


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """An instance as the table shows it."""

    known: KnownInstance
    state: InstanceState
    probes: int
    drops: Mapping[str, int]
    cost: Cost | None
    protection: ProtectionState | None
    has_said: bool

    @property
    def modes(self) -> list[str]:
        """The modes in which anything is guarded here."""
        packs = self.protection.packs if self.protection is not None else ()
        return sorted({pack.mode for pack in packs if pack.guarded} - {"off"})

    @property
    def unprotected(self) -> bool:
        """Whether its requests are not seen though it is to be protected."""
        return self.protection is not None and bool(self.protection.complaint)

    @property
    def process(self) -> Instance:
        """What the instance says of itself."""
        return self.known.instance

    @property
    def cost_details(self) -> str:
        """What the agent takes, in the words of a tooltip."""
        it = self.cost
        if it is None:
            return ""
        return (
            f"{it.threads} thread, {it.cpu_ms:,} ms of {it.process_cpu_ms:,} ms CPU; "
            f"its start took {it.start_cpu_ms:,} ms CPU and "
            f"{_mib(it.start_memory_bytes)} of {_mib(it.memory_bytes)}; "
            f"{it.queued:,} records wait, {_mib(it.queued_bytes)}"
        )


async def instances(visit: Visit) -> Response:
    """The page `/instances`."""
    operations = visit.operations
    wanted = {key: visit.asked(key) for key in ("app", "env", "state")}
    drops = await operations.instances.drops()
    rows = [_row(operations, known, drops) for known in operations.instances.all()]
    # Those that are gone pile up; they are shown when they are asked for.
    chosen = [
        row
        for row in rows
        if wanted["app"] in {"", row.process.app}
        and wanted["env"] in {"", row.process.env}
        and (row.state.is_live if not wanted["state"] else _is(row, wanted["state"]))
    ]
    chosen.sort(key=lambda row: (row.process.app, row.process.env, row.process.started))
    return visit.page(
        "instances.html",
        rows=chosen[:ROWS_SHOWN],
        hidden=max(0, len(chosen) - ROWS_SHOWN),
        gone=sum(not row.state.is_live for row in rows),
        wanted=wanted,
        apps=sorted({row.process.app for row in rows}),
        envs=sorted({row.process.env for row in rows} - {""}),
        base_url=visit.base_url,
    )


def _row(
    operations: Operations,
    known: KnownInstance,
    drops: Mapping[str, Mapping[str, int]],
) -> InstanceRow:
    return InstanceRow(
        known=known,
        state=operations.instances.state(known),
        probes=operations.instances.wanted_count(known),
        drops=drops.get(known.instance.id, {}),
        cost=operations.instances.cost(known),
        protection=operations.instances.protection(known),
        has_said=operations.instances.has_heard(known),
    )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB"


def _is(row: InstanceRow, state: str) -> bool:
    return state in {"all", row.state.value}
