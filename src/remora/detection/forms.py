"""The forms that apps give to an input before they use it.

Each function gives other texts for one text: what an app that decodes, normalises or
escapes makes of it. A form equal to the text is left out.
"""

from __future__ import annotations

import binascii
import html
import posixpath
import re
import unicodedata
from itertools import chain, islice
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

from remora.detection.inputs import Input, Needles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORM_LIMIT = 64 * 1024
"""Characters of a text of which forms are made: longer ones are used as they came."""

JOINED_LIMIT = 20
"""Values of one parameter that are also tried as joined."""

DEEP_LIMIT = 1024
"""Characters of a text that is decoded more than once and taken apart: longer ones are
documents, which the readers of bodies take apart."""

DEEP_COUNT = 200
"""Inputs of a request that are: the forms of more would fill its bounds."""

DEEP_TOTAL = 16 * 1024
"""Characters of them together: what is made to be decoded takes 10 µs for each."""

DEPTH_LIMIT = 3
"""Decodings one upon the other."""

FORMS_LIMIT = 24
"""Forms of one text that come of decoding and taking apart."""

PARTS_LIMIT = 20
"""Pieces of a text that are inputs by themselves."""

_BASE64 = re.compile(r"(?![a-z]*+\Z)[A-Za-z0-9+/_-]{4,}+={0,2}+\Z").match
"""Not what is one lower-case word: there are many, and none says anything decoded."""

_ODD = re.compile(
    r"[^\x01-\x08\x0b\x0c\x0e-\x1f!#$(-*\-/-:>@-\[\]-z}~\x7f]"
    r"(?:(?<![ .])|(?<= ) |(?<=\.)(?:\./|\w{7,}\.))"
).search
"""What has to be in a text for apps to decode, escape or cut anything in it: quotes,
`%+&\\<{|,;?=`, tabs, ends of lines, nulls, all beyond ASCII. Said by what it is not: a
range up to the last character takes 6 ms to compile. It begins with one set of
characters, as the interpreter goes quickly over all that are not in it."""

_TANGLED = re.compile(
    r"[\x00- %&+.<=\\\x7f]"
    r"(?:(?<![ .])|(?<= ) |(?<=\.)\.[./]|(?<=[\w-]{8}\.)[\w-]{8,}\.)"
).search
"""What makes other forms of an ASCII text than runs of its pieces: decodings, tags,
queries, spaces and climbs that are taken out, tokens."""

_LONE = frozenset("abcdefghijklmnopqrstuvwxyz123456789_")
_SEPARATOR = re.compile(r"([|,;])")
_HAS_LETTER = re.compile(r"\w").search
_IS_WORD = re.compile(r"\w+\Z").match
_CLIMB = re.compile(r"(?:\.{0,2}[/\\]+)+")
_TOKEN = re.compile(r"(?:[A-Za-z]+ )?([\w-]{8,})\.([\w-]{8,})\.[\w-]*\Z").match
_SEPARATORS = ("\n", "\t", "|", ",", ";")
_QUERY = re.compile(r"[?&;#=]+")
_TAGS = re.compile(r"<[^<>]*>")
_STRINGS = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def add_forms(inputs: Iterable[Input]) -> Iterator[Input]:
    """The inputs, each followed by its forms."""
    given = list(inputs)
    length = sum([len(each.text) for each in given])
    is_deep = len(given) <= DEEP_COUNT and length <= DEEP_TOTAL
    for each in given:
        yield each
        if len(each.text) > FORM_LIMIT:
            continue
        seen = {each.text, ""}
        for form, text in _forms(each.text, is_deep=is_deep):
            if text not in seen:
                seen.add(text)
                yield Input(text, each.source, each.parameter, form)


def needles_of(texts: Iterable[str]) -> Needles | None:
    """What a text holds in lower case if it holds any of these, or a form of one.

    None where that cannot be said: outside of ASCII one letter may become two. A single
    letter or digit is no needle, because it breaks out of nothing and is everywhere;
    but `0` is a host.
    """
    given = list(filter(None, texts))
    if not given:
        return Needles((), ())
    # All of them in one go, because this is done for each request.
    joined = "\1".join(given)
    if not joined.isascii():
        return None
    lower = joined.lower().split("\1")
    if len(lower) > len(given):
        lower = [text.lower() for text in given]
    decoding = set(filter(_BASE64, given))
    if _ODD(joined):
        decoding.update(filter(_ODD, given))
    needles = set(lower)
    for text in decoding:
        pieces = _try_pieces(text)
        if pieces is None:
            pieces = [form for _, form in _decoded(text)]
        if not "".join(pieces).isascii():
            return None
        needles.update(map(str.lower, pieces))
    needles.discard("")
    words = set(filter(str.isalnum, needles))
    words.update(filter(_IS_WORD, needles - words))
    others = {each.strip() or each for each in needles - words}
    return Needles(words - _LONE, others)


def _try_pieces(text: str) -> list[str] | None:
    """Pieces of which one stands in each form of a text; None where nobody can tell.

    All that quotes and separators take out of such a text, and out of that again, is a
    run of its pieces that says more than a word. A run with a quote in it was cut at
    separators alone: it has whole pieces between these. A run without one lies between
    two quotes: it is a piece that says more by itself, or it has two that follow each
    other.
    """
    if _ODD(text) is None or _TANGLED(text):
        return None
    pieces = [text.strip(" '\""), *[form for _, form in _escaped(text)]]
    if len(text) > DEEP_LIMIT:
        return pieces
    pieces += [piece for piece in _SEPARATOR.split(text) if '"' in piece]
    for between in text.split('"'):
        parts = _SEPARATOR.split(between)
        for piece in filter(_says_more, parts):
            plain = piece.strip()
            if _BASE64(plain) and _decode_base64(plain):
                return None
            pieces.append(piece)
        pairs = ["".join(parts[at : at + 3]) for at in range(0, len(parts) - 2, 2)]
        pieces += filter(_HAS_LETTER, pairs)
    return pieces


def join_parts(inputs: Iterable[Input]) -> Iterator[Input]:
    """What an app that joins the values of a repeated parameter makes of them."""
    parts: dict[tuple[str, str], list[str]] = {}
    for each in inputs:
        parts.setdefault((each.source, each.parameter), []).append(each.text)
    for (source, parameter), texts in parts.items():
        if 1 < len(texts) <= JOINED_LIMIT:
            for separator in ("", " ", ","):
                yield Input(separator.join(texts), source, parameter, "joined")


def _forms(text: str, *, is_deep: bool) -> Iterable[tuple[str, str]]:
    plain = (
        ("stripped", text.strip()),
        ("lower", text.lower()),
        ("upper", text.upper()),
    )
    if _ODD(text) or _BASE64(text):
        return (*plain, *_decoded(text, is_deep=is_deep))
    return plain


def _decoded(text: str, *, is_deep: bool = True) -> list[tuple[str, str]]:
    """What comes of decoding, once and again, and of what apps do before a sink."""
    if _ODD(text) is None:
        plain = _decode_base64(text)
        if not plain:
            return []
        if _ODD(plain) is None and _BASE64(plain) is None:
            return [("base64", plain)]
    is_deep = is_deep and len(text) <= DEEP_LIMIT
    forms = list(_escaped(text))
    seen, made = {text}, [("", text)]
    for _ in range(DEPTH_LIMIT if is_deep else 1):
        last, made = made, []
        for before, each in last:
            if len(seen) > FORMS_LIMIT:
                break
            parts = _parts(each) if is_deep else ()
            for form, result in chain(_decoded_once(each), parts):
                if result and result not in seen and len(seen) <= FORMS_LIMIT:
                    seen.add(result)
                    made.append((f"{before} {form}".lstrip(), result))
        forms += made
    if is_deep:
        forms += _cleaned(text)
    return forms


def _escaped(text: str) -> Iterator[tuple[str, str]]:
    if "'" in text or '"' in text or "\\" in text:
        yield "quotes doubled", text.replace("'", "''")
        escaped = text.replace("\\", "\\\\").replace("'", "\\'")
        yield "backslashes", escaped
        yield "backslashes", escaped.replace('"', '\\"')
        yield "backslashes", text.replace("'", "\\'")


def _decoded_once(text: str) -> Iterator[tuple[str, str]]:
    if "%" in text or "+" in text:
        once = unquote(text)
        yield "url", once
        yield "url", unquote_plus(text)
        yield "url url", unquote(once)
    if "&" in text:
        yield "html", html.unescape(text)
    if not text.isascii():
        yield "normalised", unicodedata.normalize("NFKC", text)
        yield "normalised", unicodedata.normalize("NFC", text)
    if _BASE64(text):
        yield "base64", _decode_base64(text)
    elif "\n" in text and _BASE64(joined := "".join(text.split())):
        yield "base64", _decode_base64(joined)
    if text != (stripped := text.strip()):
        yield "stripped", stripped


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """The pieces of a text that is a document, an address or a list by itself."""
    if token := _TOKEN(text):
        for part in token.groups():
            yield "token", _decode_base64(part)
    if '"' in text:
        for part in islice(_STRINGS.finditer(text), PARTS_LIMIT):
            if _says_more(string := _unescape(part.group(1))):
                yield "json", string
    elif "\\" in text:
        yield "unescaped", _unescape(text)
    if "<" in text:
        yield "tags removed", _TAGS.sub("", text)
    if "=" in text:
        # not the place of a URL: a site's own stands in many
        query = text.partition("?")[2] if "//" in text else text
        pieces = _QUERY.split(query, PARTS_LIMIT)
        parts = map(unquote_plus, pieces)
        yield from (("part", part) for part in parts if _says_more(part))
    for separator in _SEPARATORS:
        if separator in text:
            pieces = text.split(separator, PARTS_LIMIT)
            # also what follows the first, if the rest is not taken apart
            pieces.append(text[len(pieces[0]) + 1 :])
            yield from (("part", part) for part in pieces if _says_more(part))


def _says_more(part: str) -> bool:
    """Whether a part is more than a word, and more than signs that stand anywhere."""
    return len(part) > 3 and not _IS_WORD(part) and _HAS_LETTER(part) is not None


def _unescape(text: str) -> str:
    """What JSON and JavaScript mean by their escapes."""

    def meant(match: re.Match[str]) -> str:
        code = match.group(1) or match.group(2)
        if code:
            return chr(int(code, 16))
        return _LETTERS.get(match.group(3), match.group(3))

    return _ESCAPED.sub(meant, text) if "\\" in text else text


def _cleaned(text: str) -> Iterator[tuple[str, str]]:
    """What is left of a text that an app has tidied up, also where it meant well."""
    yield "stripped", text.strip(" \t\r\n'\"")
    if "  " in text or not text.isprintable():
        yield "spaces", " ".join(text.split())
    if "'" in text:
        yield "capitalized", text.capitalize()
        yield "title", text.title()
        yield "case swapped", text.swapcase()
    if not text.isascii():
        yield "ascii", text.encode("ascii", "ignore").decode()
        plain = unicodedata.normalize("NFKD", text)
        yield "ascii", plain.encode("ascii", "ignore").decode()
    if "\0" in text:
        yield "cut", text.partition("\0")[0]
    slashes = text.replace("\\", "/")
    if "../" not in slashes and "..." not in slashes:
        return
    yield "slashes", slashes
    yield "climbs removed", slashes.replace("../", "")
    yield "suffix removed", posixpath.splitext(slashes)[0]
    tail = text[text.rfind("../") + 3 :] if "../" in text else ""
    if tail:
        yield "path", "/" + _CLIMB.sub("/", tail).lstrip("/")


def _decode_base64(text: str) -> str:
    """The text that was encoded, or nothing where the bytes are no text."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        decoded = binascii.a2b_base64(plain + "=" * (-len(plain) % 4))
    except ValueError:
        return ""
    # Most of what looks encoded is not: without an exception, as one costs more.
    result = decoded.decode("utf-8", "ignore")
    if len(result.encode()) < len(decoded):
        return ""
    return result if result.isprintable() or "\n" in result else ""
