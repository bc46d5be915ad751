"""Attacks, grouped by the place to be mended and by who made them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

DETECTORS = frozenset(
    (
        *("sql", "shell", "path", "url", "code", "template", "markup"),
        *("xml", "ldap", "xpath", "nosql", "deserialization", "redirect"),
    )
)
"""The detectors that there are; metrics count any other name as `other`, so that no
agent can make up labels without end."""


@dataclass(frozen=True, slots=True)
class Attack:
    """What the store keeps of an attack beside its record: how it is found again."""

    detector: str
    blocked: bool
    actor: str
    method: str
    route: str
    place: tuple[str, ...]
    excepted: bool = False

    def vulnerability(self, app: str) -> str:
        """The name of the place in the code of `app` where this detector found it."""
        text = "\0".join((app, self.detector, *self.place))
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class StoredAttack:
    """An attack of the store, under the id that its record has."""

    id: int
    instance: str
    app: str
    env: str
    vulnerability: str
    body: bytes

    def to_json(self) -> dict[str, object]:
        """The record with what the server knows of its origin."""
        return {
            **msgspec.json.decode(self.body),
            "id": self.id,
            "instance": self.instance,
            "app": self.app,
            "env": self.env,
            "vulnerability": self.vulnerability,
        }


@dataclass(frozen=True, slots=True)
class AttackFilter:
    """Which attacks are asked for; an empty text holds for all. Newest come first."""

    app: str = ""
    env: str = ""
    detector: str = ""
    actor: str = ""
    vulnerability: str = ""
    since: int = 0
    before: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A place in the code where a detector found attacks; `newest` is one of them.

    `excepted` are those that a rule let pass.
    """

    id: str
    detector: str
    attacks: int
    blocked: int
    excepted: int
    actors: int
    first: int
    last: int
    newest: StoredAttack

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Operator endpoints."""
        record = self.newest.to_json()
        return {
            "id": self.id,
            "app": self.newest.app,
            "detector": self.detector,
            "site": record.get("site", ""),
            "sentence": record.get("sentence", ""),
            "place": own_frame(record),
            "attacks": self.attacks,
            "blocked": self.blocked,
            "excepted": self.excepted,
            "actors": self.actors,
            "first": self.first,
            "last": self.last,
            "newest": self.newest.id,
        }


@dataclass(frozen=True, slots=True)
class Account:
    """Who attacked an app, and how often."""

    app: str
    actor: str
    attacks: int
    blocked: int
    excepted: int
    detectors: tuple[str, ...]
    first: int
    last: int

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Operator endpoints."""
        return {
            "app": self.app,
            "actor": self.actor,
            "attacks": self.attacks,
            "blocked": self.blocked,
            "excepted": self.excepted,
            "detectors": list(self.detectors),
            "first": self.first,
            "last": self.last,
        }


@dataclass(frozen=True, slots=True)
class Touched:
    """A route that somebody used: how often in attacks, and in other records."""

    method: str
    route: str
    attacks: int = 0
    records: int = 0

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Operator endpoints."""
        return {
            "method": self.method,
            "route": self.route,
            "attacks": self.attacks,
            "records": self.records,
        }


def own_frame(record: Mapping[str, object]) -> dict[str, object]:
    """The innermost frame of the app's own code, where there is one."""
    stack = record.get("stack")
    for frame in stack if isinstance(stack, list) else ():
        if isinstance(frame, dict) and frame.get("own") is True:
            return frame
    return {}


def detector_label(detector: str) -> str:
    """The name that metrics count a detector under."""
    return detector if detector in DETECTORS else "other"
