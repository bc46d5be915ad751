"""Instances: registration, presence, and the set of probes that each is to have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from remora.server.domain import (
    BlockedActors,
    InstanceState,
    KnownInstance,
    RuledSet,
    TokenForbiddenError,
    UnknownInstanceError,
    blocked_in,
    check_instance_id,
    now_ns,
    rules_in,
    set_name,
    wanted_in,
)
from remora.server.operations.acting import ActingProbes, held_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remora.protocol import Cost, Instance, State
    from remora.protocol.policy import Policy
    from remora.protocol.protection import ProtectionState
    from remora.server.domain import Block, Caller, StoredProbe, StoredRule
    from remora.server.operations.hub import Hub
    from remora.server.store import InstanceStore


NO_RULES = RuledSet()

_PUSHES = 32
"""Messages that are kept: a push is one or a few, and each may be a megabyte."""


@dataclass(frozen=True, slots=True)
class WantedSet:
    """What an instance is to have, and what is held back from it, with the reasons.

    `blocked` are the actors that it is to refuse, `rules` the list of them as JSON.
    """

    probes: tuple[StoredProbe, ...] = ()
    held: tuple[tuple[str, str], ...] = ()
    policy: Policy | None = None
    blocked: tuple[str, ...] = ()
    rules: bytes = NO_RULES.encoded


class Instances:
    """The instances, held in memory and written through to the store.

    `last_seen` alone is written late, by `flush`: every message changes it. What the
    agents cost and guard is of the moment and stays in memory.
    """

    def __init__(self, store: InstanceStore, hub: Hub, ping_s: float) -> None:
        self._store = store
        self._hub = hub
        self._ping_s = ping_s
        self._known: dict[str, KnownInstance] = {}
        self._at: dict[tuple[str, ...], str] = {}
        self._unsaved: set[str] = set()
        self._costs: dict[str, Cost] = {}
        self._protections: dict[str, ProtectionState] = {}
        self._heard: set[str] = set()
        self._probes: tuple[StoredProbe, ...] = ()
        self._blocks: tuple[Block, ...] = ()
        # By app, as far as anybody has asked since the blocks changed.
        self._blocked: dict[str, BlockedActors] = {}
        self._rules: tuple[StoredRule, ...] = ()
        self._ruled: dict[tuple[str, str], RuledSet] = {}
        # Few different sets serve many instances: by name, for pushes and for lists.
        self._sets: dict[str, WantedSet] = {}
        self._encoded: dict[int, msgspec.Raw] = {}
        self._pushes: dict[tuple[str, int], bytes] = {}
        self._revision = 0
        self._acting = ActingProbes()
        self.policies: tuple[Policy, ...] = ()
        """What operators let this server do unsigned; the first that fits counts."""

    async def load(self) -> None:
        """Read what the store has."""
        self._known = {entry.instance.id: entry for entry in await self._store.all()}

    async def register(self, instance: Instance, caller: Caller) -> KnownInstance:
        """Take in an instance, or what has changed of it, and its master."""
        check_instance_id(instance.id)
        _check_app(instance, caller)
        entries = [self._entry(instance)]
        if instance.master is not None:
            check_instance_id(instance.master.id)
            _check_app(instance.master, caller)
            entries.append(self._entry(replace(instance.master, role="master")))
        entries += self._end_earlier(instance)
        for entry in entries:
            self._known[entry.instance.id] = entry
        await self._store.save(entries)
        return self._known[instance.id]

    def _end_earlier(self, instance: Instance) -> list[KnownInstance]:
        """What the same process was before it became another program by `exec`.

        It could say no goodbye. One with a connection is another process, whatever it
        says of itself.
        """
        place = (instance.app, instance.host, instance.container, str(instance.pid))
        before, self._at[place] = self._at.get(place, ""), instance.id
        known = self._known.get(before)
        if known is None or before == instance.id or known.left is not None:
            return []
        if self._hub.connection(before) is not None:
            return []
        return [replace(known, left="its process has become another program")]

    def get(self, instance_id: str, caller: Caller | None = None) -> KnownInstance:
        """An instance by its id. Raises UnknownInstanceError, TokenForbiddenError."""
        known = self._known.get(instance_id)
        if known is None:
            raise UnknownInstanceError(
                f"the server does not know the instance {instance_id[:60]!r}: it has "
                "to register first"
            )
        if caller is not None:
            _check_app(known.instance, caller)
        return known

    def touch(self, instance_id: str, caller: Caller) -> KnownInstance:
        """Note a sign of life, and of its master's, which forked it."""
        now = now_ns()
        known = self.get(instance_id, caller)
        if self._wanted(known).held:
            # whom it was held back for may be back
            known = self._settled(known)
        self._known[instance_id] = replace(known, last_seen=now)
        self._unsaved.add(instance_id)
        if (master := self._known.get(known.master_id)) is not None:
            # What is still under way when a process has left brings nobody back.
            left = None if known.left is None else master.left
            self._known[known.master_id] = replace(master, last_seen=now, left=left)
            self._unsaved.add(known.master_id)
        return self._known[instance_id]

    def arrive(self, instance_id: str, caller: Caller) -> KnownInstance:
        """Note that an instance listens; one that was gone is back."""
        self._known[instance_id] = replace(self.get(instance_id, caller), left=None)
        known = self._settled(self.touch(instance_id, caller))
        self._known[instance_id] = known
        return known

    async def leave(self, instance_id: str, reason: str, caller: Caller) -> None:
        """Note a goodbye."""
        known = replace(self.touch(instance_id, caller), left=reason)
        self._known[instance_id] = known
        await self._store.save([known, *self._end_master(known.master_id)])

    def _end_master(self, master_id: str) -> list[KnownInstance]:
        """A master has no connection to say goodbye on: it ends with its last child."""
        master = self._known.get(master_id)
        if master is None or any(each.master_id == master_id for each in self.live()):
            return []
        self._known[master_id] = replace(master, left="its last process has ended")
        return [self._known[master_id]]

    async def want(self, probes: Sequence[StoredProbe], revision: int) -> None:
        """Push `probes` to the instances whose set of them has changed."""
        self._probes = tuple(probes)
        self._encoded = {
            stored.sequence: self._encoded.get(stored.sequence)
            or msgspec.Raw(msgspec.json.encode(stored.probe.to_json()))
            for stored in self._probes
        }
        await self._push_changes(revision)

    def know_blocks(self, blocks: Sequence[Block]) -> None:
        """From now on a push tells of these; nobody is told before the next one."""
        self._blocks = tuple(blocks)
        self._blocked = {}

    async def block(self, blocks: Sequence[Block], revision: int) -> None:
        """Push `blocks` to the instances of the apps whose list has changed."""
        self.know_blocks(blocks)
        await self._push_changes(revision)

    def know_rules(self, rules: Sequence[StoredRule]) -> None:
        """From now on a push tells of these; nobody is told before the next one."""
        self._rules = tuple(rules)
        self._ruled = {}

    async def rule(self, rules: Sequence[StoredRule], revision: int) -> None:
        """Push `rules` to the instances of the apps whose rules have changed."""
        self.know_rules(rules)
        await self._push_changes(revision)

    async def _push_changes(self, revision: int) -> None:
        self._revision = max(self._revision, revision)
        self._sets = {}
        self._pushes = {}
        changed: list[KnownInstance] = []
        for known in self.live():
            settled = self._settled(known)
            if settled is not known:
                self._known[known.instance.id] = settled
                changed.append(settled)
        self._hub.wake(known.instance.id for known in changed)
        if changed:
            await self._store.save(changed)

    def note_acting(self, instance_id: str, stored: StoredProbe, state: State) -> None:
        """Keep where an acting probe is in force."""
        if stored.probe.may_be_held:
            self._acting.note(stored.probe.id, instance_id, state)

    def forget_acting(self, probe_id: str) -> None:
        """A probe was removed or written anew: whoever wrote it answers for it."""
        self._acting.forget(probe_id)

    def push(self, known: KnownInstance) -> bytes:
        """The message of docs/protocol.md, section Push, made once for its readers."""
        name = known.wanted, known.revision
        if known.wanted not in self._sets:
            return self._encode(known)
        if name not in self._pushes:
            if len(self._pushes) >= _PUSHES:
                self._pushes.clear()
            self._pushes[name] = self._encode(known)
        return self._pushes[name]

    def _encode(self, known: KnownInstance) -> bytes:
        wanted = self._wanted(known)
        message: dict[str, object] = {
            "revision": known.revision,
            "probes": [self._encoded[stored.sequence] for stored in wanted.probes],
            "held": [
                {"id": probe_id, "reason": reason} for probe_id, reason in wanted.held
            ],
            "blocked": wanted.blocked,
            "rules": msgspec.Raw(wanted.rules),
        }
        if wanted.policy is not None:
            message["policy"] = wanted.policy.to_json()
        return msgspec.json.encode(message)

    def state(self, known: KnownInstance) -> InstanceState:
        """The state of an instance now."""
        connected = self._hub.connection(known.instance.id) is not None
        return known.state(now_ns(), self._ping_s, connected=connected)

    def live(self) -> list[KnownInstance]:
        """The instances whose processes are believed to run."""
        return [known for known in self.all() if self.state(known).is_live]

    def all(self) -> list[KnownInstance]:
        """Every instance, the longest known first."""
        return list(self._known.values())

    def wanted_count(self, known: KnownInstance) -> int:
        """How many probes an instance was last told to have."""
        return len(self._wanted(known).probes)

    def having(self, stored: StoredProbe) -> list[KnownInstance]:
        """The live instances that are to have a probe."""
        names = {name for name, each in self._sets.items() if stored in each.probes}
        return [known for known in self.live() if known.wanted in names]

    def note_cost(self, instance_id: str, cost: Cost) -> None:
        """Keep what an agent says that it takes of its process."""
        self._costs[instance_id] = cost

    def cost(self, known: KnownInstance) -> Cost | None:
        """What the agent last said that it takes, or None."""
        return self._costs.get(known.instance.id)

    def note_protection(self, instance_id: str, state: ProtectionState) -> None:
        """Keep what an agent says of its protection."""
        self._protections[instance_id] = state

    def note_heard(self, instance_id: str) -> None:
        """An agent has said how things are, since this server began."""
        self._heard.add(instance_id)

    def has_heard(self, known: KnownInstance) -> bool:
        """Whether this instance has; what it guards is not known before."""
        return known.instance.id in self._heard

    def protection(self, known: KnownInstance) -> ProtectionState | None:
        """What the agent last said of its protection, or None."""
        return self._protections.get(known.instance.id)

    async def drops(self) -> dict[str, dict[str, int]]:
        """Dropped records by instance and reason."""
        return await self._store.drops()

    async def flush(self) -> None:
        """Write what has only been noted in memory."""
        unsaved, self._unsaved = self._unsaved, set()
        entries = [self._known[each] for each in unsaved if each in self._known]
        if entries:
            await self._store.save(entries)

    async def forget(self, before: int) -> None:
        """Remove the instances that are gone and were last seen before that time."""
        ids = [
            known.instance.id
            for known in self.all()
            if known.last_seen < before and not self.state(known).is_live
        ]
        for instance_id in ids:
            del self._known[instance_id]
            self._costs.pop(instance_id, None)
            self._protections.pop(instance_id, None)
            self._heard.discard(instance_id)
        self._at = {k: v for k, v in self._at.items() if v in self._known}
        if ids:
            await self._store.forget(ids)

    def _entry(self, instance: Instance) -> KnownInstance:
        now = now_ns()
        earlier = self._known.get(instance.id)
        master_id = "" if instance.master is None else instance.master.id
        entry = KnownInstance(
            instance=replace(instance, master=None),
            first_seen=now if earlier is None else earlier.first_seen,
            last_seen=now,
            revision=0 if earlier is None else earlier.revision,
            wanted="" if earlier is None else earlier.wanted,
            master_id=master_id,
        )
        return self._settled(entry)

    def _wanted(self, known: KnownInstance) -> WantedSet:
        return self._sets.get(known.wanted, WantedSet())

    def _settled(self, known: KnownInstance) -> KnownInstance:
        """`known` with the set of probes of this moment, the same object if it is."""
        probes: list[StoredProbe] = []
        held: list[tuple[str, str]] = []
        for stored in wanted_in(known.instance, self._probes):
            if reason := self._hold(stored, known):
                held.append((stored.probe.id, reason))
            else:
                probes.append(stored)
        policy = self._policy_for(known.instance)
        blocked = self._blocked_in(known.instance)
        ruled = self._ruled_in(known.instance)
        wanted = set_name(probes, held, policy, blocked.name, ruled.name)
        self._sets[wanted] = WantedSet(
            tuple(probes), tuple(held), policy, blocked.actors, ruled.encoded
        )
        if wanted == known.wanted:
            return known
        # Always above the last one: a set can change with no change of any probe, when
        # an instance registers again under another env.
        revision = max(self._revision, known.revision + 1)
        return replace(known, wanted=wanted, revision=revision)

    def _policy_for(self, instance: Instance) -> Policy | None:
        """The policy that counts in an instance."""
        fitting = (p for p in self.policies if not p.scope.refusal(instance, "policy"))
        return next(fitting, None) if instance.role == "serving" else None

    def _blocked_in(self, instance: Instance) -> BlockedActors:
        if instance.role != "serving":
            return BlockedActors()
        if instance.app not in self._blocked:
            self._blocked[instance.app] = blocked_in(instance.app, self._blocks)
        return self._blocked[instance.app]

    def _ruled_in(self, instance: Instance) -> RuledSet:
        if instance.role != "serving":
            return NO_RULES
        key = instance.app, instance.env
        if key not in self._ruled:
            self._ruled[key] = rules_in(*key, self._rules)
        return self._ruled[key]

    def _hold(self, stored: StoredProbe, known: KnownInstance) -> str:
        """Why an acting probe is held back from an instance; empty where it is not."""
        having = (
            self._acting.having(stored.probe.id) if stored.probe.may_be_held else ()
        )
        if known.instance.id in having:
            return ""
        for instance_id in having:
            other = self._known.get(instance_id)
            if (
                other is not None
                and other.instance.app == known.instance.app
                and other.left is None
                and self._hub.connection(instance_id) is None
            ):
                dead = other.instance
                return held_reason(stored.probe.id, dead.host, dead.pid)
        return ""


def _check_app(instance: Instance, caller: Caller) -> None:
    if caller.token.app and caller.token.app != instance.app:
        raise TokenForbiddenError(
            f"the token {caller.name!r} is for the app {caller.token.app!r}, this "
            f"instance belongs to {instance.app!r}: give it a token of its own"
        )
