"""How apps are protected: what their instances say, put together by app."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remora.protocol.protect import MODES
from remora.protocol.status import NOT_MADE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remora.protocol.protection import PackState, ProtectionState, RuleState
    from remora.server.domain.instances import KnownInstance

FLAWS_SHOWN = 20
"""Different flaws of one pack that are listed."""


@dataclass(slots=True)
class GuardedPack:
    """One pack in all instances of an app."""

    pack: str
    detector: str
    modes: dict[str, int] = field(default_factory=dict)
    guarded: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    flaws: dict[tuple[str, str], int] = field(default_factory=dict)
    checks: int = 0
    not_made: dict[str, int] = field(default_factory=dict)

    def add(self, state: PackState) -> None:
        """Count an instance's word in."""
        self.modes[state.mode] = self.modes.get(state.mode, 0) + 1
        self.guarded.update(state.guarded)
        self.waiting.update(state.waiting)
        self.checks += state.checks
        for reason, count in state.not_made:
            if reason in self.not_made or len(self.not_made) < NOT_MADE_LIMIT:
                self.not_made[reason] = self.not_made.get(reason, 0) + count
        for flaw in state.flaws:
            key = flaw.probe, flaw.reason
            if key in self.flaws or len(self.flaws) < FLAWS_SHOWN:
                self.flaws[key] = self.flaws.get(key, 0) + 1

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Operator endpoints."""
        return {
            "pack": self.pack,
            "detector": self.detector,
            "modes": {mode: self.modes[mode] for mode in MODES if mode in self.modes},
            "guarded": sorted(self.guarded),
            "waiting": sorted(self.waiting - self.guarded),
            "flaws": [
                {"probe": probe, "reason": reason, "instances": count}
                for (probe, reason), count in self.flaws.items()
            ],
            "checks": self.checks,
            "not_made": self.not_made,
        }


@dataclass(slots=True)
class GuardedApp:
    """An app, and how many of its living instances say what of their protection."""

    app: str
    instances: int = 0
    guarded: int = 0
    unreported: int = 0
    complaints: dict[str, int] = field(default_factory=dict)
    packs: dict[tuple[str, str], GuardedPack] = field(default_factory=dict)

    def add(self, state: ProtectionState | None, *, has_said: bool) -> None:
        """Count an instance in; one that has said nothing is not known to be bare."""
        self.instances += 1
        self.unreported += not has_said
        if state is None:
            return
        self.guarded += any(pack.guarded for pack in state.packs)
        if state.complaint:
            self.complaints[state.complaint] = (
                self.complaints.get(state.complaint, 0) + 1
            )
        for pack in state.packs:
            key = pack.pack, pack.detector
            self.packs.setdefault(key, GuardedPack(*key)).add(pack)

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Operator endpoints."""
        return {
            "app": self.app,
            "instances": self.instances,
            "guarded": self.guarded,
            "unreported": self.unreported,
            "unprotected": sum(self.complaints.values()),
            "complaints": list(self.complaints),
            "packs": [self.packs[key].to_json() for key in sorted(self.packs)],
        }


@dataclass(slots=True)
class RuleOutcome:
    """What became of a rule in the living instances that are to have it."""

    instances: int = 0
    unreported: int = 0
    decided: int = 0
    refusals: dict[str, int] = field(default_factory=dict)

    def add(self, state: RuleState | None) -> None:
        """Count an instance in."""
        self.instances += 1
        if state is None:
            self.unreported += 1
            return
        self.decided += state.decided
        if state.refusal:
            self.refusals[state.refusal] = self.refusals.get(state.refusal, 0) + 1

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Operator endpoints."""
        return {
            "instances": self.instances,
            "unreported": self.unreported,
            "decided": self.decided,
            "refusals": [
                {"reason": reason, "instances": count}
                for reason, count in self.refusals.items()
            ],
        }


def guarded_apps(
    told: Iterable[tuple[KnownInstance, ProtectionState | None, bool]],
) -> list[GuardedApp]:
    """The apps of these instances by name.

    Of each instance, what it says, and whether it has said anything so far.
    """
    apps: dict[str, GuardedApp] = {}
    for known, state, has_said in told:
        name = known.instance.app
        apps.setdefault(name, GuardedApp(name)).add(state, has_said=has_said)
    return [apps[name] for name in sorted(apps)]
