"""Whom an app is to refuse: users, addresses and networks that an operator named."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remora.errors import WireError
from remora.protocol import parse_duration
from remora.server.domain.attack_records import ACTOR_CHARACTERS, read_address
from remora.server.domain.clock import to_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCKS_LIMIT = 10_000
"""Blocks of a server: each push carries an app's whole list, at this size some 300 KB
in every instance. More addresses than that are a network, or a firewall's task."""

WIDEST = {4: 8, 6: 16}
"""The shortest prefix that may be blocked: a wider network is a slip of the hand that
would refuse a good part of all users."""

REASON_CHARACTERS = 500
APP_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Block:
    """One entry of the list: `app` empty is every app, `expires_at` 0 is never."""

    app: str
    actor: str
    reason: str
    created: int
    created_by: str
    expires_at: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What no two blocks share."""
        return self.app, self.actor

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Operator endpoints."""
        return {
            "actor": self.actor,
            "app": self.app,
            "reason": self.reason,
            "created": self.created,
            "created_by": self.created_by,
            "expires_at": self.expires_at,
        }


class BlockIndex:
    """Finds what blocks an actor, by its name or by a network around it."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = {each.key: each for each in blocks}
        self._lengths: set[tuple[int, int]] = set()
        for each in self._blocks.values():
            if each.actor.startswith("network:"):
                network = ipaddress.ip_network(each.actor.removeprefix("network:"))
                self._lengths.add((network.version, network.prefixlen))

    def find(self, app: str, actor: str) -> Block | None:
        """The block that concerns this actor in this app."""
        for name in (actor, *self._networks(actor)):
            for key in ((app, name), ("", name)):
                if key in self._blocks:
                    return self._blocks[key]
        return None

    def _networks(self, actor: str) -> Iterator[str]:
        """The networks around an address that somebody may have blocked."""
        kind, _, text = actor.partition(":")
        if kind != "address" or not self._lengths:
            return
        address = ipaddress.ip_address(text)
        for version, length in self._lengths:
            if version == address.version:
                around = ipaddress.ip_network((address, length), strict=False)
                yield f"network:{around}"


@dataclass(frozen=True, slots=True)
class BlockedActors:
    """What the instances of one app are told, and a name that no other list has."""

    actors: tuple[str, ...] = ()
    name: str = ""


def make_block(
    actor: str, *, app: str, reason: str, expires: str, now: int, who: str
) -> Block:
    """A block as a person asks for it. Raises WireError, ProbeError."""
    if len(app) > APP_CHARACTERS or len(reason) > REASON_CHARACTERS:
        raise WireError(
            f"app = {app[:60]!r} may have {APP_CHARACTERS} characters and reason = "
            f"{reason[:60]!r} {REASON_CHARACTERS}: write less"
        )
    expires_at = now + to_ns(parse_duration(expires, "expires")) if expires else 0
    return Block(app, read_actor(actor), reason, now, who, expires_at)


def read_actor(text: str) -> str:
    """`user:ID`, `address:IP` or `network:IP/BITS` of what a person wrote.

    An address or a network needs no word before it. Raises WireError.
    """
    kind, _, name = text.partition(":")
    if kind == "user" and 0 < len(name) <= ACTOR_CHARACTERS - len("user:"):
        return text
    plain = name if kind in {"address", "network"} else text
    try:
        network = ipaddress.ip_network(plain, strict=False)
    except ValueError:
        raise WireError(
            f"actor = {text[:100]!r} cannot be blocked: write user:ID, an address "
            "such as 192.0.2.7, or a network such as 192.0.2.0/24"
        ) from None
    if network.num_addresses == 1:
        return f"address:{read_address(str(network.network_address))}"
    if network.prefixlen < WIDEST[network.version]:
        raise WireError(
            f"actor = {text[:100]!r} is wider than /{WIDEST[network.version]}: block "
            "narrower networks"
        )
    return f"network:{network}"


def meant_actor(text: str) -> str:
    """The actor that a person who looks for `text` means; an address needs no word."""
    try:
        return read_actor(text)
    except WireError:
        return text


def blocked_in(app: str, blocks: Iterable[Block]) -> BlockedActors:
    """Whom the instances of `app` are to refuse, in the order of their names."""
    actors = sorted({each.actor for each in blocks if each.app in {"", app}})
    if not actors:
        return BlockedActors()
    text = "\n".join(actors).encode("utf-8", "replace")
    return BlockedActors(tuple(actors), hashlib.sha256(text).hexdigest()[:32])
