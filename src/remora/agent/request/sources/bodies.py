"""A body: what it says it is, and what it looks like, since apps go by either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.request.sources.charsets import charset_of, known_charset, read_text
from remora.agent.request.sources.fields import add_query
from remora.agent.request.sources.json_texts import add_json
from remora.agent.request.sources.multipart import add_multipart, boundary_of
from remora.agent.request.sources.xml_texts import add_xml

if TYPE_CHECKING:
    from remora.agent.request.sources.collected import Collected

RAW_LIMIT = 64 * 1024
"""Characters of a body that is an input as a whole: of longer ones detection makes no
forms either."""

_BINARY_SAMPLE = 1024


def add_body(
    found: Collected, content: bytes, content_type: str, *, is_cut: bool
) -> None:
    """The texts of a body, of which more may have come than this."""
    kind = content_type.partition(";")[0].strip().lower()
    charset = charset_of(content_type)
    boundary = boundary_of(content_type)
    is_read = bool(boundary) and add_multipart(found, content, boundary, charset)
    if not is_read:
        is_read = _add_text(found, content, kind, charset)
    # Nobody puts the bytes of a picture into a statement: only of text is any missing.
    if is_cut and (is_read or not _is_binary(content)):
        found.note_cut("the body is longer than what is kept of it")


def add_message(found: Collected, message: str | bytes) -> None:
    """A message of a websocket: mostly JSON."""
    texts = [message] if isinstance(message, str) else read_text(message)
    for text in texts:
        add_json(found, text, "message")
        found.add(text[:RAW_LIMIT], "message", "")


def _add_text(found: Collected, content: bytes, kind: str, charset: str) -> bool:
    """All that a text may be, and the text itself; whether it was anything known."""
    if _is_binary(content) and not charset:
        return False
    is_form = kind == "application/x-www-form-urlencoded"
    is_read = is_form
    for text in read_text(content, charset or _guess(content)):
        start = text[:64].lstrip("\ufeff \t\r\n")
        if is_form or ("=" in text[:1024] and not start.startswith(("{", "[", "<"))):
            add_query(found, text, "form", known_charset(charset))
        if start.startswith(("{", "[", '"')) or "json" in kind:
            is_read = add_json(found, text) or is_read
        if start.startswith("<"):
            add_xml(found, content, text)
            is_read = True
        if not is_form:
            found.add(text[:RAW_LIMIT], "body", "")
    return is_read


_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def _guess(content: bytes) -> str:
    """UTF-16 and UTF-32 as JSON's and XML's readers find them by the first bytes."""
    if content[:2] in _UTF_16_MARKS:
        return "utf-16"
    if content[:1] == b"\0":
        return "utf-16-be" if content[1:2] != b"\0" else "utf-32-be"
    if content[1:2] == b"\0":
        return "utf-16-le" if content[2:3] != b"\0" else "utf-32-le"
    return ""


def _is_binary(content: bytes) -> bool:
    """Whether the beginning is no text in any charset of bytes."""
    sample = content[:_BINARY_SAMPLE]
    return b"\0" in sample and not _guess(content)
