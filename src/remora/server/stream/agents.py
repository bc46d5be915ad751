"""What agents wait for: pushes and queries, by a stream or by polling."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from remora.errors import WireError
from remora.server.stream.events import (
    PING,
    REPLACED,
    STOPPING,
    event,
    event_stream,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request

    from remora.server.domain import Caller
    from remora.server.operations import Operations

POLL_S = 30
"""The longest poll: proxies cut what is silent for a minute."""


class AgentStreams:
    """`/agent/v1/stream` and `/agent/v1/poll`."""

    def __init__(self, operations: Operations) -> None:
        self._guard = operations.guard
        self._credentials = operations.credentials
        self._hub = operations.hub
        self._instances = operations.instances
        self._counters = operations.counters
        self._ping_s = operations.settings.ping_s

    def routes(self) -> list[Route]:
        """The paths and methods."""
        return [
            Route("/agent/v1/stream", self.stream, methods=["GET"]),
            Route("/agent/v1/poll", self.poll, methods=["GET"]),
        ]

    async def stream(self, request: Request) -> Response:
        """Pushes and queries, as soon as there are any."""
        caller = self._guard.agent(request)
        instance_id = request.query_params.get("instance", "")
        revision = _number(request, "revision", 0)
        self._instances.get(instance_id, caller)
        return event_stream(self._events(instance_id, revision, caller))

    async def poll(self, request: Request) -> Response:
        """A push, or nothing after a while."""
        caller = self._guard.agent(request)
        instance_id = request.query_params.get("instance", "")
        revision = _number(request, "revision", 0)
        wait_s = min(_number(request, "wait", 25), POLL_S)
        known = self._instances.arrive(instance_id, caller)
        with self._hub.connected(instance_id, takes_queries=False) as connection:
            try:
                async with asyncio.timeout(wait_s):
                    while known.revision == revision and not (
                        self._hub.closing or connection.replaced
                    ):
                        await connection.wait(POLL_S)
                        known = self._instances.get(instance_id, caller)
            except TimeoutError:
                pass
        self._instances.touch(instance_id, caller)
        if known.revision == revision:
            return Response(status_code=204)
        self._counters.pushes += 1
        return Response(self._instances.push(known), media_type="application/json")

    async def _events(
        self, instance_id: str, revision: int, caller: Caller
    ) -> AsyncGenerator[bytes]:
        known = self._instances.arrive(instance_id, caller)
        with self._hub.connected(instance_id, takes_queries=True) as connection:
            yield PING
            while not (self._hub.closing or connection.replaced):
                if not self._credentials.is_valid(caller):
                    # The agent learns why when it comes back.
                    return
                if known.revision != revision:
                    revision = known.revision
                    self._counters.pushes += 1
                    yield event("push", self._instances.push(known))
                while connection.queries:
                    yield event("query", connection.queries.popleft())
                if not await connection.wait(self._ping_s):
                    yield PING
                known = self._instances.touch(instance_id, caller)
        yield REPLACED if connection.replaced else STOPPING


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise WireError(f"{name} = {text[:40]!r} is no whole number")
    return int(text)
