"""Signed protection stays: a push weakens it only with a signature of its own.

What a key has vouched for, in mode watch or block, is the word that holds here, as long
as its signature does: it is neither taken away nor replaced by what no key vouches for.
So a server that lies, or one that has lost its probes, leaves it as it is; and who
signed it takes it away by signing what comes in its place.

A policy may let a server block where the word says watch. The word is remembered below
what raises it so, and comes back when that goes.

Runs in the agent's thread, before a push is carried out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.probes.permission import refuse_acting
from remora.values import frozen, replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from remora.agent.probes.trust import Trust
    from remora.protocol import Instance, Probe


@frozen
class Choice:
    """The probes that are to stand here after a push, and why against it, by id."""

    wanted: tuple[Probe, ...]
    kept: Mapping[str, str]


class Keeping:
    """Which probes stay against a push, and why; each attempt is recorded once.

    `allowed` is the ceiling of the app: what it refuses can raise nothing.
    """

    def __init__(self, trust: Trust, allowed: str) -> None:
        self._trust = trust
        self._allowed = allowed
        self._words: dict[str, Probe] = {}
        self._told: dict[str, tuple[Probe | None, str]] = {}

    @property
    def words(self) -> Mapping[str, Probe]:
        """By id, the signed protection that holds, be it raised just now or not."""
        return self._words

    def choose(
        self,
        in_force: Mapping[str, Probe],
        wanted: Iterable[Probe],
        instance: Instance,
    ) -> Choice:
        """What is to stand here where these are in force and those are wanted."""
        words = (*self._words.values(), *filter(_protects, in_force.values()))
        self._words = {w.id: w for w in words if self._trust.vouches_for(w)}
        by_id = {probe.id: probe for probe in wanted}
        kept: dict[str, str] = {}
        attempts: dict[str, tuple[Probe | None, str]] = {}
        for name, word in self._words.items():
            successor = by_id.get(name)
            if successor == word:
                continue
            if reason := self._against(successor, word, instance):
                kept[name], by_id[name] = reason, word
                attempts[name] = (successor, reason)
                if self._told.get(name) != attempts[name]:
                    self._trust.report(f"kept: {reason}", word)
        self._told = attempts
        return Choice(tuple(by_id.values()), kept)

    def _against(self, successor: Probe | None, word: Probe, instance: Instance) -> str:
        """Why what is to come in its place does not; empty where it may."""
        if successor is None:
            return "the push that removes it is not signed"
        deed, reason = "replaces", ""
        if successor.signature is None:
            if not _raises(successor, word):
                return "the push that replaces it is not signed"
            deed, reason = "raises", refuse_acting(successor, self._allowed)
        reason = reason or self._trust.refusal(successor, instance)
        return reason and f"the push that {deed} it is not to be trusted: {reason}"


def _protects(probe: Probe) -> bool:
    return probe.protect is not None and probe.protect.mode != "off"


def _raises(successor: Probe, word: Probe) -> bool:
    """Whether it says the same as the word, but for blocking what that watches."""
    assert word.protect is not None
    if word.protect.acts:
        return False
    raised = replace(word.protect, mode="block")
    said = replace(word, protect=raised, signature=None, expires_at=0)
    return replace(successor, expires_at=0) == said
