"""Server-sent events: their text, and the answer that carries them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PING = b": ping\n\n"
STOPPING = b": the server is stopping\n\n"
REPLACED = b": a newer stream of this instance has taken over\n\n"


def event(name: str, data: bytes, identifier: int | None = None) -> bytes:
    """One event. `data` is JSON on one line, as msgspec writes it."""
    head = b"" if identifier is None else b"id: %d\n" % identifier
    return b"%sevent: %s\ndata: %s\n\n" % (head, name.encode(), data)


def event_stream(events: AsyncIterator[bytes]) -> StreamingResponse:
    """An answer that lasts as long as `events`, which no proxy may hold back."""
    return StreamingResponse(
        events,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
