"""What operators watch: records, as they arrive."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from remora.errors import WireError
from remora.server.stream.events import PING, STOPPING, event, event_stream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request

    from remora.server.domain import Caller, StoredRecord
    from remora.server.operations import Operations


class RecordStreams:
    """`/api/v1/records/stream`."""

    def __init__(self, operations: Operations) -> None:
        self._guard = operations.guard
        self._credentials = operations.credentials
        self._records = operations.records
        self._ping_s = operations.settings.ping_s

    def routes(self) -> list[Route]:
        """The path and method."""
        return [Route("/api/v1/records/stream", self.stream, methods=["GET"])]

    async def stream(self, request: Request) -> Response:
        """Records from now on, or from the one that the request names."""
        caller = self._guard.operator(request)
        asked = request.query_params
        # A browser that reconnects says what it saw last in this header.
        text = request.headers.get("Last-Event-ID") or asked.get("after", "")
        if text and not (text.isascii() and text.isdigit() and len(text) < 20):
            raise WireError(f"after = {text[:40]!r} is no id of a record")
        after = min(int(text), 2**62) if text else await self._records.last_id()
        return event_stream(
            self._events(
                self._records.follow(
                    asked.get("probe", ""),
                    asked.get("instance", ""),
                    after,
                    self._ping_s,
                ),
                caller,
            )
        )

    async def _events(
        self, batches: AsyncGenerator[list[StoredRecord]], caller: Caller
    ) -> AsyncGenerator[bytes]:
        yield PING
        async with aclosing(batches):
            async for found in batches:
                if not self._credentials.is_valid(caller):
                    return
                if not found:
                    yield PING
                for record in found:
                    body = msgspec.json.encode(record.to_json())
                    yield event("record", body, record.id)
        yield STOPPING
