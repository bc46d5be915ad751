"""Probes from tables: files, the API and the wire, read whole or refused.

Each key has its reader; what one says of another is in probe_rules.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remora.errors import ProbeError, TargetError, UnknownKeyError
from remora.protocol.probe import Limit, Logger, Phase, Probe, RequestAction
from remora.protocol.probe_rules import check_whole
from remora.protocol.quantity import parse_duration, parse_rate, parse_share
from remora.protocol.reading import read_expression, read_table, read_template
from remora.protocol.scope import parse_scope
from remora.protocol.target import TargetKind, TargetSet, parse_targets
from remora.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remora.expression import Expression

_NOTE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}\Z")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")

SNAPSHOT_LIMIT = 50
"""Expressions of one snapshot: more than anybody reads on a screen."""

SPECIAL_SNAPSHOTS = ("stack", "locals", "arguments")
"""Words in `snapshot` that are no expressions: frames, a frame's locals, all
arguments of the call. A parameter of that name wins."""

FRAMES_LIMIT = 10
"""Globs of frames: a few packages and a few functions."""

NOTES_LIMIT = 20
"""Names that one probe sets: more is a program."""

KEEP_NAMES = ("error", "duration_ms", "request", "user", "state", "now_ms")
"""What is known when a request ends."""

LEVELS = ("debug", "info", "warning", "error", "critical")
"""Levels of the app's own log."""

REQUEST_KINDS = (
    *("wsgi", "asgi", "custom", "details", "carry", "cut"),
    *("django", "aiohttp", "tornado", "sanic", "handler"),
)
"""How a call opens a request context: from its WSGI environ, its ASGI scope or from
expressions; `details` adds to the context that is open already, `carry` lets what the
call starts elsewhere run within it, and `cut` refuses the call once the request is
condemned. `django` is the call around Django's views, `aiohttp` a custom one whose
callable is what handles a request of its server, `tornado` one around a handler of
Tornado, `sanic` the call in which Sanic prepares for a request, `handler` the one in
which a handler of http.server has read a request's head."""

REQUEST_KEYS = (
    "environ",
    "scope",
    "method",
    "path",
    "query",
    "headers",
    "client",
    "route",
    "status",
    "user",
    "parameters",
    "message",
    "rows",
)
"""What expressions may say of a request."""


def parse_probe(value: object, *, default_id: str | None = None) -> Probe:
    """Read a probe from a file, the API or the wire.

    Raises ProbeError, TargetError or ExpressionError with the key, the value and the
    remedy; UnknownKeyError for a key that this version does not know.
    """
    if not isinstance(value, dict):
        raise ProbeError(f"probe {value!r} is no table of keys")
    table: Mapping[str, object] = value
    for key in table:
        if key not in _READERS:
            raise UnknownKeyError(
                f"{key!r} is no key of a probe that this version knows; it knows "
                + ", ".join(sorted(_READERS))
            )
    identifier = table.get("id", default_id)
    if not isinstance(identifier, str) or not _ID.match(identifier):
        raise ProbeError(
            f"id = {identifier!r} is no identifier: write 1 to 100 letters, digits, "
            "'.', '_' or '-', starting with a letter or digit"
        )
    if "target" not in table:
        raise ProbeError(f"probe {identifier!r} has no target: write module:function")
    probe = Probe(id=identifier, target=_parse_targets(table["target"]))
    for key, entry in table.items():
        if key not in {"id", "target"}:
            probe = _READERS[key](probe, entry)
    if "phase" not in table and probe.is_line:
        probe = replace(probe, phase=Phase.LINE)
    check_whole(probe)
    return probe


def _parse_targets(value: object) -> TargetSet:
    targets = parse_targets(value)
    kinds = {target.kind is TargetKind.LINE for target in targets.include}
    if len(kinds) > 1:
        raise TargetError(f"target {value!r} mixes lines and names: make two probes")
    return targets


def _read_phase(probe: Probe, value: object) -> Probe:
    try:
        return replace(probe, phase=Phase(value))
    except ValueError:
        raise ProbeError(
            f"phase = {value!r} is not known: write 'pre', 'post' or 'fail'"
        ) from None


def _read_scope(probe: Probe, value: object) -> Probe:
    return replace(probe, scope=parse_scope(value))


def _read_when(probe: Probe, value: object) -> Probe:
    return replace(probe, when=read_expression(value, "when"))


def _read_log(probe: Probe, value: object) -> Probe:
    return replace(probe, log=read_template(value, "log"))


def _read_logger(probe: Probe, value: object) -> Probe:
    if isinstance(value, str):
        value = {"name": value}
    table = read_table(value, "logger", ("name", "level"), "name = 'shop'")
    level = table.get("level", "info")
    if level not in LEVELS:
        raise ProbeError(
            f"logger.level = {level!r} is not known: write one of {', '.join(LEVELS)}"
        )
    name = _text(table.get("name"), "logger.name")
    return replace(probe, logger=Logger(name, str(level)))


def _read_snapshot(probe: Probe, value: object) -> Probe:
    if value is True:
        return replace(probe, snapshot_special=("arguments", "stack"))
    if not isinstance(value, list) or not 0 < len(value) <= SNAPSHOT_LIMIT:
        raise ProbeError(
            f"snapshot = {value!r} is no list of 1 to {SNAPSHOT_LIMIT} expressions: "
            "write for example ['amount', 'result', 'stack']"
        )
    special = tuple(entry for entry in value if entry in SPECIAL_SNAPSHOTS)
    return replace(
        probe,
        snapshot=tuple(
            read_expression(entry, f"snapshot[{position}]")
            for position, entry in enumerate(value)
            if entry not in SPECIAL_SNAPSHOTS
        ),
        snapshot_special=tuple(dict.fromkeys(special)),
    )


def _read_frames(probe: Probe, value: object) -> Probe:
    globs = [value] if isinstance(value, str) else value
    if not isinstance(globs, list) or not 0 < len(globs) <= FRAMES_LIMIT:
        raise ProbeError(
            f"frames = {value!r} is no list of 1 to {FRAMES_LIMIT} globs: write for "
            "example ['shop.*']"
        )
    return replace(probe, frames=tuple(_text(glob, "frames") for glob in globs))


def _read_count(probe: Probe, value: object) -> Probe:
    # Late, because few probes count; so it is with the keys below that do the same.
    from remora.protocol.count import read_count

    return replace(probe, count=read_count(value))


def _read_set(probe: Probe, value: object) -> Probe:
    if not isinstance(value, dict) or not 0 < len(value) <= NOTES_LIMIT:
        raise ProbeError(
            f"set = {value!r} is no table of 1 to {NOTES_LIMIT} names: write "
            "{ started = 'now_ms' }"
        )
    notes: list[tuple[str, Expression]] = []
    for name, entry in value.items():
        if not isinstance(name, str) or not _NOTE.match(name):
            raise ProbeError(
                f"set: {name!r} is no name: write letters, digits and '_', a letter "
                "first"
            )
        notes.append((name, read_expression(entry, f"set.{name}")))
    return replace(probe, notes=tuple(notes))


def _read_keep(probe: Probe, value: object) -> Probe:
    keep = read_expression(value, "keep")
    unknown = {name.removeprefix("remora.") for name in keep.names} - {*KEEP_NAMES}
    if unknown:
        raise ProbeError(
            f"keep is asked at the end of the request, which has no {min(unknown)!r}; "
            f"it has {', '.join(KEEP_NAMES)}"
        )
    return replace(probe, keep=keep)


def _read_span(probe: Probe, value: object) -> Probe:
    from remora.protocol.span import read_span

    return replace(probe, span=read_span(value))


def _read_override(probe: Probe, value: object) -> Probe:
    from remora.protocol.override import read_override

    return replace(probe, override=read_override(value))


def _read_protect(probe: Probe, value: object) -> Probe:
    from remora.protocol.protect import read_protect

    return replace(probe, protect=read_protect(value))


def _read_request(probe: Probe, value: object) -> Probe:
    if not isinstance(value, dict) or value.get("kind") not in REQUEST_KINDS:
        raise ProbeError(
            f"request = {value!r} has no known kind: write {{ kind = 'wsgi' }}, or one "
            f"of {', '.join(REQUEST_KINDS)}"
        )
    unknown = set(value) - {"kind", "callable", *REQUEST_KEYS}
    if unknown:
        raise UnknownKeyError(
            f"request has no key {min(unknown)!r}; it has kind, callable, "
            + ", ".join(REQUEST_KEYS)
        )
    place = value.get("callable", "")
    if not isinstance(place, str) or not all(
        part.isidentifier() for part in place.split(".") if place
    ):
        raise ProbeError(
            f"request.callable = {place!r} is no parameter of the call, nor an "
            "attribute of one: write 'app' or 'self.app'"
        )
    if value["kind"] == "carry" and (not place or len(value) > 2):
        raise ProbeError(
            "request of kind 'carry' has callable and nothing else: write "
            "{ kind = 'carry', callable = 'fn' }"
        )
    values = tuple(
        (key, read_expression(value[key], f"request.{key}"))
        for key in REQUEST_KEYS
        if key in value
    )
    action = RequestAction(value["kind"], values, place)
    return replace(probe, request=action)


def _read_limit(probe: Probe, value: object) -> Probe:
    if not isinstance(value, dict):
        raise ProbeError(f"limit = {value!r} is no table: write {{ rate = '10/s' }}")
    known = {"rate", "time", "hits", "expires"}
    if unknown := set(value) - known:
        raise UnknownKeyError(
            f"limit has no key {min(unknown)!r}; it has {', '.join(sorted(known))}"
        )
    hits = value.get("hits")
    if hits is not None and (not isinstance(hits, int) or hits is True or hits < 1):
        raise ProbeError(f"limit.hits = {hits!r} is no positive whole number")
    rate, time, expires = value.get("rate"), value.get("time"), value.get("expires")
    return replace(
        probe,
        limit=Limit(
            rate=None if rate is None else parse_rate(rate, "limit.rate"),
            time=None if time is None else parse_share(time, "limit.time"),
            hits=hits,
            expires_s=None
            if expires is None
            else parse_duration(expires, "limit.expires"),
        ),
    )


def _read_requires(probe: Probe, value: object) -> Probe:
    return replace(probe, requires=_text(value, "requires"))


def _read_expect(probe: Probe, value: object) -> Probe:
    return replace(probe, expect=_text(value, "expect"))


def _read_enabled(probe: Probe, value: object) -> Probe:
    if not isinstance(value, bool):
        raise ProbeError(f"enabled = {value!r} is neither true nor false")
    return replace(probe, enabled=value)


def _read_expires_at(probe: Probe, value: object) -> Probe:
    if not isinstance(value, int) or not 0 <= value < 2**63:
        raise ProbeError(f"expires_at = {value!r} is no time in nanoseconds")
    return replace(probe, expires_at=value)


def _read_signature(probe: Probe, value: object) -> Probe:
    from remora.protocol.signature import read_signature

    return replace(probe, signature=read_signature(value))


def _text(value: object, key: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 500:
        raise ProbeError(f"{key} = {value!r} is no text of 1 to 500 characters")
    return value


def _ignore(probe: Probe, value: object) -> Probe:
    del value
    return probe


_READERS: dict[str, Callable[[Probe, object], Probe]] = {
    "id": _ignore,
    "target": _ignore,
    "phase": _read_phase,
    "scope": _read_scope,
    "when": _read_when,
    "log": _read_log,
    "logger": _read_logger,
    "snapshot": _read_snapshot,
    "frames": _read_frames,
    "count": _read_count,
    "set": _read_set,
    "keep": _read_keep,
    "span": _read_span,
    "override": _read_override,
    "protect": _read_protect,
    "request": _read_request,
    "limit": _read_limit,
    "requires": _read_requires,
    "expect": _read_expect,
    "enabled": _read_enabled,
    "expires_at": _read_expires_at,
    "signature": _read_signature,
}
