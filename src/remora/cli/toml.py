"""Probes as TOML: the standard library reads it and does not write it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DELETE = "\x7f"
"""The one character that JSON leaves as it is and TOML has escaped."""


def format_probes(tables: Iterable[Mapping[str, object]]) -> str:
    """The text of a probe file."""
    return "\n".join(f"[[probe]]\n{format_table(table)}" for table in tables)


def format_table(table: Mapping[str, object]) -> str:
    """The keys of one table, a line each."""
    return "".join(f"{key} = {_format(value)}\n" for key, value in table.items())


def _format(value: object) -> str:
    """A value on one line. Texts and numbers are written as in JSON."""
    if isinstance(value, dict):
        pairs = [f"{_quote(str(key))} = {_format(each)}" for key, each in value.items()]
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_format, value)) + "]"
    if isinstance(value, str):
        return _quote(value)
    return json.dumps(value)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace(_DELETE, "\\u007F")
