"""JSON as it goes on the wire: UTF-8, no NaN, no half code points."""

from __future__ import annotations

import json
import re

_SURROGATE = re.compile("[\ud800-\udfff]")
_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode


def encode_json(value: object) -> bytes:
    """Write a value as JSON. Raises what the encoder raises (ValueError, TypeError)."""
    text = _encode(value)
    try:
        return text.encode()
    except UnicodeEncodeError:
        # File names and arguments of other encodings are such text in Python.
        return _SURROGATE.sub(_spell_surrogate, text).encode()


def _spell_surrogate(match: re.Match[str]) -> str:
    """Spell half a code point as plain text: it has no form in UTF-8."""
    return f"\\\\u{ord(match[0]):04x}"
