"""Whom requests are refused to: users, addresses and networks that the server named.

Imported when there is somebody for the first time; without a list nobody asks. The list
is replaced as a whole, in the agent's thread; threads of the app read one or the other.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv6Address

    _Length = tuple[int, int]
    _Prefix = tuple[int, int, int]

_ADDRESS = "address:"
_NETWORK = "network:"


class RefusedActors:
    """Actors as `user:ID` or `address:IP`, and networks of addresses.

    A network is kept as the bits that its addresses share, so that ten thousand of them
    cost a request no more than there are different lengths.
    """

    __slots__ = ("_list",)

    def __init__(self) -> None:
        self._list: tuple[frozenset[str], frozenset[_Length], frozenset[_Prefix]]
        self.clear()

    def __bool__(self) -> bool:
        return any(self._list)

    def replace(self, actors: Iterable[str]) -> None:
        """Refuse these and nobody else; what cannot be read means nobody."""
        names: set[str] = set()
        prefixes: set[_Prefix] = set()
        for actor in actors:
            if not actor.startswith(_NETWORK):
                names.add(actor)
                continue
            try:
                network = ip_network(actor.removeprefix(_NETWORK))
            except ValueError:
                continue
            shift = network.max_prefixlen - network.prefixlen
            bits = int(network.network_address) >> shift
            prefixes.add((network.version, shift, bits))
        lengths = frozenset((version, shift) for version, shift, _ in prefixes)
        self._list = frozenset(names), lengths, frozenset(prefixes)

    def clear(self) -> None:
        """Refuse nobody."""
        self._list = frozenset(), frozenset(), frozenset()

    def hold(self, actor: str) -> bool:
        """Whether this actor is to be refused; never raises."""
        names, lengths, prefixes = self._list
        if actor in names:
            return True
        if not actor.startswith(_ADDRESS) or not (names or prefixes):
            return False
        address = _read(actor.removeprefix(_ADDRESS))
        if address is None:
            return False
        number, version = int(address), address.version
        return f"{_ADDRESS}{address}" in names or any(
            version == each and (version, shift, number >> shift) in prefixes
            for each, shift in lengths
        )


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """An address; one of IPv4 that came over IPv6 counts as what it is."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


refused_actors = RefusedActors()
"""The list of this process, for the adapters that open requests."""
