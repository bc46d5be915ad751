"""HTTP/1.1 of a client without I/O: bytes in, events out; messages in, bytes out.

`http.client` would import `ssl` and `email`, block in reads and take headers without a
bound. Here: no waiting, no import, and a limit on everything a peer can send. Not
covered, because we never ask for it: trailers (skipped), content codings, upgrades,
and pipelining.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from remora.errors import WireError
from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEAD_BYTES = 32 * 2**10
HEAD_LINES = 100
_CHUNK_LINE_BYTES = 256
_CHUNK_LENGTH = re.compile(rb"[0-9A-Fa-f]{1,12}\Z")
_SHOWN = 60


@frozen
class Head:
    """Status and headers of an answer; names are in lower case."""

    status: int
    headers: dict[str, str]


@frozen
class Body:
    """Some bytes of an answer's body."""

    data: bytes


@frozen
class End:
    """The answer is complete; `keeps_alive` tells whether another may follow."""

    keeps_alive: bool


Event = Head | Body | End


class _State(Enum):
    HEAD = "head"
    COUNTED = "counted body"
    CHUNK_LINE = "chunk line"
    CHUNK = "chunk"
    CHUNK_END = "end of chunk"
    TRAILER = "trailer"
    UNTIL_CLOSE = "body until close"
    END = "end"
    DONE = "done"


class AnswerReader:
    """Reads one answer to a request of the given method."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._buffer = bytearray()
        self._is_closed = False
        self._left = 0
        self._keeps_alive = True
        self._state = _State.HEAD
        self._readers: dict[_State, Callable[[], Event | None]] = {
            _State.HEAD: self._read_head,
            _State.COUNTED: self._read_counted,
            _State.CHUNK_LINE: self._read_chunk_line,
            _State.CHUNK: self._read_chunk,
            _State.CHUNK_END: self._read_chunk_end,
            _State.TRAILER: self._read_trailer,
            _State.UNTIL_CLOSE: self._read_until_close,
            _State.END: self._read_end,
            _State.DONE: lambda: None,
        }

    def feed(self, data: bytes) -> None:
        """Take what the peer sent; empty means that it closed the connection."""
        self._buffer += data
        self._is_closed = self._is_closed or not data

    def next_event(self) -> Event | None:
        """The next event, or None when more bytes are needed. Raises WireError."""
        while True:
            before = self._state
            event = self._readers[before]()
            if event is not None:
                return event
            if self._state is before:
                self._check_closed()
                return None

    def _check_closed(self) -> None:
        if self._is_closed and self._state not in {_State.DONE, _State.UNTIL_CLOSE}:
            raise WireError(
                f"the connection was closed in the {self._state.value} of an answer"
            )

    def _take_line(self, limit: int) -> bytes | None:
        end = self._buffer.find(b"\n", 0, limit)
        if end < 0:
            if len(self._buffer) >= limit:
                raise WireError(
                    f"a line of the {self._state.value} of an answer is longer than "
                    f"{limit} bytes"
                )
            return None
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        return line

    def _read_head(self) -> Event | None:
        if (end := _find_head_end(self._buffer)) < 0:
            if len(self._buffer) > HEAD_BYTES:
                raise WireError(f"the head of an answer exceeds {HEAD_BYTES} bytes")
            # What is no HTTP at all must not be waited for until the time is out.
            start = bytes(self._buffer[:5])
            if start and not b"HTTP/".startswith(start):
                raise WireError(f"{bytes(self._buffer[:_SHOWN])!r} is no HTTP answer")
            return None
        head = _parse_head(bytes(self._buffer[:end]))
        del self._buffer[:end]
        if 100 <= head.status < 200:
            return self._read_head() if head.status != 101 else self._refuse_upgrade()
        self._begin_body(head)
        return head

    def _refuse_upgrade(self) -> Event | None:
        raise WireError("an answer has status 101, and no upgrade was asked for")

    def _begin_body(self, head: Head) -> None:
        headers = head.headers
        tokens = headers.get("connection", "").lower()
        self._keeps_alive = "close" not in tokens
        length = headers.get("content-length")
        if (
            head.status in {204, 304}
            or self._method == "HEAD"
            or (self._method == "CONNECT" and head.status < 300)
        ):
            self._state = _State.END
        elif headers.get("transfer-encoding", "").lower().endswith("chunked"):
            self._state = _State.CHUNK_LINE
        elif length is not None:
            if not (length.isascii() and length.isdigit() and len(length) < 16):
                raise WireError(f"content-length {length[:_SHOWN]!r} is no number")
            self._left = int(length)
            self._state = _State.COUNTED if self._left else _State.END
        else:
            self._keeps_alive = False
            self._state = _State.UNTIL_CLOSE

    def _take_body(self) -> Event | None:
        if not self._buffer:
            return None
        data = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(data)
        return Body(data)

    def _read_counted(self) -> Event | None:
        if self._left == 0:
            self._state = _State.END
            return None
        return self._take_body()

    def _read_chunk_line(self) -> Event | None:
        line = self._take_line(_CHUNK_LINE_BYTES)
        if line is None:
            return None
        digits = line.split(b";")[0].strip()
        if not _CHUNK_LENGTH.match(digits):
            raise WireError(f"chunk length {line[:_SHOWN]!r} is no number")
        self._left = int(digits, 16)
        self._state = _State.CHUNK if self._left else _State.TRAILER
        return None

    def _read_chunk(self) -> Event | None:
        if self._left == 0:
            self._state = _State.CHUNK_END
            return None
        return self._take_body()

    def _read_chunk_end(self) -> Event | None:
        line = self._take_line(_CHUNK_LINE_BYTES)
        if line is None:
            return None
        if line:
            raise WireError(f"a chunk is followed by {line[:_SHOWN]!r}")
        self._state = _State.CHUNK_LINE
        return None

    def _read_trailer(self) -> Event | None:
        while (line := self._take_line(HEAD_BYTES)) is not None:
            if not line:
                self._state = _State.END
                break
            self._left += 1
            if self._left > HEAD_LINES:
                raise WireError(f"an answer has more than {HEAD_LINES} trailers")
        return None

    def _read_until_close(self) -> Event | None:
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            return Body(data)
        if self._is_closed:
            self._state = _State.END
        return None

    def _read_end(self) -> Event | None:
        self._state = _State.DONE
        return End(self._keeps_alive and not self._buffer and not self._is_closed)


def _find_head_end(buffer: bytearray) -> int:
    """Position after the empty line that ends a head, or -1."""
    ends = [
        position + len(mark)
        for mark in (b"\r\n\r\n", b"\n\n")
        if (position := buffer.find(mark, 0, HEAD_BYTES + 4)) >= 0
    ]
    return min(ends, default=-1)


def _parse_head(data: bytes) -> Head:
    lines = [line.rstrip("\r") for line in data.decode("latin-1").split("\n")]
    version, _, rest = lines[0].partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdigit()):
        raise WireError(f"{lines[0][:_SHOWN]!r} is no HTTP/1.1 answer")
    if len(lines) > HEAD_LINES:
        raise WireError(f"an answer has more than {HEAD_LINES} headers")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        if not line:
            continue
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise WireError(f"{line[:_SHOWN]!r} is no header")
        headers[name.lower()] = value.strip()
    if version == "HTTP/1.0":
        headers.setdefault("connection", "close")
    return Head(int(status), headers)


def write_request(
    method: str, target: str, headers: Sequence[tuple[str, str]], length: int | None
) -> bytes:
    """The head of a request; a body of `length` bytes follows."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    for line in lines:
        if "\r" in line or "\n" in line:
            raise WireError(f"{line[:_SHOWN]!r} has a line break in a header")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
