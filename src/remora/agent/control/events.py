"""Server-sent events without I/O: bytes in, events out, with a bound on their size."""

from __future__ import annotations

from remora.errors import WireError
from remora.values import frozen

EVENT_BYTES = 4 * 2**20
"""A push of every probe in one event; a thousand probes are about 1 MiB."""

_NAME_SHOWN = 60


@frozen
class ServerEvent:
    """One event: its name and its data, lines joined."""

    name: str
    data: bytes


class EventReader:
    """Reads a stream in the format of WHATWG HTML, section 9.2.6.

    Comments (our pings) and the fields `id` and `retry` are passed over.
    """

    def __init__(self, limit_bytes: int = EVENT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._is_first_line = True
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[ServerEvent]:
        """The events that these bytes complete. Raises WireError."""
        self._buffer += data
        events: list[ServerEvent] = []
        while (line := self._take_line()) is not None:
            event = self._read_line(line)
            if event is not None:
                events.append(event)
        if self._size + len(self._buffer) > self._limit_bytes:
            raise WireError(f"an event of the stream exceeds {self._limit_bytes} bytes")
        return events

    def _take_line(self) -> bytes | None:
        """A line ends with CR, LF or both; a CR at the very end may be half of both."""
        buffer = self._buffer
        end = _first_of(buffer, self._searched)
        if end < 0 or (buffer[end] == 13 and end + 1 == len(buffer)):
            self._searched = end if end >= 0 else len(buffer)
            return None
        width = 2 if buffer.startswith(b"\r\n", end) else 1
        line = bytes(buffer[:end])
        del buffer[: end + width]
        self._searched = 0
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        return line

    def _read_line(self, line: bytes) -> ServerEvent | None:
        if not line:
            return self._end_event()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value[:_NAME_SHOWN].decode("utf-8", "replace")
        elif field == b"data":
            self._data.append(value)
            self._size += len(value) + 1
            if self._size > self._limit_bytes:
                raise WireError(
                    f"an event of the stream exceeds {self._limit_bytes} bytes"
                )
        return None

    def _end_event(self) -> ServerEvent | None:
        name, data = self._name, self._data
        self._name, self._data, self._size = "", [], 0
        if not data:
            return None
        return ServerEvent(name or "message", b"\n".join(data))


def _first_of(buffer: bytearray, start: int) -> int:
    """Position of the first CR or LF at or after `start`, or -1."""
    newline = buffer.find(b"\n", start)
    carriage = buffer.find(b"\r", start, newline if newline >= 0 else len(buffer))
    return carriage if carriage >= 0 else newline
