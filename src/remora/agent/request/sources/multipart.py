"""Multipart bodies (RFC 7578): fields and names of files, not what is in the files."""

from __future__ import annotations

import binascii
import quopri
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from remora.agent.request.sources.charsets import charset_of, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remora.agent.request.sources.collected import Collected

PARTS_LIMIT = 2000
"""Parts of one body: twice what werkzeug accepts."""

DEPTH_LIMIT = 3
"""Multipart within multipart: the standard knew one more level, for several files."""

_HEAD_LIMIT = 16 * 1024
"""Bytes of a part's headers: parsers take 8 KiB (python-multipart) or less."""

_BOUNDARY = re.compile(
    r";\s*boundary\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;,]+))", re.IGNORECASE
)
_PARAMETER = re.compile(
    r";\s*(name|filename)(\*(?:\d+\*?)?)?\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^;\r\n]*))",
    re.IGNORECASE,
)
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_UNESCAPE = re.compile(r"\\(.)", re.DOTALL)


def boundary_of(content_type: str) -> str:
    """The boundary that a content type names, or empty."""
    match = _BOUNDARY.search(content_type)
    if match is None:
        return ""
    return _UNESCAPE.sub(r"\1", match[1]) if match[1] else match[2] or ""


def add_multipart(
    found: Collected, content: bytes, boundary: str, charset: str, depth: int = 1
) -> bool:
    """Names and values of fields, names of files; False where there is no part."""
    plain = b"--" + boundary.encode("latin-1", "replace")
    strict = re.compile(rb"(?:\A|\r\n?|\n)" + re.escape(plain) + rb"(?=--|\s|\Z)")
    parts = strict.split(content, PARTS_LIMIT + 1)
    # Some parsers (Django's) end a part wherever the boundary stands, others do not:
    # where that makes a difference, both readings are input.
    loose = [
        part.removesuffix(b"\n").removesuffix(b"\r")
        for part in content.split(plain, PARTS_LIMIT + 1)
    ]
    readings = [parts] if len(parts) == len(loose) else [parts, loose]
    for reading in readings:
        if len(reading) > PARTS_LIMIT + 1:
            found.note_cut(f"the multipart body has more than {PARTS_LIMIT} parts")
            reading.pop()
        # before the first delimiter there is no part, and behind the last only "--"
        for part in reading[1:]:
            if not part.startswith(b"--"):
                _add_part(found, part, charset, depth)
    return len(loose) > 1


def _add_part(found: Collected, part: bytes, charset: str, depth: int) -> None:
    blank = _END_OF_HEAD.search(part, 0, _HEAD_LIMIT)
    head = part[: blank.start() if blank else _HEAD_LIMIT]
    value = part[blank.end() :] if blank else b""
    parameter, is_file = "", False
    for text in read_text(head, charset):
        for kind, name in _parameters(text):
            if kind == "filename":
                is_file = True
                _add_file_name(found, name)
            else:
                parameter = parameter or name
                found.add_name(name, "multipart")
    plain_head = head.decode("latin-1")
    inner = boundary_of(plain_head)
    if inner and depth >= DEPTH_LIMIT:
        found.note_cut(f"multipart is nested more than {DEPTH_LIMIT} times")
    elif inner:
        add_multipart(found, value, inner, charset, depth + 1)
    elif not is_file:
        for decoded in _decoded(value, plain_head.lower()):
            for text in read_text(decoded, charset_of(plain_head) or charset):
                found.add(text, "multipart", parameter)


def _add_file_name(found: Collected, name: str) -> None:
    """A file's name as it is, and without the folders that frameworks take off."""
    found.add(name, "file name", "")
    for slash in "/\\":
        if slash in name:
            found.add(name[name.rfind(slash) + 1 :], "file name", "")


def _parameters(head: str) -> Iterator[tuple[str, str]]:
    """`name` and `filename` as they are written, unescaped, and decoded (RFC 5987)."""
    pieces: dict[str, str] = {}
    for match in _PARAMETER.finditer(head):
        kind, text = match[1].lower(), match[3]
        if text is None:
            text = match[4].strip()
        yield kind, text
        if "\\" in text:
            yield kind, _UNESCAPE.sub(r"\1", text)
        if not match[2]:
            continue
        decoded = [text]
        if match[2].endswith("*"):
            charset, quote, rest = text.partition("'")
            encoded = rest.partition("'")[2] if quote else text
            decoded = read_text(unquote_to_bytes(encoded), charset if quote else "")
            for each in decoded:
                yield kind, each
        pieces[kind] = pieces.get(kind, "") + decoded[0]
    # A long name may come in numbered pieces (RFC 2231).
    yield from pieces.items()


def _decoded(value: bytes, head: str) -> Iterator[bytes]:
    """A field's value, also with its transfer encoding undone."""
    yield value
    if "content-transfer-encoding" not in head:
        return
    if "quoted-printable" in head:
        yield quopri.decodestring(value)
    elif "base64" in head:
        try:
            yield binascii.a2b_base64(value)
        except binascii.Error:
            return
