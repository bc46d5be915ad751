"""Records of attacks at the edge: read without trust, and brought within bounds.

Everything in such a record was written by an attacker, or by whoever has an agent's
token. What is not of its type is refused, what is too long is cut, and keys that
nobody knows are left out: what is stored has bounds that hold for every reader.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

import msgspec

from remora.errors import WireError
from remora.server.domain.attacks import Attack, own_frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    Record = Mapping[str, object]

ATTACK = "attack"
"""The kind of record that tells of an attack."""

UNKNOWN_ACTOR = "unknown"

VALUE_CHARACTERS = 2_000
"""Four times what our own agents send of a value."""

STATEMENT_CHARACTERS = 8_000
"""Four times what our own agents send of a statement."""

WORDS_CHARACTERS = 500
"""Names, routes and sentences."""

FRAMES = 32
"""The agent's own limit of a stack."""

NEIGHBOURS = 5
"""Lines of source on each side of a frame's own."""

USER_BYTES = 4_000
"""What an app may tell of a user; of a longer one the id alone is kept."""

ACTOR_CHARACTERS = 500
"""An id that is cut is another one, which no block would mean: ids are shorter."""

_DETECTOR = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
_MODES = frozenset({"watch", "block"})
_REQUEST_KEYS = ("id", "method", "path", "route", "client")


def parse_attack(record: Record) -> tuple[Attack, dict[str, object]]:
    """What to find an attack by, and its record within bounds. Raises WireError."""
    detector, mode, blocked = _verdict(record)
    actor = _actor(record.get("actor"))
    request = _request(record.get("request"))
    stack = _stack(record.get("stack"))
    kept: dict[str, object] = {
        "kind": ATTACK,
        "time": record["time"],
        "probe": record.get("probe") or "",
        "site": record.get("site") or "",
        "detector": detector,
        "mode": mode,
        "blocked": blocked,
        "actor": actor,
        "request": request,
        "user": _user(record.get("user")),
        "stack": stack,
    }
    if record.get("excepted") is True and not blocked:
        kept["excepted"] = True
    for key in ("sentence", "source", "parameter", "thread", "not_made", "rule"):
        if text := _text(record.get(key), WORDS_CHARACTERS):
            kept[key] = text
    for key in ("before", "after"):
        if text := _words(record.get(key)):
            kept[key] = text
    kept |= _marked(record, "value", VALUE_CHARACTERS)
    kept |= _marked(record, "statement", STATEMENT_CHARACTERS)
    attack = Attack(
        detector=detector,
        blocked=blocked,
        actor=actor,
        method=request.get("method", ""),
        route=request.get("route") or request.get("path") or "",
        place=_place(own_frame(kept), str(kept["site"])),
        excepted="excepted" in kept,
    )
    return attack, kept


def _verdict(record: Record) -> tuple[str, str, bool]:
    """Detector, mode, and whether it was blocked. Raises WireError."""
    detector, mode = record.get("detector"), record.get("mode")
    blocked = record.get("blocked")
    if not isinstance(detector, str) or not _DETECTOR.match(detector):
        raise WireError(f"detector = {str(detector)[:60]!r} is no name of a detector")
    if not isinstance(mode, str) or mode not in _MODES:
        raise WireError(f"mode = {str(mode)[:60]!r} is neither 'watch' nor 'block'")
    if not isinstance(blocked, bool):
        raise WireError(f"blocked = {str(blocked)[:60]!r} is neither true nor false")
    return detector, mode, blocked


def _place(frame: Record, site: str) -> tuple[str, ...]:
    """What names a place over releases: the line's text, not its number."""
    if not frame:
        return (site,)
    line = str(frame.get("source") or "").strip() or str(frame.get("line"))
    return str(frame.get("file")), str(frame.get("function")), line


def _actor(value: object) -> str:
    """`user:ID`, `address:IP` or `unknown`; what is none of these is unknown."""
    if not isinstance(value, str):
        return UNKNOWN_ACTOR
    kind, _, name = value[:ACTOR_CHARACTERS].partition(":")
    if kind == "user" and name:
        return f"user:{name}"
    if kind == "address":
        try:
            return f"address:{read_address(name)}"
        except ValueError:
            return UNKNOWN_ACTOR
    return UNKNOWN_ACTOR


def read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address; one of IPv4 that came over IPv6 counts as what it is."""
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def _request(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    texts = {key: _text(value.get(key), WORDS_CHARACTERS) for key in _REQUEST_KEYS}
    return {key: text for key, text in texts.items() if text}


def _user(value: object) -> object:
    if not isinstance(value, dict):
        return None
    if len(msgspec.json.encode(value)) <= USER_BYTES:
        return value
    return {"id": _text(value.get("id"), ACTOR_CHARACTERS)}


def _stack(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list):
        return []
    return [_frame(frame) for frame in value[:FRAMES] if isinstance(frame, dict)]


def _frame(frame: Record) -> dict[str, object]:
    line = frame.get("line")
    if not isinstance(line, int) or isinstance(line, bool) or not 0 < line < 2**31:
        line = 0
    kept: dict[str, object] = {
        "file": _text(frame.get("file"), WORDS_CHARACTERS),
        "line": line,
        "function": _text(frame.get("function"), WORDS_CHARACTERS),
        "source": _text(frame.get("source"), WORDS_CHARACTERS),
        "own": frame.get("own") is True,
    }
    for key, part in (
        ("before", slice(-NEIGHBOURS, None)),
        ("after", slice(NEIGHBOURS)),
    ):
        lines = frame.get(key)
        if isinstance(lines, list) and lines:
            kept[key] = [_text(line, WORDS_CHARACTERS) for line in lines[part]]
    return kept


def _words(value: object) -> str:
    """A structure in words: one text, or its tokens."""
    if isinstance(value, list):
        tokens = (
            _text(each, WORDS_CHARACTERS) for each in value[:STATEMENT_CHARACTERS]
        )
        return " ".join(tokens)[:STATEMENT_CHARACTERS]
    return _text(value, STATEMENT_CHARACTERS)


def _text(value: object, limit: int) -> str:
    """A text, or what stands for one in the value model of docs/protocol.md."""
    if isinstance(value, str):
        return value[:limit]
    if isinstance(value, int | float):
        return str(value)[:limit]
    if not isinstance(value, dict):
        return ""
    if value.get("$") == "redacted":
        return f"redacted ({_text(value.get('reason'), 40)})"
    text = value.get("text", value.get("escaped"))
    return text[:limit] if isinstance(text, str) else ""


def _marked(record: Record, key: str, limit: int) -> dict[str, object]:
    """A text of the record, and where it is marked if it has its own words."""
    text = _text(record.get(key), limit)
    mark = _mark(record.get(f"{key}_marked"), len(text))
    if mark is None or not isinstance(record.get(key), str):
        return {key: text}
    return {key: text, f"{key}_marked": mark}


def _mark(value: object, length: int) -> list[int] | None:
    """Where a text is marked, in code points, as far as it was kept."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    start, end = value
    for place in (start, end):
        if not isinstance(place, int) or isinstance(place, bool):
            return None
    return [start, min(end, length)] if 0 <= start < min(end, length) else None
