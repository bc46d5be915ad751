"""What the server asks for: probes, refusals, rules, answers. Done, or not and why.

Everything here runs in the agent's thread. A process without a server never loads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent import account
from remora.agent.control import plan
from remora.agent.request import protection
from remora.agent.runtime import originals
from remora.errors import RemoraError
from remora.protocol import State, Status
from remora.version import __version__

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from remora.agent.control.protection import Protection
    from remora.agent.parts import Parts
    from remora.agent.probes import Probes
    from remora.agent.probes.keeping import Keeping
    from remora.agent.probes.trust import Terms, Trust
    from remora.agent.request.refused import RefusedActors
    from remora.protocol import Cost, Probe
    from remora.protocol.protection import ProtectionState

_OBSERVE = "observe"
"""The level of REMORA_ALLOW at which a server may only look."""

_POINTS_LIMIT = 5000


class Orders:
    """Obeys the server as far as the app allows; the listener of the link."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._trust: Trust | None = None
        self._keeping: Keeping | None = None
        self._refused: RefusedActors | None = None
        self._last: tuple[list[Probe], list[Status], int] = ([], [], 0)
        self._actors: tuple[str, ...] = ()
        self._doubtful: set[str] = set()
        self._is_recalled = False
        self._looked_at = originals.time_ns()

    def apply(self, probes: list[Probe], refused: list[Status], revision: int) -> None:
        """Make the server's probes the ones that are installed besides our own."""
        self._last, self._is_recalled = (probes, refused, revision), False
        registry = self._wake(probes, refused)
        if registry is None:
            if not probes:
                self._remember(())
            return
        files = {probe.id for probe in self._parts.files}
        own = files | self._parts.pack_ids()
        installed = {k: v for k, v in registry.installed().items() if k not in own}
        taken = [_taken(probe) for probe in probes if probe.id in files]
        registry.store.look()
        wanted, kept = self._keep(
            installed.keys(), [probe for probe in probes if probe.id not in files]
        )
        changes = plan(installed, wanted)
        registry.remove(changes.remove)
        anew = [
            p for p in wanted if p.id in self._doubtful and p == installed.get(p.id)
        ]
        self._doubtful = set()
        asked = (*changes.replace, *changes.add, *anew)
        # before the registry's lock is taken: verifying imports a library
        distrusted, terms = self._distrust(asked)
        registry.add(asked, self._parts.settings.text("allow"), distrusted, terms)
        registry.keep(kept)
        unread = (status for status in refused if status.probe not in kept)
        registry.remember_refused([*unread, *taken])
        self._remember(own)

    def recall(self, probes: list[Probe], refused: list[Status], source: str) -> None:
        """Obey these as a push, before there was one; `source` is where they are from.

        What is for other instances is passed over: a server would not have sent it.
        """
        trust, instance = self.find_trust(), self._parts.instance
        if trust is None:
            return
        meant = [p for p in probes if not p.scope.refusal(instance, p.id)]
        against = trust.refuse_recalled(meant, instance)
        unread = [Status(name, State.FAILED, why) for name, why in against.items()]
        held = [probe for probe in meant if probe.id not in against]
        self.apply(held, [*refused, *unread], 0)
        self._is_recalled = True
        self._parts.probes.keep({probe.id: source for probe in held})

    def _remember(self, own: Container[str]) -> None:
        """Keep what is signed and in force for a start without a server."""
        registry, trust = self._parts.probes, self._trust
        # What was switched off as a whole is not over for that.
        if trust is None or registry.off:
            return
        in_force = {k: v for k, v in registry.in_force().items() if k not in own}
        trust.remember(in_force, {} if self._keeping is None else self._keeping.words)

    def _wake(self, probes: list[Probe], refused: list[Status]) -> Probes | None:
        """Who has probes here; None where there is nothing to have, or nobody can."""
        if self._parts.store is None and not probes:
            self._parts.probes.remember_refused(refused)
            return None
        try:
            return self._parts.wake()
        except ImportError as error:
            lack = f"its code cannot be imported ({error}): restart the app"
            failed = (Status(probe.id, State.FAILED, lack) for probe in probes)
            self._parts.probes.remember_refused([*refused, *failed])
            return None

    def look_again(self) -> None:
        """Obey the last push anew where a signature that counted for it has ended."""
        before, self._looked_at = self._looked_at, originals.time_ns()
        trust = self._trust
        if trust is None or not trust.ends_between(before, self._looked_at):
            return
        self.refuse(self._actors)
        if self._is_recalled:
            # Nobody wants it beyond its signature.
            probes, refused, _ = self._last
            held = [probe for probe in probes if trust.vouches_for(probe)]
            self.recall(held, refused, "REMORA_STATE has it")
        else:
            self.apply(*self._last)
            if self._parts.guarding is not None:
                self._parts.guarding.obey_again()

    def _keep(
        self, pushed: Container[str], wanted: list[Probe]
    ) -> tuple[Sequence[Probe], Mapping[str, str]]:
        """What is to stand here, and by id why what was pushed before stays."""
        if self._trust is None:
            return wanted, {}
        if self._keeping is None:
            # Late, because only few processes ever get a signed probe.
            from remora.agent.probes.keeping import Keeping

            allowed = self._parts.settings.text("allow")
            self._keeping = Keeping(self._trust, allowed)
        in_force = {
            name: probe
            for name, probe in self._parts.probes.in_force().items()
            if name in pushed
        }
        choice = self._keeping.choose(in_force, wanted, self._parts.instance)
        return choice.wanted, choice.kept

    def refuse(self, actors: tuple[str, ...]) -> None:
        """Know whose requests are to be refused, where the app lets a server say it."""
        self._actors = actors
        reason = self._against_blocks() if actors else ""
        if reason:
            actors = ()
        if reason != self._parts.ignored:
            self._parts.ignored = reason
            if reason and self._trust is not None:
                self._trust.report(reason)
        if self._refused is None and actors:
            # Late, because most processes never refuse anybody.
            from remora.agent.request.refused import refused_actors

            self._refused = protection.listed = refused_actors
            self._parts.undo.append(refused_actors.clear)
        if self._refused is not None:
            self._refused.replace(actors)

    def _against_blocks(self) -> str:
        """Why this app takes no block list from its server; empty where it does."""
        reason = ""
        if self._parts.settings.text("allow") == _OBSERVE:
            reason = "REMORA_ALLOW is observe"
        elif (trust := self.find_trust()) is not None:
            reason = trust.against("refuse")
        return reason and f"the server's block list is ignored: {reason}"

    def rule(self, rules: object) -> None:
        """Let the server's rules of protection hold, as far as the app lets it."""
        if rules or self._parts.guarding is not None:
            self._guarding().obey(rules)

    def protection(self) -> ProtectionState | None:
        """How this process is protected, where it is."""
        if self._parts.guarding is None and not protection.watches:
            return None
        return self._guarding().state(self._parts.probes.statuses())

    def _guarding(self) -> Protection:
        """Made here where a server protects an app that does not do so by itself."""
        parts = self._parts
        if parts.guarding is None:
            parts.guard(parts.make_protection(parts.settings, parts.carried))
        assert parts.guarding is not None
        parts.guarding.against_raising = self._against_raising
        return parts.guarding

    def _against_raising(self) -> str:
        """Why no rule of the server may block more; empty where it may."""
        trust = self.find_trust()
        return "" if trust is None else trust.against("modes")

    def _distrust(
        self, probes: Iterable[Probe]
    ) -> tuple[dict[str, str], dict[str, Terms]]:
        """By id, what is against probes that need trust, and what bounds the others."""
        concerned = [each for each in probes if each.needs_trust or each.signature]
        trust = self.find_trust() if concerned else None
        if trust is None:
            return {}, {}
        instance = self._parts.instance
        words = {} if self._keeping is None else self._keeping.words
        return trust.refuse_all(concerned, instance), trust.terms(concerned, words)

    def find_trust(self) -> Trust | None:
        """Who judges signatures here, where the app wants any."""
        settings = self._parts.settings
        keys = settings.texts("public_key")
        if keys and self._trust is None:
            # Late, because only few processes ever get a signed probe.
            from remora.agent.probes.trust import Trust

            self._trust = Trust(
                keys,
                self._parts.queue.put,
                self._parts.diagnostics,
                settings.text("state"),
            )
        return self._trust

    def obey_policy(self, policy: object) -> None:
        """Take in what the operator lets the server do unsigned.

        Under a new one, what is here unsigned is judged anew by the push it came with.
        """
        trust = self.find_trust()
        if trust is not None and trust.accept_policy(policy, self._parts.instance):
            self._doubtful = {
                name
                for name, probe in self._parts.probes.installed().items()
                if probe.needs_trust and probe.signature is None
            }

    def statuses(self) -> list[Status]:
        """One status for each id, as the server knows ids: a refusal comes last."""
        asked_for = account.asked_for(self._parts)
        return list({status.probe: status for status in asked_for}.values())

    def cost(self) -> Cost:
        """What the agent takes of its process."""
        return account.cost(self._parts)

    def answer(self, query: dict[str, object]) -> dict[str, object]:
        """Answer the server's question; so far there is one, for points."""
        if query.get("kind") != "points":
            return {"error": f"this agent is {__version__}: it has no such query"}
        # Late, because most servers never ask.
        from remora.agent.targets import points
        from remora.protocol import parse_targets

        try:
            targets = parse_targets(query.get("pattern"))
        except RemoraError as error:
            return {"error": str(error)}
        limit = query.get("limit")
        count = limit if isinstance(limit, int) and 0 < limit <= _POINTS_LIMIT else 500
        store = self._parts.wake().store
        store.look()
        found, more = points(targets, store, count)
        return {"points": [point.to_json() for point in found], "more": more}


def _taken(probe: Probe) -> Status:
    """Why a server's probe is not installed where a file has one of its id."""
    reason = f"a probe file of this process has a probe {probe.id!r}: choose another id"
    return Status(probe.id, State.FAILED, reason)
