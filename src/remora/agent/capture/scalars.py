"""Texts, bytes and numbers in the forms of docs/protocol.md, section Values."""

from __future__ import annotations

import math
from binascii import b2a_base64
from typing import Any

from remora.expression import decimal_text, is_decimal, plain_number

AppValue = Any

EXACT_INT = 2**53
_STR_BITS = 2000
"""Integers up to here are written out: an app may lower the interpreter's own limit on
digits to 640, and the conversion is quadratic."""


def encode_text(value: str, limit: int) -> object:
    """A text, cut at `limit` code points; `value` is an exact str."""
    if len(value) <= limit:
        if value.isascii() or not _has_surrogates(value):
            return value
        return {"$": "text", "escaped": _escaped(value), "length": len(value)}
    start = value[:limit]
    if start.isascii() or not _has_surrogates(start):
        return {"$": "text", "text": start, "length": len(value)}
    return {"$": "text", "escaped": _escaped(start), "length": len(value)}


def _has_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _escaped(text: str) -> str:
    return "".join(
        "\\\\"
        if character == "\\"
        else f"\\u{ord(character):04x}"
        if "\ud800" <= character <= "\udfff"
        else character
        for character in text
    )


def encode_bytes(value: AppValue, limit: int) -> object:
    """Bytes as base64, cut at `limit` bytes; `value` is bytes or a subclass."""
    start = bytes.__getitem__(value, slice(0, limit))
    return {
        "$": "bytes",
        "base64": b2a_base64(start, newline=False).decode("ascii"),
        "length": bytes.__len__(value),
    }


def encode_any_text(value: AppValue, limit: int) -> object:
    """A text of a subclass, which is cut before it is copied."""
    total = str.__len__(value)
    start = str.__getitem__(value, slice(0, limit))
    if total <= limit:
        return encode_text(start, limit)
    shown = encode_text(start, limit)
    if isinstance(shown, dict):
        return {**shown, "length": total}
    return {"$": "text", "text": start, "length": total}


def encode_number(value: AppValue, limit: int) -> object:
    """Any number, by what its builtin stored; a Decimal as its text."""
    if is_decimal(value):
        text = decimal_text(value)[:limit]
        return {
            "$": "object",
            "type": "decimal.Decimal",
            "fields": {"text": text},
            "length": 1,
        }
    number = plain_number(value)
    if type(number) is int:
        return encode_int(number, limit)
    return encode_float(number) if type(number) is float else None


def encode_int(value: int, limit: int) -> object:
    """An exact int: itself up to 2^53, text beyond, the head of it beyond the limit."""
    if -EXACT_INT <= value <= EXACT_INT:
        return value
    bits = value.bit_length()
    if bits <= _STR_BITS:
        text = str(value)
        if len(text) <= limit:
            return {"$": "int", "text": text}
        return {"$": "int", "text": text[:limit], "digits": len(text.lstrip("-"))}
    shift = bits - 64
    magnitude = math.log10(abs(value) >> shift) + shift * math.log10(2)
    head = f"{10 ** (magnitude % 1):.9f}".replace(".", "")
    sign = "-" if value < 0 else ""
    return {"$": "int", "text": sign + head, "digits": int(magnitude) + 1}


def encode_float(value: float) -> object:
    """A finite float is itself."""
    if math.isfinite(value):
        return value
    text = "nan" if value != value else "inf" if value > 0 else "-inf"  # noqa: PLR0124 - the test for nan
    return {"$": "float", "text": text}
