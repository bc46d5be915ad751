"""Secrets that betray themselves by their shape: card numbers, tokens, keys, passwords.

The worker runs this over every record before it is encoded, so it works on the wire's
values: a text that is a secret from end to end becomes `redacted`, one that holds
a secret keeps the rest. All patterns are bounded or look at each character once, and
texts were cut at capture. Not covered: secrets that look like any other text, and those
that the cut at capture left less than recognisable.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

JsonValue = Any

_DEPTH_LIMIT = 40
"""Values inside each other: far more than a capture makes."""

_SUSPICIOUS = re.compile(
    r"eyJ|[Bb]earer |Basic |-----BEGIN |://"
    r"|gh[opsu]_|github_pat_|glpat-|xox[abeprs]-|[rs]k_live_|sk-|AKIA|ASIA|AIza"
    r"|npm_|pypi-|rm[ao]_|[2-6][0-9](?:[ -]?[0-9]){11}"
)
"""What every secret below holds: one look passes nearly all texts."""

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@"
    r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"
)
_SUSPICIOUS_OR_EMAIL = re.compile(f"{_SUSPICIOUS.pattern}|@")

_CARD = re.compile(r"(?<![0-9A-Za-z.])[2-6][0-9](?:[ -]?[0-9]){11,17}(?![0-9A-Za-z])")
_KINDS_OF_CARDS = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|5[1-5][0-9]{14}|2(?:2[2-9]|[3-6][0-9]|7[012])[0-9]{13}"  # Mastercard
    r"|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}"  # American Express, Diners
    r"|35[2-8][0-9]{13}|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}"  # JCB, Discover
    r"|62[0-9]{14,17}"  # UnionPay
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----[\s\S]*?"
    r"(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY-----|\Z)"
)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){0,2}")
_BEARER = re.compile(r"\b[Bb]earer [A-Za-z0-9._~+/=-]{12,}")
_BASIC = re.compile(r"\bBasic [A-Za-z0-9+/]{12,}={0,2}")
_PREFIXED = re.compile(
    r"\b(?:gh[opsu]_|github_pat_|glpat-|xox[abeprs]-|[rs]k_live_|sk-|AKIA|ASIA|AIza"
    r"|npm_|pypi-|rm[ao]_)[A-Za-z0-9_-]{16,}"
)
_URL_PASSWORD = re.compile(r"(?<=://)([^\s/@:]{0,100}):[^\s/@]{1,300}@")


class ShapeRedactor:
    """Takes out what looks like a secret; with `emails` their addresses too."""

    __slots__ = ("_replacements", "_suspicious")

    def __init__(self, *, emails: bool = False) -> None:
        self._suspicious = _SUSPICIOUS_OR_EMAIL if emails else _SUSPICIOUS
        self._replacements = (*_REPLACEMENTS, *([_EMAILS] if emails else []))

    def redact(self, value: JsonValue) -> JsonValue:
        """The same value of the wire without what looks like a secret."""
        return self._redact(value, 0)

    def redact_text(self, text: str) -> str:
        """The text with `(redacted …)` in place of what looks like a secret."""
        if not self._suspicious.search(text):
            return text
        for pattern, replace in self._replacements:
            text = pattern.sub(replace, text)
        return text

    def _redact(self, value: JsonValue, depth: int) -> JsonValue:
        kind = type(value)
        if kind is str:
            return self._redact_value(value)
        if kind is int:
            is_card = value > 10**12 and _is_card(str(value))
            return _redacted("card") if is_card else value
        if depth > _DEPTH_LIMIT:
            return {"$": "object", "type": "?", "cut": "depth"}
        if kind is list:
            return [self._redact(item, depth + 1) for item in value]
        if kind is dict:
            return self._redact_table(value, depth)
        return value

    def _redact_value(self, text: str) -> JsonValue:
        shown = self.redact_text(text)
        if shown is text:
            return text
        match = _WHOLLY_REDACTED.fullmatch(shown)
        return _redacted(match[1]) if match else shown

    def _redact_table(self, table: dict[str, JsonValue], depth: int) -> JsonValue:
        form = table.get("$")
        if form == "bytes":
            return self._redact_bytes(table)
        if form == "text":
            return {
                key: self.redact_text(v) if type(v) is str else v
                for key, v in table.items()
            }
        if form == "int":
            return _redacted("card") if _is_card(str(table.get("text"))) else table
        if form in _FORMS_WITHOUT_CONTENT:
            return table
        return {
            self.redact_text(key): entry
            if key in _LABELS and form
            else self._redact(entry, depth + 1)
            for key, entry in table.items()
        }

    def _redact_bytes(self, table: dict[str, JsonValue]) -> JsonValue:
        try:
            text = a2b_base64(str(table.get("base64"))).decode("latin-1")
        except (Base64Error, ValueError):
            return table
        shown = self.redact_text(text)
        if shown == text:
            return table
        reason = re.search(r"\(redacted (\w+)\)", shown)
        return _redacted(reason[1] if reason else "password")


_WHOLLY_REDACTED = re.compile(r"\s*\(redacted (\w+)\)\s*")


def _redacted(reason: str) -> JsonValue:
    return {"$": "redacted", "reason": reason}


_FORMS_WITHOUT_CONTENT = {"float", "enum", "type", "function", "missing", "redacted"}
_LABELS = {"$", "type", "cut", "length"}
"""Keys of a form that hold the wire's words and not the app's."""


def _card(match: re.Match[str]) -> str:
    return "(redacted card)" if _is_card(match[0]) else match[0]


def _is_card(text: str) -> bool:
    """Whether these digits are of a kind of card, and their check digit is right."""
    digits = re.sub("[ -]", "", text)
    if not _KINDS_OF_CARDS.fullmatch(digits):
        return False
    total = 0
    for position, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + position % 2)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def _basic(match: re.Match[str]) -> str:
    """Two words of prose are no credentials: those are `name:password` in base64."""
    encoded = match[0].removeprefix("Basic ").rstrip("=")
    encoded = encoded[: len(encoded) // 4 * 4]
    return "(redacted token)" if b":" in a2b_base64(encoded) else match[0]


_REPLACEMENTS: tuple[
    tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...
] = (
    (_PRIVATE_KEY, "(redacted key)"),
    (_BEARER, "(redacted token)"),
    (_BASIC, _basic),
    (_JWT, "(redacted token)"),
    (_PREFIXED, "(redacted token)"),
    (_URL_PASSWORD, r"\1:(redacted)@"),
    (_CARD, _card),
)
"""Bearer before JWT: the word belongs to the secret."""
_EMAILS = (_EMAIL, "(redacted email)")
