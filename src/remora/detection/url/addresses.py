"""Hosts of URLs as addresses: every way of writing one, and which are not public."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from urllib.parse import unquote

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PART = re.compile(r"0[xX][0-9a-fA-F]*\Z|\d+\Z")
_LOCAL_NAMES = (
    ".localhost",
    ".local",
    ".internal",
    ".localdomain",
    ".lan",
    ".home.arpa",
)
_NAMES = frozenset(
    ("localhost", "ip6-localhost", "ip6-loopback", "broadcasthost", "metadata",
     "instance-data", "kubernetes", "host")
)  # fmt: skip
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SHARED = ipaddress.ip_network("100.64.0.0/10")


def plain_host(host: str) -> str:
    """The host as a resolver gets it: decoded, one width of letters, lower case."""
    name = unicodedata.normalize("NFKC", unquote(host)).lower()
    return name.replace("\u3002", ".").strip().strip("[]").rstrip(".").partition("%")[0]


def read_address(host: str) -> Address | None:
    """The address that a plain host writes: decimal, octal, hex, in any length."""
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host)
        except ValueError:
            return None
    parts = host.split(".")
    if len(parts) > 4 or not all(_PART.match(part) for part in parts):
        return None
    numbers = [_number(part) for part in parts]
    *firsts, last = numbers
    if any(number is None or number > 255 for number in firsts):
        return None
    if last is None or last >= 256 ** (5 - len(parts)):
        return None
    value = last
    for place, number in enumerate(firsts):
        value += (number or 0) << (24 - 8 * place)
    return ipaddress.IPv4Address(value)


def _number(part: str) -> int | None:
    """A part as the C library's inet_aton reads it."""
    if len(part) > 20:
        return None
    try:
        if part[:2] in {"0x", "0X"}:
            return int(part[2:] or "0", 16)
        return int(part, 8 if part[0] == "0" and len(part) > 1 else 10)
    except ValueError:
        return None


def inner_address(address: Address) -> Address:
    """The IPv4 address that an IPv6 address carries, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in _NAT64 or 1 < int(address) < 1 << 32:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def address_kind(address: Address) -> str:
    """Why an address is not public, or nothing."""
    inner = inner_address(address)
    if str(inner) in {"169.254.169.254", "169.254.170.2", "fd00:ec2::254"}:
        return "a metadata service"
    if inner.is_loopback or inner.is_unspecified:
        return "this machine"
    if inner.is_link_local:
        return "a link-local address"
    if inner.is_multicast:
        return "a multicast address"
    if inner.is_private or inner.is_reserved or inner in _SHARED:
        return "a private address"
    return ""


def host_kind(plain: str) -> str:
    """Why a plain host is not public, or nothing; names are judged as they are."""
    address = read_address(plain)
    if address is not None:
        return address_kind(address)
    if plain in _NAMES or plain.endswith(_LOCAL_NAMES):
        return "a name of this network"
    return ""
