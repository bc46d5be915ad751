"""The needles of a plain request, cut out of what it says without reading it.

Most requests say little, and none of it comes near a statement or a path. For these it
is enough to know texts of which one stands wherever an input or a form of one does.
What is cut here are the very values that the readers beside would give, so a request is
plain only if it has nothing that they read in more than one way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from remora.agent.request.sources.collected import (
    NAME_LIMIT,
    SMALL_COUNT,
    SMALL_LENGTH,
)
from remora.agent.request.sources.fields import SEGMENTS_LIMIT, is_plain_host
from remora.detection import needles_of

if TYPE_CHECKING:
    from remora.detection.inputs import Needles


def plain_needles(
    query: str, path: str, parameters: object, headers: list[tuple[str, str]]
) -> Needles | None:
    """The needles of these, or None where they have to be read."""
    segments = path.split("/")
    if len(segments) >= SEGMENTS_LIMIT or (
        parameters is not None and type(parameters) is not dict
    ):
        return None
    # each segment, and the tails of several
    texts = segments
    if len(segments) > 2:
        texts = segments + [
            "/".join(segments[at:]) for at in range(1, len(segments) - 1)
        ]
    if parameters:
        values = list(parameters.copy().values())
        texts += [str(v) for v in values if type(v) is str or type(v) is int]
    if (query and not _cut_query(query, texts)) or not _cut_headers(headers, texts):
        return None
    if len(texts) > SMALL_COUNT or sum(map(len, texts)) > SMALL_LENGTH:
        return None
    return needles_of(texts)


def _cut_query(query: str, texts: list[str]) -> bool:
    """Names and values; not where a name is repeated, as apps join its values."""
    if ";" in query:
        return False
    names: set[str] = set()
    fields = query.split("&")
    for field in fields:
        name, _, value = field.partition("=")
        if "%" in field or "+" in field:
            name, value = unquote_plus(name), unquote_plus(value)
        names.add(name)
        if not name.isidentifier():
            # an input of the same parameter as its value, and joined with that
            if len(name) > NAME_LIMIT:
                return False
            texts += [name, f"{name}{value}", f"{name} {value}", f"{name},{value}"]
        texts.append(value)
    return len(names) == len(fields)


def _cut_headers(headers: list[tuple[str, str]], texts: list[str]) -> bool:
    """The values; cookies as names and values, not where quotes are around one."""
    for name, text in headers:
        if name == "cookie":
            if '"' in text:
                return False
            for part in text.split(";"):
                key, equals, value = part.strip().partition("=")
                if not equals or not key.isidentifier():
                    texts.append(key)
                texts.append(value)
        elif name == "authorization":
            return False
        elif not is_plain_host(name, text):
            texts.append(text)
    return True
