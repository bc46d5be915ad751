"""What an instance says of its protection: sinks by pack, and what came of rules.

Hundreds of probes in hundreds of instances would be a flood; so the probes of a pack
are told by their names, and with more only where something is wrong. Imported where
there is protection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.errors import WireError
from remora.protocol.protect import MODES
from remora.protocol.rules import RULES_LIMIT
from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    Entry = TypeVar("Entry")

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
    has not imported, which is no fault.
    """

    pack: str
    detector: str
    mode: str
    guarded: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    flaws: tuple[Flaw, ...] = ()
    places: int = 0
    checks: int = 0

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
    table = _table(value)
    return ProtectionState(
        mode=_text(table, "mode"),
        complaint=_text(table, "complaint"),
        requests=_count(table, "requests"),
        refused=_count(table, "refused"),
        packs=_list(table, "packs", PACKS_LIMIT, _pack),
        rules=_list(table, "rules", RULES_LIMIT, _rule),
    )


def _pack(value: object) -> PackState:
    table = _table(value)
    mode = _text(table, "mode")
    if mode not in MODES:
        raise WireError(f"protection: mode = {mode[:60]!r} is not known")
    return PackState(
        pack=_text(table, "pack"),
        detector=_text(table, "detector"),
        mode=mode,
        guarded=_list(table, "guarded", NAMES_LIMIT, _name),
        waiting=_list(table, "waiting", NAMES_LIMIT, _name),
        flaws=_list(table, "flaws", FLAWS_LIMIT, _flaw),
        places=_count(table, "places"),
        checks=_count(table, "checks"),
    )


def _flaw(value: object) -> Flaw:
    table = _table(value)
    return Flaw(_text(table, "probe"), _text(table, "state"), _text(table, "reason"))


def _rule(value: object) -> RuleState:
    table = _table(value)
    return RuleState(
        _text(table, "id"), _count(table, "decided"), _text(table, "refusal")
    )


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise WireError(f"protection: {str(value)[:60]!r} is no name")
    return value[:_TEXT_LIMIT]


def _list(
    table: Mapping[str, object], key: str, limit: int, read: Callable[[object], Entry]
) -> tuple[Entry, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or len(value) > limit:
        raise WireError(f"protection.{key} is no list of up to {limit}")
    return tuple(map(read, value))


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise WireError(f"protection: {str(value)[:60]!r} is no object")
    return value


def _text(table: Mapping[str, object], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise WireError(f"protection.{key} = {str(value)[:60]!r} is no text")
    return value[:_TEXT_LIMIT]


def _count(table: Mapping[str, object], key: str) -> int:
    value = table.get(key, 0)
    if not isinstance(value, int) or value is True or not 0 <= value < 2**63:
        raise WireError(f"protection.{key} = {str(value)[:60]!r} is no count")
    return value
