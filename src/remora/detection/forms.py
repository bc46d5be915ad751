"""The forms that apps give to an input before they use it.

Each function gives other texts for one text: what an app that decodes, normalises or
escapes makes of it. A form equal to the text is left out.
"""

from __future__ import annotations

import binascii
import html
import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

from remora.detection.inputs import Input, Needles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORM_LIMIT = 64 * 1024
"""Characters of a text of which forms are made: longer ones are used as they came."""

JOINED_LIMIT = 20
"""Values of one parameter that are also tried as joined."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}\Z")
_URL_SAFE = str.maketrans("-_", "+/")
_ODD = re.compile(r"[%+&'\"\\\x80-\U0010ffff]").search
"""What has to be in a text for apps to decode or to escape anything in it."""

_IS_WORD = re.compile(r"\w+\Z").match
_CLIMB = re.compile(r"(?:\.{0,2}[/\\]+)+")


def add_forms(inputs: Iterable[Input]) -> Iterator[Input]:
    """The inputs, each followed by its forms."""
    for each in inputs:
        yield each
        if len(each.text) > FORM_LIMIT:
            continue
        seen = {each.text, ""}
        for form, text in _forms(each.text):
            if text not in seen:
                seen.add(text)
                yield Input(text, each.source, each.parameter, form)


def needles_of(texts: Iterable[str]) -> Needles | None:
    """What a text holds in lower case if it holds any of these, or a form of one.

    None where that cannot be said: outside of ASCII one letter may become two. A single
    letter or digit is no needle, because it breaks out of nothing and is everywhere.
    """
    words: list[str] = []
    others: list[str] = []
    for text in texts:
        if not text:
            continue
        if not text.isascii():
            return None
        needle = (text.strip() or text).lower()
        if not _IS_WORD(text):
            others.append(needle)
        elif len(text) > 1:
            words.append(needle)
        for _, form in _decoded(text) if _is_decoded(text) else ():
            if not form.isascii():
                return None
            if form:
                (words if _IS_WORD(form) else others).append(form.lower())
    return Needles(words, others)


def join_parts(inputs: Iterable[Input]) -> Iterator[Input]:
    """What an app that joins the values of a repeated parameter makes of them."""
    parts: dict[tuple[str, str], list[str]] = {}
    for each in inputs:
        parts.setdefault((each.source, each.parameter), []).append(each.text)
    for (source, parameter), texts in parts.items():
        if 1 < len(texts) <= JOINED_LIMIT:
            for separator in ("", " ", ","):
                yield Input(separator.join(texts), source, parameter, "joined")


def _forms(text: str) -> Iterable[tuple[str, str]]:
    plain = (
        ("stripped", text.strip()),
        ("lower", text.lower()),
        ("upper", text.upper()),
    )
    if _is_decoded(text):
        return (*plain, *_decoded(text))
    return plain


def _is_decoded(text: str) -> bool:
    """Whether apps may make more of a text than a change of case."""
    return bool(_ODD(text) or "../" in text or _BASE64.match(text))


def _decoded(text: str) -> Iterator[tuple[str, str]]:
    if "%" in text or "+" in text:
        once = unquote(text)
        yield "url", once
        yield "url", unquote_plus(text)
        yield "url twice", unquote(once)
    if "&" in text:
        yield "html", html.unescape(text)
    if not text.isascii():
        yield "normalised", unicodedata.normalize("NFKC", text)
        yield "normalised", unicodedata.normalize("NFC", text)
    if "'" in text or '"' in text or "\\" in text:
        yield "quotes doubled", text.replace("'", "''")
        escaped = text.replace("\\", "\\\\").replace("'", "\\'")
        yield "backslashes", escaped
        yield "backslashes", escaped.replace('"', '\\"')
        yield "backslashes", text.replace("'", "\\'")
    if _BASE64.match(text):
        decoded = _decode_base64(text)
        if decoded:
            yield "base64", decoded
    tail = text[text.rfind("../") + 3 :] if "../" in text else ""
    if tail:
        yield "path", "/" + _CLIMB.sub("/", tail).lstrip("/")


def _decode_base64(text: str) -> str:
    """The text that was encoded, or nothing where the bytes are no text."""
    padded = text.rstrip("=").translate(_URL_SAFE)
    try:
        decoded = binascii.a2b_base64(padded + "=" * (-len(padded) % 4))
        result = decoded.decode("utf-8")
    except ValueError:
        return ""
    return result if result.isprintable() or "\n" in result else ""
