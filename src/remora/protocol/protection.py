"""What an instance says of its protection: sinks by pack, and what came of rules.

Hundreds of probes in hundreds of instances would be a flood; so the probes of a pack
are told by their names, and with more only where something is wrong. Imported where
there is protection.
"""

from __future__ import annotations

from remora.errors import WireError
from remora.protocol.protect import MODES
from remora.protocol.reading import Message
from remora.protocol.rules import RULES_LIMIT
from remora.protocol.status import NOT_MADE_LIMIT, read_not_made
from remora.values import frozen

PACKS_LIMIT = 20
"""Packs of one instance: those of the wheel are four, all others count as one."""

NAMES_LIMIT = 100
"""Probes of a pack that are named; the packs of the wheel have about a dozen."""

FLAWS_LIMIT = 20
"""Probes of a pack with something wrong that are told of."""

OTHERS = "others"
"""The pack of the protect probes that are in none of the wheel's packs."""

_TEXT_LIMIT = 500


@frozen
class Flaw:
    """A probe that guards nothing, or not all that it should, and why."""

    probe: str
    state: str
    reason: str

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Protection."""
        return {"probe": self.probe, "state": self.state, "reason": self.reason}


@frozen
class PackState:
    """The probes of one pack by their names.

    `guarded` are in place, at `places` in all; `waiting` are for modules that the app
    has not imported, which is no fault. `not_made` counts checks that were not made, by
    reason, which are among the `checks`.
    """

    pack: str
    detector: str
    mode: str
    guarded: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    flaws: tuple[Flaw, ...] = ()
    places: int = 0
    checks: int = 0
    not_made: tuple[tuple[str, int], ...] = ()

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Protection."""
        return {
            "pack": self.pack,
            "detector": self.detector,
            "mode": self.mode,
            "guarded": list(self.guarded[:NAMES_LIMIT]),
            "waiting": list(self.waiting[:NAMES_LIMIT]),
            "flaws": [flaw.to_json() for flaw in self.flaws[:FLAWS_LIMIT]],
            "places": self.places,
            "checks": self.checks,
            "not_made": dict(self.not_made[:NOT_MADE_LIMIT]),
        }


@frozen
class RuleState:
    """A rule in one instance: how often it decided, or why it may not be there."""

    id: str
    decided: int = 0
    refusal: str = ""

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Protection."""
        return {"id": self.id, "decided": self.decided, "refusal": self.refusal}


@frozen
class ProtectionState:
    """`mode` is the app's own setting, `complaint` why it is unprotected, or empty."""

    mode: str
    complaint: str = ""
    requests: int = 0
    refused: int = 0
    packs: tuple[PackState, ...] = ()
    rules: tuple[RuleState, ...] = ()

    @property
    def gist(self) -> tuple[object, ...]:
        """What people should hear of soon: all but the counts that traffic moves."""
        packs = tuple(
            (
                each.pack,
                each.detector,
                each.mode,
                each.places,
                each.flaws,
                each.not_made,
            )
            for each in self.packs
        )
        return self.complaint, packs, tuple(each.refusal for each in self.rules)

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Protection."""
        return {
            "mode": self.mode,
            "complaint": self.complaint,
            "requests": self.requests,
            "refused": self.refused,
            "packs": [pack.to_json() for pack in self.packs[:PACKS_LIMIT]],
            "rules": [rule.to_json() for rule in self.rules[:RULES_LIMIT]],
        }


def parse_protection(value: object) -> ProtectionState:
    """What an agent says of its protection. Raises WireError."""
    message = Message(value, "protection")
    return ProtectionState(
        mode=message.text("mode", _TEXT_LIMIT),
        complaint=message.text("complaint", _TEXT_LIMIT),
        requests=message.count("requests"),
        refused=message.count("refused"),
        packs=message.list("packs", PACKS_LIMIT, _pack),
        rules=message.list("rules", RULES_LIMIT, _rule),
    )


def _pack(value: object) -> PackState:
    message = Message(value, "protection.packs[]")
    mode = message.text("mode", _TEXT_LIMIT)
    if mode not in MODES:
        raise WireError(f"protection.packs[].mode = {mode[:60]!r} is not known")
    return PackState(
        pack=message.text("pack", _TEXT_LIMIT),
        detector=message.text("detector", _TEXT_LIMIT),
        mode=mode,
        guarded=message.list("guarded", NAMES_LIMIT, _name),
        waiting=message.list("waiting", NAMES_LIMIT, _name),
        flaws=message.list("flaws", FLAWS_LIMIT, _flaw),
        places=message.count("places"),
        checks=message.count("checks"),
        not_made=read_not_made(message.at("not_made")),
    )


def _flaw(value: object) -> Flaw:
    message = Message(value, "protection.packs[].flaws[]")
    return Flaw(*(message.text(key, _TEXT_LIMIT) for key in Flaw.__match_args__))


def _rule(value: object) -> RuleState:
    message = Message(value, "protection.rules[]")
    return RuleState(
        message.text("id", _TEXT_LIMIT),
        message.count("decided"),
        message.text("refusal", _TEXT_LIMIT),
    )


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise WireError(f"protection: {str(value)[:60]!r} is no name")
    return value[:_TEXT_LIMIT]
