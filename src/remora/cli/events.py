"""Server-sent events, read from bytes as they arrive.

Lines are split at line feeds alone: JSON may hold U+2028 as itself, at which the line
readers of HTTP libraries break.
"""

from __future__ import annotations

from dataclasses import dataclass

from remora.errors import WireError

BUFFER_LIMIT = 16 * 2**20
"""Bytes of one event: twice the largest body that docs/protocol.md allows."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream."""

    kind: str
    data: str
    id: str


class EventReader:
    """Collects bytes and gives out the events that are whole."""

    def __init__(self) -> None:
        self._buffer = b""
        self._kind = "message"
        self._data: list[str] = []
        self._id = ""

    def feed(self, chunk: bytes) -> list[Event]:
        """Add bytes. Raises WireError when an event outgrows its bounds."""
        self._buffer += chunk
        if len(self._buffer) > BUFFER_LIMIT:
            raise WireError(f"an event of the stream exceeds {BUFFER_LIMIT} bytes")
        *lines, self._buffer = self._buffer.split(b"\n")
        events: list[Event] = []
        for line in lines:
            event = self._take(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if event is not None:
                events.append(event)
        return events

    def _take(self, line: str) -> Event | None:
        if not line:
            event = Event(self._kind, "\n".join(self._data), self._id)
            complete = bool(self._data)
            self._kind, self._data = "message", []
            return event if complete else None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "data":
                self._data.append(value)
            case "event":
                self._kind = value
            case "id":
                self._id = value
            case _:
                pass
        return None
