"""What the server says, read at the edge: after this nothing is a dictionary."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from remora.errors import (
    ExpressionError,
    ProbeError,
    TargetError,
    UnknownKeyError,
    WireError,
)
from remora.protocol import State, Status
from remora.values import frozen
from remora.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from remora.protocol import Probe

PROBES_LIMIT = 2_000
"""Probes of one push: far above what people install, and a bound on a server's lies."""

PING_S_DEFAULT = 15.0

BLOCKED_LIMIT = 10_000
"""Blocked actors of one push: what a server keeps, and a bound on its lies."""

_PING_S_LIMITS = (0.05, 300.0)
_ID_SHOWN = 100
_SHOWN = 60
_REASON_LIMIT = 500
_UNREADABLE = (ProbeError, TargetError, ExpressionError)


@frozen
class Registration:
    """The server's answer to a registration."""

    ping_s: float


@frozen
class Push:
    """All probes wanted here, and a status for each that cannot be obeyed.

    `policy` is what the operator lets the server do unsigned, as it was sent.
    `blocked` are the actors whose requests are to be refused, `rules` those of
    protection as they were sent.
    """

    revision: int
    probes: tuple[Probe, ...]
    refused: tuple[Status, ...]
    policy: object = None
    blocked: tuple[str, ...] = ()
    rules: object = None


@frozen
class Query:
    """A question of the server; `value` is the message for the one who answers."""

    id: str
    value: dict[str, object]


def decode(data: bytes, what: str) -> Mapping[str, object]:
    """A JSON object. Raises WireError."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise WireError(f"{what} is no JSON: {data[:_SHOWN]!r}") from None
    if not isinstance(value, dict):
        raise WireError(f"{what} is no object: {data[:_SHOWN]!r}")
    return value


def parse_registration(data: bytes) -> Registration:
    """Read the answer to a registration. Raises WireError."""
    ping_s = decode(data, "the answer to the registration").get("ping_s")
    if not isinstance(ping_s, (int, float)) or isinstance(ping_s, bool):
        return Registration(PING_S_DEFAULT)
    low, high = _PING_S_LIMITS
    return Registration(min(high, max(low, float(ping_s))))


def parse_push(data: bytes) -> Push:
    """Read a push, each probe on its own. Raises WireError where it is none."""
    value = decode(data, "a push")
    revision, entries = value.get("revision"), value.get("probes")
    if (
        not isinstance(revision, int)
        or isinstance(revision, bool)
        or not 0 <= revision < 2**63
    ):
        raise WireError(f"a push has no revision but {str(revision)[:_SHOWN]!r}")
    if not isinstance(entries, list) or len(entries) > PROBES_LIMIT:
        raise WireError(f"a push has no list of up to {PROBES_LIMIT} probes")
    probes, unread = parse_probes(entries)
    refused = {status.probe: status for status in unread}
    names = {probe.id for probe in probes}
    for name, reason in _held(value.get("held")):
        if name not in names:
            refused[name] = Status(name, State.FAILED, reason)
    return Push(
        revision,
        tuple(probes),
        tuple(refused.values()),
        value.get("policy"),
        _blocked(value.get("blocked")),
        value.get("rules"),
    )


def parse_probes(entries: Sequence[object]) -> tuple[list[Probe], list[Status]]:
    """Read probes, each on its own; a status for each that cannot be obeyed."""
    probes: dict[str, Probe] = {}
    refused: dict[str, Status] = {}
    for position, entry in enumerate(entries):
        try:
            # Late, because most processes never get one.
            from remora.protocol import parse_probe

            probe = parse_probe(entry)
        except (*_UNREADABLE, ImportError, RecursionError) as error:
            name = _name_of(entry, position)
            refused[name] = Status(name, State.FAILED, _reason(error))
        else:
            probes.setdefault(probe.id, probe)
    for name in probes:
        refused.pop(name, None)
    return list(probes.values()), list(refused.values())


def _held(value: object) -> list[tuple[str, str]]:
    """Probes that the server holds back from this process, with its reasons."""
    entries = value if isinstance(value, list) else []
    pairs = [
        (entry.get("id"), entry.get("reason"))
        for entry in entries[:PROBES_LIMIT]
        if isinstance(entry, dict)
    ]
    return [
        (name, reason[:_REASON_LIMIT])
        for name, reason in pairs
        if isinstance(name, str)
        and isinstance(reason, str)
        and 0 < len(name) <= _ID_SHOWN
    ]


def _blocked(value: object) -> tuple[str, ...]:
    entries = value if isinstance(value, list) else []
    return tuple(
        entry
        for entry in entries[:BLOCKED_LIMIT]
        if isinstance(entry, str) and len(entry) <= _REASON_LIMIT
    )


def parse_query(data: bytes) -> Query:
    """Read a query. Raises WireError."""
    value = dict(decode(data, "a query"))
    identifier = value.get("query")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= _ID_SHOWN:
        raise WireError(f"a query has no id but {str(identifier)[:_SHOWN]!r}")
    return Query(identifier, value)


def _name_of(entry: object, position: int) -> str:
    name = entry.get("id") if isinstance(entry, dict) else None
    if isinstance(name, str) and 0 < len(name) <= _ID_SHOWN:
        return name
    return f"probe[{position}]"


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the probe is nested too deeply"
    if isinstance(error, ImportError):
        return f"the agent's code cannot be imported ({error}): restart the app"
    if isinstance(error, UnknownKeyError):
        return f"needs a newer agent than {__version__}: {error}"
    return str(error)
