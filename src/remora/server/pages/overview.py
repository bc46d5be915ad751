"""The first page: how much there is of everything, and what needs attention."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remora.protocol import State
from remora.server.domain import AttackFilter, InstanceState, now_ns

if TYPE_CHECKING:
    from starlette.responses import Response

    from remora.server.operations import Operations
    from remora.server.pages.frame import Visit

NEEDS_ATTENTION = {state.value for state in State if state.meaning.needs_attention}

PROBES_EXPLAINED = 30
"""Probes whose reasons are listed; each is a read of the store."""

ATTACKED_SINCE_NS = 24 * 3600 * 10**9
ATTACKED_SHOWN = 5
"""Lines under attack in the last day: who sees more than these goes to their page."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What some instances say of a probe that does not do all it should."""

    probe: str
    state: str
    reason: str
    instances: int


async def overview(visit: Visit) -> Response:
    """The page `/`."""
    operations = visit.operations
    known = operations.instances.all()
    states = Counter(operations.instances.state(entry) for entry in known)
    counts = await operations.store.records.counts()
    drops: Counter[str] = Counter()
    for reasons in (await operations.instances.drops()).values():
        drops.update(reasons)
    return visit.page(
        "overview.html",
        states={state.value: states[state] for state in InstanceState},
        silent=[
            entry
            for entry in known
            if operations.instances.state(entry)
            in {InstanceState.SILENT, InstanceState.UNSERVED}
        ],
        state_of=lambda entry: operations.instances.state(entry).value,
        has_instances=bool(known),
        probes=len(operations.probes.all()),
        records=sum(counts.values()),
        attacks=(await operations.store.sizes())["attacks"],
        drops=drops.most_common(),
        troubles=await _troubles(operations),
        kept=await operations.probes.kept.overview(),
        unprotected=[app for app in operations.rules.guarded() if app.complaints],
        attacked=await _attacked(operations),
        base_url=visit.base_url,
    )


async def _attacked(operations: Operations) -> list[dict[str, object]]:
    """The lines that were attacked in the last day, without those all excepted."""
    lately = AttackFilter(since=now_ns() - ATTACKED_SINCE_NS, limit=ATTACKED_SHOWN)
    found = await operations.attacks.vulnerabilities(lately)
    return [each.to_json() for each in found if each.excepted < each.attacks]


async def _troubles(operations: Operations) -> list[Trouble]:
    live = {known.instance.id for known in operations.instances.live()}
    stored = {each.probe.id for each in operations.probes.all()}
    states = await operations.store.probes.states()
    troubled = sorted(
        {
            probe_id
            for probe_id, instance_id, state, _ in states
            if state in NEEDS_ATTENTION and instance_id in live and probe_id in stored
        }
    )
    found: list[Trouble] = []
    for probe_id in troubled[:PROBES_EXPLAINED]:
        said = Counter(
            (status.state.value, status.reason)
            for known, status in await operations.probes.statuses(probe_id)
            if known.instance.id in live and status.state.value in NEEDS_ATTENTION
        )
        found += [
            Trouble(probe_id, state, reason, count)
            for (state, reason), count in said.most_common(5)
        ]
    return found
