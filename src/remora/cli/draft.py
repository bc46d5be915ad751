"""From options to probes: whole and checked before anything is sent."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from remora.errors import CommandError
from remora.protocol import Probe, parse_probe

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

SCOPE_KEYS = ("app", "env", "version", "host", "share", "instance")
TEXT_KEYS = ("phase", "when", "log", "keep", "requires", "expect")
MEASURE_KEYS = ("sum", "min", "max", "average", "histogram", "top", "every")
LOGGER_KEYS = ("logger", "level")
SPAN_KEYS = ("propagate",)
OVERRIDE_KEYS = ("return", "raise", "mode")
LIMIT_KEYS = ("rate", "time", "hits", "expires")
_LISTS = ("by", "snapshot", "frames", "set", "span", "attribute", "argument")

_WHOLE = ("hits", "top")
"""Keys that hold a whole number; what is none is refused with the key, as it is."""

_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without those that look like others: ids are read aloud and typed."""

_SLUG_LIMIT = 40


def draft_probe(arguments: Namespace) -> Probe:
    """The probe that the options of `probe add` describe. Raises RemoraError."""
    targets: list[str] = arguments.target
    table: dict[str, object] = {
        "id": arguments.id or make_id(targets),
        "target": targets[0] if len(targets) == 1 else targets,
        **_given(arguments, TEXT_KEYS),
    }
    parts: dict[str, object] = {
        "scope": _given(arguments, SCOPE_KEYS),
        "limit": _given(arguments, LIMIT_KEYS),
        "logger": _logger(arguments),
        "snapshot": _split(arguments.snapshot),
        "frames": arguments.frames,
        "count": _count(arguments),
        "set": _pairs(arguments, "set"),
        "span": _span(arguments),
        "override": _override(arguments),
    }
    return parse_probe(table | {key: part for key, part in parts.items() if part})


def _logger(arguments: Namespace) -> dict[str, object]:
    given = _given(arguments, LOGGER_KEYS)
    if "logger" in given:
        given["name"] = given.pop("logger")
    return given


def _count(arguments: Namespace) -> object:
    table = _given(arguments, MEASURE_KEYS)
    if arguments.by:
        table["by"] = _split(arguments.by)
    return table or arguments.count


def _span(arguments: Namespace) -> object:
    table = _given(arguments, SPAN_KEYS)
    if arguments.span:
        table["name"] = arguments.span
    if attributes := _pairs(arguments, "attribute"):
        table["attributes"] = attributes
    return table or arguments.span == ""


def _override(arguments: Namespace) -> dict[str, object]:
    table = _given(arguments, OVERRIDE_KEYS)
    if replaced := _pairs(arguments, "argument"):
        table["arguments"] = replaced
    return table


def _split(texts: Sequence[str] | None) -> list[str]:
    return [part for text in texts or () for part in split_commas(text)]


def _pairs(arguments: Namespace, option: str) -> dict[str, str]:
    return dict(_pair(option, text) for text in getattr(arguments, option) or ())


def _pair(option: str, text: str) -> tuple[str, str]:
    """`NAME=EXPR`; the first `=` ends the name."""
    name, equals, expression = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise CommandError(
            f"--{option} {text!r} has no name: write NAME=EXPR, such as \"name='old'\""
        )
    return name.strip(), expression


def _given(arguments: Namespace, keys: Sequence[str]) -> dict[str, object]:
    values = {key: getattr(arguments, key) for key in keys}
    return {
        key: int(value) if key in _WHOLE and re.fullmatch("[0-9]+", value) else value
        for key, value in values.items()
        if value is not None
    }


def given_options(arguments: Namespace) -> list[str]:
    """Options that describe a probe, as they were typed; `--file` excludes them."""
    keys = (
        "id",
        *SCOPE_KEYS,
        *TEXT_KEYS,
        *LOGGER_KEYS,
        *SPAN_KEYS,
        *MEASURE_KEYS,
        *OVERRIDE_KEYS,
        *LIMIT_KEYS,
        *_LISTS,
    )
    given = [f"--{key}" for key in keys if getattr(arguments, key) is not None]
    return [*given, *(["--count"] if arguments.count else [])]


def make_id(targets: Sequence[str]) -> str:
    """A name that says what is probed, with four letters that make it unlike others."""
    named = next((text for text in targets if not text.startswith("!")), "probe")
    module, _, path = named.rpartition(":")
    text = f"{re.split(r'[./]', module)[-1]}-{path}"
    slug = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:_SLUG_LIMIT].strip("-")
    ending = "".join(secrets.choice(_LETTERS) for _ in range(4))
    return f"{slug or 'probe'}-{ending}"


def split_commas(text: str) -> list[str]:
    """The parts between commas that stand outside brackets and quotes."""
    parts: list[str] = [""]
    depth, quote = 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and depth <= 0:
            parts.append("")
            continue
        parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]
