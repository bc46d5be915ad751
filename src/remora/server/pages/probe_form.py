"""The form that makes a probe: its fields, the keys they stand for, their errors.

The parser of `remora.protocol` alone decides what is right. Each field is first put to
it by itself, in a probe that is right otherwise, so that every error has its field;
then the whole, whose errors belong to the fields that contradict each other.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remora.errors import RemoraError
from remora.protocol import parse_probe

if TYPE_CHECKING:
    from collections.abc import Mapping

LINES = {
    "target",
    "snapshot",
    "count.by",
    "set",
    "span.attributes",
    "override.arguments",
    "frames",
}
"""Fields with one entry a line; commas stand inside expressions."""

_TEXTS = (
    "phase",
    "when",
    "log",
    "keep",
    "logger.name",
    "logger.level",
    "count.sum",
    "count.min",
    "count.max",
    "count.average",
    "count.histogram",
    "count.top",
    "count.every",
    "span.name",
    "span.propagate",
    "override.return",
    "override.raise",
    "override.mode",
    "limit.rate",
    "limit.time",
    "limit.hits",
    "limit.expires",
    "scope.app",
    "scope.env",
    "scope.version",
    "scope.host",
    "scope.instance",
    "scope.share",
    "requires",
    "expect",
)

_CHECKS = ("count", "span")
"""Fields that are on or off: actions that need no more to be said."""

FIELDS = ("id", *sorted(LINES), *_TEXTS, *_CHECKS)
"""Names of the form's fields: paths in the TOML of a probe."""

_PROBE: dict[str, object] = {"id": "check", "target": "m:f", "log": "x"}
_STACK: dict[str, object] = {"id": "check", "target": "m:f", "snapshot": ["stack"]}
_SPAN: dict[str, object] = {"id": "check", "target": "m:f"}
_ALONE: dict[str, dict[str, object]] = {
    # The phase in which a snapshot may ask for everything.
    "snapshot": {"id": "check", "target": "m:f", "phase": "fail"},
    "expect": {"id": "check", "target": "m.py:1", "log": "x"},
    "frames": _STACK,
    "span.name": _SPAN,
    "span.attributes": _SPAN,
    "span.propagate": _SPAN,
    "logger.level": {**_PROBE, "logger": {"name": "shop"}},
    # A mode is right or wrong beside something to do.
    "override.mode": {**_PROBE, "override": {"return": "None"}},
}

_GROUPS = ("scope", "logger", "count", "span", "override", "limit")
"""Keys whose value is a table."""

_BETWEEN = (
    ("does nothing", "log"),
    ("expect compares", "expect"),
    ("'locals' belongs", "snapshot"),
    ("does not fit", "phase"),
    ("override.arguments comes too late", "phase"),
    ("override takes the place", "override.return"),
    ("override has", "override.return"),
    ("logger says where", "log"),
    ("keep holds records", "keep"),
    ("frames chooses", "frames"),
    ("span stands alone", "span"),
    ("span lasts", "phase"),
)
"""Errors of the whole, by a piece of their sentence, and the field they stand at."""


@dataclass(frozen=True, slots=True)
class CheckedForm:
    """A form as it was sent, the probe it describes, and what is wrong with it.

    `errors` are by field; the one under an empty name belongs to the whole.
    """

    fields: Mapping[str, str]
    source: Mapping[str, object]
    errors: Mapping[str, str]


def empty_form() -> CheckedForm:
    """The form before anything is written into it."""
    return CheckedForm(dict.fromkeys(FIELDS, ""), {}, {})


def check_form(given: Mapping[str, str]) -> CheckedForm:
    """Read the fields of a form that was sent."""
    fields = {name: given.get(name, "").strip() for name in FIELDS}
    source = _source(fields)
    errors = dict(_field_errors(fields))
    if not errors:
        try:
            parse_probe(source)
        except RemoraError as error:
            errors[_place(str(error))] = str(error)
    return CheckedForm(fields, source, errors)


def _source(fields: Mapping[str, str]) -> dict[str, object]:
    source: dict[str, object] = {
        "id": fields["id"] or _suggested_id(fields["target"]),
        "target": _entry("target", fields["target"]),
    }
    for name in (*_GROUPS, *_TEXTS[:4], "snapshot", "frames", "set", *_TEXTS[-2:]):
        if name in _GROUPS:
            if group := _group(name, fields):
                source[name] = group
        elif fields[name]:
            source[name] = _entry(name, fields[name])
    for name in _CHECKS:
        if fields[name] and name not in source:
            source[name] = True
    return source


def _group(name: str, fields: Mapping[str, str]) -> dict[str, object]:
    prefix = f"{name}."
    return {
        field.removeprefix(prefix): _entry(field, value)
        for field, value in fields.items()
        if field.startswith(prefix) and value
    }


def _entry(name: str, value: str) -> object:
    if name in LINES:
        entries = [line.strip() for line in value.splitlines() if line.strip()]
        if name == "target" and len(entries) < 2:
            return "".join(entries)
        if name in {"set", "span.attributes", "override.arguments"}:
            return _pairs(entries)
        return entries
    if name in {"limit.hits", "count.top"} and re.fullmatch(r"[0-9]{1,15}", value):
        return int(value)
    return value


def _pairs(entries: list[str]) -> dict[str, str]:
    """`name = expression` as a table; a line without `=` has no expression."""
    pairs = (entry.partition("=") for entry in entries)
    return {name.strip(): expression.strip() for name, _, expression in pairs}


def _field_errors(fields: Mapping[str, str]) -> list[tuple[str, str]]:
    errors: list[tuple[str, str]] = []
    for name, value in fields.items():
        # The whole alone can tell whether a phase is right; no text is a target.
        if name in {"phase", *_CHECKS} or not (value or name == "target"):
            continue
        key, _, part = name.partition(".")
        entry = _entry(name, value)
        alone = _ALONE.get(name, _PROBE)
        beside = alone.get(key)
        inside = beside if isinstance(beside, dict) else {}
        probe = {**alone, key: {**inside, part: entry} if part else entry}
        try:
            parse_probe(probe)
        except RemoraError as error:
            errors.append((name, str(error)))
    return errors


def _place(message: str) -> str:
    return next((field for piece, field in _BETWEEN if piece in message), "")


def _suggested_id(target: str) -> str:
    """A name of the target's last part, with an end that makes it a new one."""
    words = re.findall(r"[A-Za-z0-9_]+", target.partition("\n")[0])
    return f"{'-'.join(words[-2:])[:60] or 'probe'}-{secrets.token_hex(2)}".lstrip("_")
