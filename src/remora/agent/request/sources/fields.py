"""Fields in one line: query strings and forms, cookies, headers, segments of a path."""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remora.agent.request.sources.collected import Collected

FIELDS_LIMIT = 2000
"""Fields of one query or form: twice what Django and werkzeug accept."""

SEGMENTS_LIMIT = 50
"""Segments of a path: real routes have ten."""

_HOSTS = frozenset(
    ("host", "origin", "x-forwarded-host", "x-forwarded-for", "x-real-ip",
     "x-forwarded-proto", "x-forwarded-port", "forwarded")
)  # fmt: skip
"""Headers by which each request names the app and its client."""

_IS_HOST = re.compile(r"(?:https?://)?[\w.:, \[\]-]*\Z", re.ASCII)
_OCTAL = re.compile(r"\\([0-3][0-7][0-7])|\\(.)")


def add_query(found: Collected, text: str, source: str, charset: str = "") -> None:
    """The fields of a query string or of an urlencoded form."""
    for separator in "&;":
        if separator == ";" and ";" not in text:
            return
        fields = text.split(separator, FIELDS_LIMIT)
        if len(fields) > FIELDS_LIMIT:
            found.note_cut(f"the {source} has more than {FIELDS_LIMIT} fields")
            fields.pop()
        for field in fields:
            _add_field(found, field, source, "utf-8")
            if charset and "%" in field:
                _add_field(found, field, source, charset)


def _add_field(found: Collected, field: str, source: str, charset: str) -> None:
    name, _, value = field.partition("=")
    if "%" in field or "+" in field:
        name = unquote_plus(name, charset, "replace")
        value = unquote_plus(value, charset, "replace")
    found.add_name(name, source)
    found.add(value, source, name)


def add_cookies(found: Collected, text: str) -> None:
    """Names and values of a Cookie header, as tolerant as the frameworks' readers."""
    for part in text.split(";")[:FIELDS_LIMIT]:
        name, equals, value = part.strip().partition("=")
        if not equals:
            name, value = "", name
        found.add_name(name, "cookie")
        found.add(value, "cookie", name)
        if len(value) > 1 and value[0] == value[-1] == '"':
            found.add(_OCTAL.sub(_unescaped, value[1:-1]), "cookie", name)


def add_headers(found: Collected, headers: Iterable[tuple[str, str]]) -> None:
    """The values of all headers.

    Those that name the app or its client in the plain way are left out: the app has
    the same names for itself and its neighbours.
    """
    for name, text in headers:
        if name == "cookie":
            add_cookies(found, text)
        elif not is_plain_host(name, text):
            found.add(text, "header", name)
            if not text.isascii():
                found.add(again_as_utf8(text), "header", name)
        if name == "authorization":
            _add_credentials(found, text)


def is_plain_host(name: str, text: str) -> bool:
    """Whether a header says who the app or its client is, and nothing more."""
    return name in _HOSTS and _IS_HOST.match(text) is not None


def add_path(found: Collected, path: str) -> None:
    """Each segment of a path, and each tail of it.

    The whole with its first slash is left out: an app has folders of such names, and
    not because of the request.
    """
    tail = path
    for _ in range(SEGMENTS_LIMIT):
        segment, slash, rest = tail.partition("/")
        found.add(segment, "path", "")
        if not slash:
            return
        found.add(rest, "path", "")
        tail = rest
    found.note_cut(f"the path has more than {SEGMENTS_LIMIT} segments")


def again_as_utf8(text: str) -> str:
    """What servers hand on as Latin-1, read as the UTF-8 that it mostly is."""
    try:
        return text.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return text


def _add_credentials(found: Collected, text: str) -> None:
    """The token of an Authorization header; user and password of the Basic scheme."""
    scheme, _, token = text.partition(" ")
    found.add(token.strip(), "header", "authorization")
    if scheme.lower() != "basic":
        return
    try:
        pair = binascii.a2b_base64(token).decode("utf-8", "replace")
    except ValueError:
        return
    for part in pair.partition(":")[::2]:
        found.add(part, "header", "authorization")


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 8)) if match[1] else match[2]
