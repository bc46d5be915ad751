"""Judges URLs and hosts that the app connects to (server-side request forgery).

An input that stays in the path or the query is none. Where the input decides the host,
the host must be public or allowed; where the app has named a host and the input moves
it, or where the input decides a scheme other than HTTP's, it is an attack. Names are
not resolved here: who has resolved one hands the addresses in. Where a redirect leads
to is for the caller to take as an input, if an input has chosen the host before.
"""

from __future__ import annotations

import ipaddress
import re
from itertools import chain
from typing import TYPE_CHECKING

from remora.detection.finding import Finding, NotMade, Verdict
from remora.detection.inputs import locate
from remora.detection.url.addresses import (
    address_kind,
    host_kind,
    inner_address,
    plain_host,
    read_address,
)
from remora.detection.url.hosts import URL, host_span, is_decided_by, taken_from_urls

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from remora.detection.inputs import Input, Inputs, Occurrence

URL_LIMIT = 65_536
"""Characters of a URL: more than any server takes."""

_WORK_LIMIT = 1024 * 1024
"""Characters gone over for the inputs of one URL, each of which may be its host."""

_ODD = re.compile(r"[\s\x00-\x20\\]")
_SCHEMES = frozenset(("http", "https", "ws", "wss"))


def judge(
    argument: str,
    inputs: Inputs,
    addresses: Iterable[str] = (),
    allowed: Collection[str] = (),
) -> Verdict:
    """Find the first input that decides where a URL leads.

    `addresses` are what the host resolved to, `allowed` the hosts, `*.domains` and
    networks that inputs may choose.
    """
    places = _places(argument, inputs)
    if isinstance(places, NotMade):
        return places
    url = URL.match(argument)
    for place in places:
        if url is None:
            sentence = _judge_scheme(argument, place)
        else:
            sentence = _judge_url(argument, url, place, tuple(addresses), allowed)
        if sentence:
            return _finding(argument, place, sentence)
    return NotMade(inputs.cut) if inputs.cut else None


def judge_host(
    host: str,
    inputs: Inputs,
    addresses: Iterable[str] = (),
    allowed: Collection[str] = (),
    port: int = 0,
    more: Iterable[Input] = (),
) -> Verdict:
    """Find the first input that decides a host to connect to that is not public.

    An input that is a URL, or one of `more`, decides it too if it has this very host
    and `port`: clients take URLs apart before they connect.
    """
    places = _places(host, inputs)
    if isinstance(places, NotMade):
        return places
    kind = _forbidden(host, addresses, allowed)
    if kind:
        spans = [place for place in places if is_decided_by(host, place, 0, len(host))]
        if not spans and port:
            spans = taken_from_urls(host, port, chain(inputs, more))
        if spans:
            return _finding(host, spans[0], _kind_sentence(kind))
    return NotMade(inputs.cut) if inputs.cut else None


def _places(argument: str, inputs: Inputs) -> list[Occurrence] | NotMade:
    if len(argument) > URL_LIMIT:
        return NotMade(f"the URL has more than {URL_LIMIT} characters")
    found = inputs.occurring(argument, _can_matter)
    places = found if isinstance(found, NotMade) else locate(argument, found)
    if isinstance(places, NotMade) or len(places) * len(argument) <= _WORK_LIMIT:
        return places
    return NotMade(f"inputs stand at {len(places)} places of a long URL")


def _can_matter(text: str) -> bool:
    """A single character decides nothing, but `0` is this machine."""
    return len(text) > 1 or text == "0"


def chosen_by(argument: str, inputs: Inputs) -> Input | None:
    """The input that decides the host of a URL, wherever that is."""
    url, places = URL.match(argument), _places(argument, inputs)
    if url is None or isinstance(places, NotMade):
        return None
    start, end = host_span(argument, url)
    for place in places:
        if place.start < end and is_decided_by(argument, place, start, end):
            return place.input
    return None


def _judge_scheme(argument: str, place: Occurrence) -> str:
    """What has no host: `file:/etc/passwd`, `data:…`, a path."""
    scheme, colon, _ = argument.lstrip().partition(":")
    begins = place.start <= len(argument) - len(argument.lstrip())
    if colon and begins and ":" in place.input.text and scheme.isidentifier():
        return f"chooses the scheme {scheme[:20]}"
    return ""


def _judge_url(
    argument: str,
    url: re.Match[str],
    place: Occurrence,
    addresses: tuple[str, ...],
    allowed: Collection[str],
) -> str:
    scheme = url.group("scheme").lower()
    start, end = url.span("place")
    begins = place.start <= url.start("scheme") and place.end > url.end("scheme")
    if begins and scheme not in _SCHEMES:
        return f"chooses the scheme {scheme[:20]}"
    if place.start >= end or place.end <= start:
        return ""
    host_start, host_end = host_span(argument, url)
    host = argument[host_start:host_end]
    at = host_start > start
    if place.end <= host_start and at and "@" not in place.input.text:
        return ""
    if place.start >= host_end:
        return ""
    sentence = _judge_host_part(argument, place, (start, host_start, end), host)
    if sentence or not is_decided_by(argument, place, host_start, host_end):
        return sentence
    return _kind_sentence(_forbidden(host, addresses, allowed))


def _judge_host_part(
    argument: str, place: Occurrence, spans: tuple[int, int, int], host: str
) -> str:
    """What is wrong with how the input makes the host, wherever it leads."""
    start, host_start, end = spans
    text = argument[place.start : place.end]
    named = argument[start : place.start] if place.start > start else ""
    is_moved = "@" in text or (
        place.start >= host_start and not named.endswith((".", "@", "-"))
    )
    if "." in named and is_moved:
        return f"moves the host from {named[:80]} to {host[:80]}"
    follows = argument[place.end : place.end + 1]
    if place.end > end and follows in {".", "@", ":"} and place.start >= start:
        return f"ends the host at {host[:80]}"
    if _ODD.search(argument, max(place.start, start), min(place.end, end + 1)):
        return "holds what clients read as different hosts"
    user = argument[start : max(host_start - 1, start)]
    if place.start <= start and "." in user and host_start > start:
        return f"hides the host {host[:80]} behind {user[:80]}"
    return ""


def _kind_sentence(kind: str) -> str:
    return f"chooses the host, which is {kind}" if kind else ""


def _forbidden(host: str, addresses: Iterable[str], allowed: Collection[str]) -> str:
    """Why the host may not be chosen, or nothing."""
    plain = plain_host(host)
    if _is_allowed(plain, allowed):
        return ""
    kind = host_kind(plain)
    if kind:
        return kind
    for text in addresses:
        address = read_address(plain_host(text))
        if address is None or _is_allowed(str(address), allowed):
            continue
        kind = address_kind(address)
        if kind:
            return f"{kind} by its address {address}"
    return ""


def _is_allowed(plain: str, allowed: Collection[str]) -> bool:
    address = read_address(plain)
    for each in allowed:
        if each.startswith("*.") and plain.endswith(each[1:].lower()):
            return True
        if each.lower() == plain:
            return True
        if address is not None and _in_network(address, each):
            return True
    return False


def _in_network(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, text: str
) -> bool:
    try:
        return inner_address(address) in ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False


def _finding(argument: str, place: Occurrence, sentence: str) -> Finding:
    given: Input = place.input
    return Finding(
        "url",
        given,
        place.start,
        place.end,
        place.start,
        f"the input {sentence}",
        argument[: place.start][-200:] + "INPUT" + argument[place.end :][:200],
        argument[:400],
    )
