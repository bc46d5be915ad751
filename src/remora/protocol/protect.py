"""protect: which detector judges which argument of a call, and what follows.

Read when a probe has the key, so that agents without protection do not load it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remora.errors import ProbeError
from remora.expression import Expression
from remora.protocol.reading import read_expression, read_table
from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.protocol.probe import Probe
    from remora.protocol.reading import Write

DETECTORS = (
    "sql", "shell", "path", "member", "entry", "resolved", "url", "host", "redirect"
)  # fmt: skip
"""What an argument is: a statement, a command line or list, a path, the name of an
archive's member that is written or that is only read, a path that is resolved and not
opened yet, a URL, a host to connect to, a URL that a response leads on to."""

FAMILIES = ("sql", "shell", "path", "url")
"""Detectors by the names that findings, settings and records know them by."""

_FAMILIES = {
    "member": "path", "entry": "path", "resolved": "path", "host": "url",
    "redirect": "url",
}  # fmt: skip

MODES = ("off", "watch", "block")
"""Not at all; report what would have been blocked; block."""

DIALECTS = ("generic", "sqlite", "postgresql", "mysql")

ARGUMENTS_LIMIT = 5
"""Ways to name the one argument: a position and its names in a few versions."""

ALLOWED_LIMIT = 200
"""Hosts and networks that one probe allows: more belongs into a firewall."""

_POSITION_LIMIT = 100
_HOST = re.compile(r"(?:\*\.)?[\w.:-]{1,253}\Z")
_NETWORK = re.compile(r"[0-9A-Fa-f.:]{2,45}/[0-9]{1,3}\Z")


@frozen
class Protect:
    """One argument of a call as a sink.

    `arguments` are ways to find it, of which the first that the call has is taken:
    positions, and expressions over the parameters, mostly a bare name.
    """

    detector: str
    arguments: tuple[int | Expression, ...]
    dialect: str = "generic"
    mode: str = "watch"
    allowed: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The detector by the name that findings and settings have for it."""
        return _FAMILIES.get(self.detector, self.detector)

    @property
    def acts(self) -> bool:
        """Whether it blocks, and does not only watch."""
        return self.mode == "block"


def read_protect(value: object) -> Protect:
    """Read the table under `protect`. Raises ProbeError, ExpressionError."""
    known = ("detector", "argument", "dialect", "mode", "allowed")
    table = read_table(value, "protect", known, "detector = 'sql', argument = 'sql'")
    detector = _choice(table.get("detector"), "detector", DETECTORS)
    for key, detectors in _BELONGS.items():
        if key in table and detector not in detectors:
            raise ProbeError(
                f"protect.{key} belongs to {' and '.join(detectors)}: leave it out for "
                f"{detector!r}"
            )
    return Protect(
        detector,
        _read_arguments(table.get("argument")),
        _choice(table.get("dialect", "generic"), "dialect", DIALECTS),
        _choice(table.get("mode", "watch"), "mode", MODES),
        read_allowed(table.get("allowed", []), "protect.allowed"),
    )


_BELONGS = {"dialect": ("sql",), "allowed": ("url", "host", "redirect")}


def _choice(value: object, key: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ProbeError(
            f"protect.{key} = {value!r} is not known: write one of {', '.join(known)}"
        )
    return str(value)


def _read_arguments(value: object) -> tuple[int | Expression, ...]:
    # A table is an expression as the wire has it.
    ways = value if isinstance(value, list) else [value]
    if value is None or not 0 < len(ways) <= ARGUMENTS_LIMIT:
        raise ProbeError(
            f"protect.argument = {value!r} does not say what is judged: write a name, "
            f"a position from 0 on, or a list of 1 to {ARGUMENTS_LIMIT} of both"
        )
    return tuple(map(_read_argument, ways))


def _read_argument(value: object) -> int | Expression:
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < _POSITION_LIMIT:
            return value
        raise ProbeError(f"protect.argument = {value!r} is no position from 0 on")
    return read_expression(value, "protect.argument")


def read_allowed(value: object, key: str) -> tuple[str, ...]:
    """Hosts, `*.domains` and networks that input may choose. Raises ProbeError."""
    if not isinstance(value, list) or len(value) > ALLOWED_LIMIT:
        raise ProbeError(
            f"{key} = {value!r} is no list of up to {ALLOWED_LIMIT} hosts: write "
            "['api.example.com', '*.example.org', '10.0.0.0/8']"
        )
    for each in value:
        if not isinstance(each, str) or not (_HOST.match(each) or _is_network(each)):
            raise ProbeError(
                f"{key}: {each!r} is no host, '*.domain' or network: write for example "
                "'api.example.com' or '10.0.0.0/8'"
            )
    return tuple(value)


def _is_network(text: str) -> bool:
    if not _NETWORK.match(text):
        return False
    # Late, because few probes allow networks.
    import ipaddress

    network: Callable[..., object] = ipaddress.ip_network
    try:
        network(text, strict=False)
    except ValueError:
        return False
    return True


def check_protect(probe: Probe, protect: Protect) -> None:
    """Rules between this key and the others. Raises ProbeError."""
    others = (probe.count, probe.override, probe.notes, probe.span, probe.request)
    if probe.reports or any(others) or probe.keep is not None:
        raise ProbeError(
            f"probe {probe.id!r}: protect stands alone: make another probe of the rest"
        )
    limit = probe.limit
    if (limit.rate, limit.time, limit.hits, limit.expires_s) != (None,) * 4:
        raise ProbeError(
            f"probe {probe.id!r}: limit would let attacks through once it is reached, "
            "so protect has none: leave it out"
        )
    # A host's addresses are known once it was looked up, before anybody connects, and
    # what a path was resolved to before anybody opens it.
    is_before = probe.phase.value == "post" and protect.detector in {"host", "resolved"}
    if probe.phase.value != "pre" and not is_before:
        raise ProbeError(
            f"probe {probe.id!r}: protect comes too late in phase "
            f"{probe.phase.value!r}: the phase for it is 'pre', or 'post' where "
            "detector = 'host' or 'resolved' reads what came of it"
        )


def read_modes(text: str) -> dict[str, str]:
    """The mode of each family from `block,path=watch`. Raises ProbeError.

    A mode by itself comes first and is that of all the others; without it they are off.
    """
    first, *rest = [part.strip() for part in text.split(",")]
    if "=" in first:
        first, rest = "off", [first, *rest]
    modes: dict[str, str] = dict.fromkeys(FAMILIES, first)
    for part in rest:
        family, _, mode = (word.strip() for word in part.partition("="))
        if family not in modes:
            raise ProbeError(
                f"{part!r} names no detector: write one of {', '.join(FAMILIES)}, '=' "
                "and its mode, as in block,path=watch"
            )
        modes[family] = mode
    for mode in modes.values():
        if mode not in MODES:
            raise ProbeError(
                f"{mode!r} is no mode: write one of {', '.join(MODES)}, for all "
                "detectors or for single ones, as in block,path=watch"
            )
    return modes


def write_protect(protect: Protect, write: Write) -> dict[str, object]:
    """The table under `protect`."""
    ways = [way if isinstance(way, int) else write(way) for way in protect.arguments]
    table: dict[str, object] = {
        "detector": protect.detector,
        "argument": ways[0] if len(ways) == 1 else ways,
        "mode": protect.mode,
    }
    if protect.dialect != "generic":
        table["dialect"] = protect.dialect
    if protect.allowed:
        table["allowed"] = list(protect.allowed)
    return table
