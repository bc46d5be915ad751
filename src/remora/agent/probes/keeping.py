"""Signed protection stays: a push weakens it only with a signature of its own.

What a key has vouched for, in mode watch or block, is neither taken away nor replaced
by what no key vouches for, as long as its signature holds. So a server that lies, or
one that has lost its probes, leaves it as it is; and who signed it takes it away by
signing what comes in its place.

Runs in the agent's thread, before a push is carried out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from remora.agent.probes.trust import Trust
    from remora.protocol import Instance, Probe


class Keeping:
    """Which probes stay against a push, and why; each attempt is recorded once."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._told: dict[str, tuple[Probe | None, str]] = {}

    def choose(
        self,
        in_force: Mapping[str, Probe],
        wanted: Iterable[Probe],
        instance: Instance,
    ) -> dict[str, str]:
        """By id, the sentence why a probe stays as it is against what is wanted."""
        by_id = {probe.id: probe for probe in wanted}
        kept: dict[str, str] = {}
        attempts: dict[str, tuple[Probe | None, str]] = {}
        for name, probe in in_force.items():
            successor = by_id.get(name)
            if successor == probe or not self._protects(probe):
                continue
            if reason := self._against(successor, instance):
                kept[name] = reason
                attempts[name] = (successor, reason)
                if self._told.get(name) != attempts[name]:
                    self._trust.report(f"kept: {reason}", probe)
        self._told = attempts
        return kept

    def _protects(self, probe: Probe) -> bool:
        """Whether it is protection that a key vouches for."""
        protect = probe.protect
        if protect is None or protect.mode == "off":
            return False
        return self._trust.vouches_for(probe)

    def _against(self, successor: Probe | None, instance: Instance) -> str:
        """Why what is to come in its place does not; empty where it may."""
        if successor is None:
            return "the push that removes it is not signed"
        if successor.signature is None:
            return "the push that replaces it is not signed"
        if reason := self._trust.refusal(successor, instance):
            return f"the push that replaces it is not to be trusted: {reason}"
        return ""
