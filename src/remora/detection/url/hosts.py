"""Where the host of a URL stands, and which input decides a host."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remora.detection.inputs import Input, Occurrence
from remora.detection.url.addresses import plain_host, read_address

if TYPE_CHECKING:
    from collections.abc import Iterable

URL = re.compile(
    r"[\s\x00-\x20]*+(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*+):[/\\]{2,}+(?P<place>[^/?\#\\]*+)"
)
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_OWN_ADDRESSES = frozenset(("referer", "origin"))
"""Headers with the address of the site itself, which may connect to itself."""


def host_span(argument: str, url: re.Match[str]) -> tuple[int, int]:
    """From where to where the host stands: behind a user, before a port."""
    start, end = url.span("place")
    start += argument[start:end].rfind("@") + 1
    closing = (
        argument.find("]", start, end) if argument[start : start + 1] == "[" else 0
    )
    if closing > 0:
        return start, closing + 1
    colon = argument.find(":", start, end)
    return start, colon if colon >= 0 else end


def host_of(argument: str) -> str:
    """The plain host of a URL, or nothing."""
    url = URL.match(argument)
    return plain_host(argument[slice(*host_span(argument, url))]) if url else ""


def is_decided_by(argument: str, place: Occurrence, start: int, end: int) -> bool:
    """Whether an input is the host, or its end with a point in it.

    One that is a label or a number of it was put beside what the app has written, or
    stands there by chance: `10` is in every address of a private network.
    """
    if place.end < end:
        return False
    return place.start <= start or "." in argument[place.start : end]


def taken_from_urls(host: str, port: int, inputs: Iterable[Input]) -> list[Occurrence]:
    """The whole host, by an input that is a URL with the same host and port."""
    plain = plain_host(host)
    for each in inputs:
        if "//" not in each.text or each.parameter.lower() in _OWN_ADDRESSES:
            continue
        url = URL.match(each.text)
        if url is None:
            continue
        start, end = host_span(each.text, url)
        number = each.text[end + 1 : url.end("place")]
        default = _PORTS.get(url.group("scheme").lower(), 0)
        asked = int(number) if number.isdecimal() and len(number) < 6 else default
        given = plain_host(each.text[start:end])
        if asked == port and _is_same_host(given, plain):
            taken = Input(host, each.source, each.parameter, "host")
            return [Occurrence(taken, 0, len(host))]
    return []


def _is_same_host(given: str, plain: str) -> bool:
    if given == plain:
        return True
    address = read_address(given)
    return address is not None and address == read_address(plain)
