"""Probes as values: read from files, from the API and from the wire, always whole.

A probe is accepted or refused here, at the edge; after this nothing is a dictionary.
The same keys stand in TOML files, in the API and on the wire. In files and in the API
an expression is its text; on the wire it carries its tree as well, because a runtime
that is not Python has no parser for the text.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from remora.errors import ProbeError, TargetError, UnknownKeyError
from remora.protocol.count import Count, read_count, write_count
from remora.protocol.override import Override, read_override, write_override
from remora.protocol.quantity import (
    format_duration,
    format_rate,
    format_share,
    parse_duration,
    parse_rate,
    parse_share,
)
from remora.protocol.reading import read_expression, read_table, read_template
from remora.protocol.scope import EVERYWHERE, Scope, parse_scope
from remora.protocol.signature import Signature, read_signature
from remora.protocol.span import Span, read_span, write_span
from remora.protocol.target import TargetKind, TargetSet, parse_targets
from remora.values import frozen, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remora.expression import Expression, Template
    from remora.protocol.protect import Protect
    from remora.protocol.reading import Write

_NOTE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}\Z")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")

SNAPSHOT_LIMIT = 50
"""Expressions of one snapshot: more than anybody reads on a screen."""

SPECIAL_SNAPSHOTS = ("stack", "locals", "arguments")
"""Words in `snapshot` that are no expressions: frames, a frame's locals, all
arguments of the call. A parameter of that name wins."""


class Phase(Enum):
    """When in a call a probe fires."""

    PRE = "pre"
    POST = "post"
    FAIL = "fail"
    LINE = "line"


@frozen
class Limit:
    """How much a probe may do: firings a second, share of time, hits, life time.

    None leaves the default of the action in force (docs/reference/probes.md).
    """

    rate: float | None = None
    time: float | None = None
    hits: int | None = None
    expires_s: float | None = None


FRAMES_LIMIT = 10
"""Globs of frames: a few packages and a few functions."""

NOTES_LIMIT = 20
"""Names that one probe sets: more is a program."""

KEEP_NAMES = ("error", "duration_ms", "request", "user", "state", "now_ms")
"""What is known when a request ends."""

LEVELS = ("debug", "info", "warning", "error", "critical")
"""Levels of the app's own log."""


@frozen
class Logger:
    """Where in the app's own log the message goes as well."""

    name: str
    level: str = "info"


REQUEST_KINDS = ("wsgi", "asgi", "custom", "details", "carry", "django")
"""How a call opens a request context: from its WSGI environ, its ASGI scope or from
expressions; `details` adds to the context that is open already, `carry` lets what the
call starts elsewhere run within it. `django` is the call around Django's views."""

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
)
"""What expressions may say of a request."""


@frozen
class RequestAction:
    """Opens a request context for the time of the call, or adds details to one.

    `callable` is where the call finds what it will call: a parameter, or attributes of
    one; a server's app, or with `carry` the work of a thread.
    """

    kind: str
    values: tuple[tuple[str, Expression], ...] = ()
    callable: str = ""


@frozen
class Probe:
    """What a person asked for: target, scope, phase, condition, actions, limits.

    `frames` are globs of `module:function`: frames of the stack whose locals are taken.
    `notes` stands under the key `set`. `expires_at` is set by a server when the life
    of the probe begins, in nanoseconds since the epoch; 0 where the agent counts from
    installation.
    """

    id: str
    target: TargetSet
    phase: Phase = Phase.PRE
    scope: Scope = EVERYWHERE
    when: Expression | None = None
    log: Template | None = None
    logger: Logger | None = None
    snapshot: tuple[Expression, ...] = ()
    snapshot_special: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    count: Count | None = None
    notes: tuple[tuple[str, Expression], ...] = ()
    keep: Expression | None = None
    span: Span | None = None
    override: Override | None = None
    protect: Protect | None = None
    request: RequestAction | None = None
    limit: Limit = Limit()
    requires: str | None = None
    expect: str | None = None
    enabled: bool = True
    expires_at: int = 0
    signature: Signature | None = None

    @property
    def has_snapshot(self) -> bool:
        """Whether values are captured."""
        return bool(self.snapshot or self.snapshot_special)

    @property
    def reports(self) -> bool:
        """Whether a firing makes a record of what it sees."""
        return self.log is not None or self.has_snapshot

    @property
    def acts(self) -> bool:
        """Whether it changes the run of the app."""
        if self.protect is not None:
            return self.protect.acts
        overrides = self.override is not None and self.override.acts
        return overrides or bool(self.span and self.span.propagate)

    @property
    def needs_trust(self) -> bool:
        """Whether an app with public keys takes it only from who has one of them.

        What opens a request context acts on nothing, but says what the inputs of a
        request are: an empty one would take protection away from all that it is around.
        """
        return self.acts or self.request is not None

    @property
    def may_be_held(self) -> bool:
        """Whether a process that died may have died of it (`operations/acting.py`).

        No input may take protection away, not even by a death that it causes.
        """
        return self.acts and self.protect is None

    def to_source(self) -> dict[str, object]:
        """The keys as a person writes them, expressions as text."""
        return _to_table(self, lambda expression: expression.text)

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Probe: expressions with trees."""
        return _to_table(self, lambda expression: expression.to_json())


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
    if "phase" not in table and _is_line(probe):
        probe = replace(probe, phase=Phase.LINE)
    _check_whole(probe)
    return probe


def _check_whole(probe: Probe) -> None:
    """Rules between keys."""
    actions = (probe.count, probe.override, probe.notes, probe.span, probe.request)
    if not any((probe.reports, *actions, probe.protect)):
        raise ProbeError(
            f"probe {probe.id!r} does nothing: give it log, snapshot, count or override"
        )
    if _is_line(probe) != (probe.phase is Phase.LINE):
        raise ProbeError(
            f"probe {probe.id!r}: phase = {probe.phase.value!r} does not fit its "
            "target; 'line' is the phase of file:line targets, and of these alone"
        )
    if probe.request is not None and (probe.reports or any(actions[:-1])):
        raise ProbeError(
            f"probe {probe.id!r}: request stands alone: make another probe of the rest"
        )
    if probe.frames and "stack" not in probe.snapshot_special:
        raise ProbeError(
            f"probe {probe.id!r}: frames chooses from the stack, and the snapshot has "
            "none: add 'stack' to it"
        )
    if probe.span is not None:
        _check_span(probe)
    if probe.keep is not None and not (probe.reports or probe.override or probe.span):
        raise ProbeError(
            f"probe {probe.id!r}: keep holds records back, and this probe makes none: "
            "give it log or snapshot"
        )
    if probe.logger is not None and probe.log is None:
        raise ProbeError(
            f"probe {probe.id!r}: logger says where a message goes, and there is no "
            "log: write one"
        )
    _check_override(probe)
    if probe.protect is not None:
        # Loaded when the key was read.
        from remora.protocol.protect import check_protect

        check_protect(probe, probe.protect)
    if probe.expect is not None and not _is_line(probe):
        raise ProbeError(
            f"probe {probe.id!r}: expect compares the text of a line, but "
            f"{probe.target.texts[0]!r} is no line target"
        )
    if "locals" in probe.snapshot_special and probe.phase in {Phase.PRE, Phase.POST}:
        raise ProbeError(
            f"probe {probe.id!r}: snapshot 'locals' belongs to line targets and to "
            "phase = 'fail'; at the start a function has only its arguments: write "
            "'arguments'"
        )


def _check_span(probe: Probe) -> None:
    if probe.reports or probe.count or probe.override or probe.notes:
        raise ProbeError(
            f"probe {probe.id!r}: span stands alone: make another probe of the rest"
        )
    if probe.phase is not Phase.PRE:
        raise ProbeError(
            f"probe {probe.id!r}: span lasts from the start of a call to its end, so "
            "it has the phase 'pre' and a function as its target"
        )


def _check_override(probe: Probe) -> None:
    if probe.override is None:
        return
    if probe.phase is Phase.LINE:
        raise ProbeError(
            f"probe {probe.id!r}: override takes the place of a call's arguments or "
            "result, and a line has none: give the function as the target"
        )
    if probe.override.arguments and probe.phase is not Phase.PRE:
        raise ProbeError(
            f"probe {probe.id!r}: override.arguments comes too late in phase "
            f"{probe.phase.value!r}: the phase for it is 'pre'"
        )


def _is_line(probe: Probe) -> bool:
    return any(target.kind is TargetKind.LINE for target in probe.target.include)


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
    return replace(probe, span=read_span(value))


def _read_override(probe: Probe, value: object) -> Probe:
    return replace(probe, override=read_override(value))


def _read_protect(probe: Probe, value: object) -> Probe:
    # Late, because few processes have protect probes.
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


def _to_table(probe: Probe, write: Write) -> dict[str, object]:
    texts = probe.target.texts
    table: dict[str, object] = {
        "id": probe.id,
        "target": texts[0] if len(texts) == 1 else list(texts),
        "phase": probe.phase.value,
    }
    for key, write_key in _WRITERS.items():
        value = write_key(probe, write)
        # an empty text is a log all the same
        if value or value == "":
            table[key] = value
    if not probe.enabled:
        table["enabled"] = False
    return table


_WRITERS: dict[str, Callable[[Probe, Write], object]] = {
    "scope": lambda probe, _: probe.scope.to_json(),
    "when": lambda probe, write: probe.when and write(probe.when),
    "log": lambda probe, write: probe.log and write(probe.log),
    "logger": lambda probe, _: (
        probe.logger and {"name": probe.logger.name, "level": probe.logger.level}
    ),
    "snapshot": lambda probe, write: [
        *map(write, probe.snapshot),
        *probe.snapshot_special,
    ],
    "frames": lambda probe, _: list(probe.frames),
    "count": lambda probe, write: probe.count and write_count(probe.count, write),
    "set": lambda probe, write: {name: write(each) for name, each in probe.notes},
    "keep": lambda probe, write: probe.keep and write(probe.keep),
    "span": lambda probe, write: probe.span and write_span(probe.span, write),
    "override": lambda probe, write: (
        probe.override and write_override(probe.override, write)
    ),
    "protect": lambda probe, write: (
        probe.protect and _protect_to_table(probe.protect, write)
    ),
    "request": lambda probe, write: (
        probe.request and _request_to_table(probe.request, write)
    ),
    "limit": lambda probe, _: _limit_to_table(probe.limit),
    "requires": lambda probe, _: probe.requires,
    "expect": lambda probe, _: probe.expect,
    "expires_at": lambda probe, _: probe.expires_at,
    "signature": lambda probe, _: probe.signature and probe.signature.to_json(),
}
"""How each key is written; what is empty is left out."""


def _protect_to_table(protect: Protect, write: Write) -> dict[str, object]:
    # Loaded when the probe was read.
    from remora.protocol.protect import write_protect

    return write_protect(protect, write)


def _request_to_table(request: RequestAction, write: Write) -> dict[str, object]:
    written: dict[str, object] = {k: write(each) for k, each in request.values}
    if request.callable:
        written["callable"] = request.callable
    return {"kind": request.kind} | written


def _limit_to_table(limit: Limit) -> dict[str, object]:
    table: dict[str, object] = {}
    if limit.rate is not None:
        table["rate"] = format_rate(limit.rate)
    if limit.time is not None:
        table["time"] = format_share(limit.time)
    if limit.hits is not None:
        table["hits"] = limit.hits
    if limit.expires_s is not None:
        table["expires"] = format_duration(limit.expires_s)
    return table
