"""Who is behind a request: the account, else the address, also behind proxies.

A header that names the client can be sent by anybody, so it is believed only as far as
the proxies that the operator trusts have written it: from the right, each address that
is one of theirs vouches for the one before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.request.adapters import header
from remora.agent.request.context import user_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from remora.agent.request.context import RequestContext

HOPS_LIMIT = 50
"""Addresses of one header that are looked at: real chains have three or four."""


class _Trusted:
    networks: tuple[IPv4Network | IPv6Network, ...] = ()


def trust_proxies(networks: Iterable[str]) -> None:
    """Believe what these say of the client, and only these."""
    # Late, because most apps name no proxy.
    from ipaddress import ip_network

    _Trusted.networks = tuple(ip_network(text, strict=False) for text in networks)


def actor_of(context: RequestContext) -> str:
    """Who is behind it: `user:ID`, else `address:IP`, else `unknown`."""
    user = user_of(context)
    if user is not None:
        return f"user:{user.id}"
    address = client_address(context)
    return f"address:{address}" if address else "unknown"


def client_address(context: RequestContext) -> str:
    """The rightmost address that is no trusted proxy; empty where none is known."""
    address = context.client or ""
    if not _Trusted.networks or not _is_trusted(address):
        return address
    hops = header(context, "x-forwarded-for").split(",")
    if hops == [""]:
        hops = _named_hops(header(context, "forwarded"))
    for hop in reversed(hops[-HOPS_LIMIT:]):
        if not (found := _address(hop)):
            break
        address = found
        if not _is_trusted(address):
            break
    return address


def _named_hops(header: str) -> list[str]:
    """What `for=` says in each element of a Forwarded header (RFC 7239)."""
    hops: list[str] = []
    for element in header.split(",") if header else ():
        named = ""
        for pair in element.split(";"):
            name, _, value = pair.partition("=")
            if name.strip().lower() == "for":
                named = value
        hops.append(named)
    return hops


def _address(hop: str) -> str:
    """The address of a hop, without its port, quotes and brackets; empty if none."""
    text = hop.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return text if _parse(text) is not None else ""


def _is_trusted(address: str) -> bool:
    parsed = _parse(address)
    return parsed is not None and any(parsed in each for each in _Trusted.networks)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    from ipaddress import ip_address

    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
