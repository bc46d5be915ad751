"""Bodies of requests: bounded in bytes, packed or not, and in depth, then decoded.

Nothing is decoded before its size is known to be bounded, and nothing is stored that
a reader with an ordinary JSON parser could not read back.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

import msgspec

from remora.errors import WireError
from remora.server.domain import TooLargeError

if TYPE_CHECKING:
    from starlette.requests import Request

Message = TypeVar("Message")

BODY_BYTES = 8 * 2**20
"""The limit of docs/protocol.md, sixteen times the largest batch of our own agents."""

DEPTH = 64
"""Levels of arrays and objects. A captured value has about a dozen; the parsers of
other languages give up at a hundred and more."""

_ASIDE_BYTES = 64 * 2**10
"""From this size on a body is decoded in a thread: it takes milliseconds."""

# Ends at the end of the text as well, so that no quote is ever looked at twice.
_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


async def read_message(request: Request, kind: type[Message]) -> Message:
    """The body of `request` as a message. Raises TooLargeError, WireError."""
    body = await _read(request)
    packing = request.headers.get("Content-Encoding", "identity").lower()
    if len(body) < _ASIDE_BYTES and packing == "identity":
        return decode_message(body, packing, kind)
    return await asyncio.to_thread(decode_message, body, packing, kind)


def decode_message(body: bytes, packing: str, kind: type[Message]) -> Message:
    """Unpack, bound and decode a body. Raises TooLargeError, WireError."""
    if packing == "deflate":
        body = _inflate(body)
    elif packing != "identity":
        raise WireError(
            f"Content-Encoding {packing[:40]!r} is not known: send 'deflate' (zlib) or "
            "none"
        )
    depth = max(accumulate(_STEPS[each] for each in _brackets(body)), default=0)
    if depth > DEPTH:
        raise WireError(f"the body is nested {depth} levels deep: at most {DEPTH}")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"the body is not the message expected here: {error}") from None


def _brackets(body: bytes) -> bytes:
    return _TEXTS.sub(b"", body).translate(None, _NO_BRACKETS)


async def _read(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES:
            raise _too_large()
        parts.append(part)
    return b"".join(parts)


def _inflate(body: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(body, BODY_BYTES + 1)
    except zlib.error as error:
        raise WireError(f"the body is no zlib stream: {error}") from None
    if len(unpacked) > BODY_BYTES:
        raise _too_large()
    if not unpacker.eof or unpacker.unused_data:
        raise WireError("the zlib stream of the body is cut, or has something after it")
    return unpacked


def _too_large() -> TooLargeError:
    return TooLargeError(
        f"the body is larger than {BODY_BYTES} bytes: send less at a time"
    )
