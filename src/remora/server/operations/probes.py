"""Probes: added, replaced, removed and expired, each with its entry in the audit."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remora.errors import ProbeError
from remora.protocol import State, parse_probe
from remora.protocol.policy import parse_policy
from remora.server.domain import (
    AuditEntry,
    DuplicateProbeError,
    InstanceState,
    KnownInstance,
    StoredProbe,
    UnknownProbeError,
    begin_life,
    now_ns,
)
from remora.server.operations.kept import KeptProbes

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from remora.protocol import Status
    from remora.protocol.policy import Policy
    from remora.server.operations.instances import Instances
    from remora.server.store import Store

EXPIRY = "expiry"
"""Who takes out a probe whose time has come."""

UNREPORTED = "unreported"
"""Where an instance is to have a probe and has not said yet what became of it."""


ELSEWHERE_SHOWN = 20
"""Reasons why instances are not meant: a scope has six keys."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Live instances that a probe is not for, all for one reason; `known` is one."""

    reason: str
    known: KnownInstance
    instances: int


class Probes:
    """The probes, held in memory and written through to the store."""

    def __init__(self, store: Store, instances: Instances) -> None:
        self._store = store
        self._instances = instances
        self.kept = KeptProbes(store.probes, instances)
        self._stored: dict[str, StoredProbe] = {}
        # One change at a time: what is pushed follows the order of what is stored.
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read what the store has."""
        stored = await self._store.probes.all()
        self._stored = {each.probe.id: each for each in stored}
        states = await self._store.probes.states()
        self.kept.load(states, self._stored)
        for probe_id, instance_id, state, _ in states:
            if probe_id in self._stored:
                self._instances.note_acting(
                    instance_id, self._stored[probe_id], State(state)
                )
        self._instances.policies = tuple(await self._store.probes.policies())
        await self._instances.want(stored, await self._store.next_sequence())

    def all(self) -> list[StoredProbe]:
        """Every probe, the oldest first."""
        return list(self._stored.values())

    def get(self, probe_id: str) -> StoredProbe:
        """A probe by its id. Raises UnknownProbeError."""
        stored = self._stored.get(probe_id)
        if stored is not None:
            return stored
        complaint = (
            f"there is no probe {probe_id[:100]!r}: it was removed, has expired, or "
            "never was; list the probes"
        )
        if kept := self.kept.count(probe_id):
            keepers = "1 instance keeps" if kept == 1 else f"{kept} instances keep"
            complaint += (
                f". {keepers} it, because it was signed: `remora probe remove "
                f"{probe_id} --key FILE` takes it away"
            )
        raise UnknownProbeError(complaint)

    async def add(self, source: object, who: str) -> StoredProbe:
        """Take in a probe as a person wrote it, and push it.

        Raises ProbeError, TargetError, ExpressionError, DuplicateProbeError.
        """
        probe = parse_probe(source)
        async with self._changing:
            if probe.id in self._stored:
                raise DuplicateProbeError(
                    f"there is a probe {probe.id!r} already: remove it, replace it, or "
                    "choose another id"
                )
            sequence = await self._store.next_sequence()
            stored = begin_life(probe, sequence=sequence, now=now_ns(), who=who)
            entry = AuditEntry(
                stored.created, who, "probe-add", probe.id, new=stored.probe.to_source()
            )
            await self._store.probes.add(stored, entry)
            self._stored[probe.id] = stored
            self.kept.drop(probe.id)
            await self._instances.want(self.all(), sequence)
        return stored

    async def replace(self, probe_id: str, source: object, who: str) -> StoredProbe:
        """Put a probe in place of the one of that id; its life begins anew."""
        probe = parse_probe(source, default_id=probe_id)
        if probe.id != probe_id:
            raise ProbeError(
                f"id = {probe.id!r} is not {probe_id!r}, which is to be replaced: "
                "leave it out, or add a probe of the new id"
            )
        async with self._changing:
            old = self.get(probe_id)
            sequence = await self._store.next_sequence()
            now = now_ns()
            stored = begin_life(probe, sequence=sequence, now=now, who=who)
            entry = AuditEntry(
                now,
                who,
                "probe-replace",
                probe_id,
                old=old.probe.to_source(),
                new=stored.probe.to_source(),
            )
            await self._store.probes.replace(stored, entry)
            self._stored[probe_id] = stored
            self._instances.forget_acting(probe_id)
            await self._instances.want(self.all(), sequence)
        return stored

    async def remove(self, probe_id: str, who: str) -> None:
        """Take a probe out everywhere; its records stay."""
        async with self._changing:
            old = self.get(probe_id)
            sequence = await self._store.next_sequence()
            action = "probe-expire" if who == EXPIRY else "probe-remove"
            entry = AuditEntry(
                now_ns(), who, action, probe_id, old=old.probe.to_source()
            )
            await self._store.probes.remove(probe_id, entry)
            del self._stored[probe_id]
            self._instances.forget_acting(probe_id)
            await self._instances.want(self.all(), sequence)

    async def set_policy(self, source: object, who: str) -> Policy:
        """Take in a policy in place of the earlier one of its app, and push it.

        Raises ProbeError, TargetError. Agents verify it: the server has no key to.
        """
        policy = parse_policy(source)
        if policy.signature is None:
            raise ProbeError(
                "the policy is not signed, and no app would take it: sign it with "
                "`remora key policy`"
            )
        async with self._changing:
            app = policy.scope.app
            old = [p for p in self._instances.policies if p.scope.app == app]
            entry = AuditEntry(
                now_ns(),
                who,
                "policy-set",
                app or "",
                old=old[0].to_json() if old else None,
                new=policy.to_json(),
            )
            await self._store.probes.save_policy(policy, entry)
            self._instances.policies = tuple(await self._store.probes.policies())
            sequence = await self._store.next_sequence()
            await self._instances.want(self.all(), sequence)
        return policy

    @property
    def policies(self) -> tuple[Policy, ...]:
        """What operators let this server do unsigned, a policy an app."""
        return self._instances.policies

    async def expire(self) -> None:
        """Take out the probes whose time has come."""
        now = now_ns()
        for stored in self.all():
            if 0 < stored.expires_at <= now and stored is self._stored.get(
                stored.probe.id
            ):
                await self.remove(stored.probe.id, EXPIRY)

    async def report(
        self, known: KnownInstance, revision: int, statuses: Sequence[Status]
    ) -> None:
        """Keep what an instance says of its probes.

        What it says of an earlier version of a probe is late, and so is what it says of
        a removed one before it has heard of that.
        """
        if revision >= known.revision:
            unknown = [each for each in statuses if each.probe not in self._stored]
            await self.kept.report(known, unknown)
        current = [
            status
            for status in statuses
            if (stored := self._stored.get(status.probe)) is not None
            and revision >= stored.sequence
            and status.state is not State.REMOVED
        ]
        for status in current:
            stored = self._stored[status.probe]
            self._instances.note_acting(known.instance.id, stored, status.state)
        if current:
            await self._store.probes.save_statuses(known.instance.id, current)

    async def statuses(self, probe_id: str) -> list[tuple[KnownInstance, Status]]:
        """What the instances say of a probe; of those that are gone, the last word."""
        known = {entry.instance.id: entry for entry in self._instances.all()}
        return [
            (known[instance_id], status)
            for instance_id, status in await self._store.probes.statuses(probe_id)
            if instance_id in known
        ]

    def unanswered(
        self, stored: StoredProbe, heard: Container[str]
    ) -> list[tuple[KnownInstance, str]]:
        """The instances that are to have a probe and are not in `heard`, with why."""
        return [
            (known, self._silence(known))
            for known in self._instances.having(stored)
            if known.instance.id not in heard
        ]

    def _silence(self, known: KnownInstance) -> str:
        if self._instances.state(known) is InstanceState.CONNECTED:
            return "it was told and has not answered yet"
        quiet_s = max(0, now_ns() - known.last_seen) // 10**9
        return f"it is not connected: it was last heard of {quiet_s} s ago"

    def elsewhere(self, stored: StoredProbe) -> list[Elsewhere]:
        """Why live instances are not to have a probe, the commonest reason first."""
        meant = {known.instance.id for known in self._instances.having(stored)}
        reasons: Counter[str] = Counter()
        examples: dict[str, KnownInstance] = {}
        for known in self._instances.live():
            if known.instance.id not in meant and (
                reason := self._no_part(stored, known)
            ):
                reasons[reason] += 1
                examples.setdefault(reason, known)
        return [
            Elsewhere(reason, examples[reason], count)
            for reason, count in reasons.most_common(ELSEWHERE_SHOWN)
        ]

    def _no_part(self, stored: StoredProbe, known: KnownInstance) -> str:
        """Why an instance has no part in a probe; what is held back it says itself."""
        process, probe = known.instance, stored.probe
        if process.role == "unserved":
            return f"remora does not serve it: {process.note}"
        if process.role == "master":
            return "it only forks other processes, and those have the probes"
        if not probe.enabled:
            return "the probe is switched off by enabled = false"
        return probe.scope.refusal(process, probe.id) or ""

    async def overview(self, stored: Sequence[StoredProbe]) -> list[dict[str, object]]:
        """Each probe with where it stands, as the API and the pages list them."""
        states = await self._store.probes.states()
        counts = await self._store.records.counts()
        live = {known.instance.id for known in self._instances.live()}
        firings: Counter[str] = Counter()
        said: dict[str, dict[str, str]] = {}
        for probe_id, instance_id, state, count in states:
            firings[probe_id] += count
            if instance_id in live:
                said.setdefault(probe_id, {})[instance_id] = state
        rows: list[dict[str, object]] = []
        for each in stored:
            here = said.get(each.probe.id, {})
            tally = Counter(here.values())
            for known in self._instances.having(each):
                if known.instance.id not in here:
                    tally[UNREPORTED] += 1
            rows.append(
                {
                    "probe": each.probe.to_source(),
                    "created": each.created,
                    "created_by": each.created_by,
                    "expires_at": each.expires_at,
                    "instances": dict(tally),
                    "firings": firings[each.probe.id],
                    "records": counts.get(each.probe.id, 0),
                }
            )
        return rows
