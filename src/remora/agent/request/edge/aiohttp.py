"""The edge between aiohttp's own server and what handles its requests.

What a handler reads and writes are attributes of the request, so ours stand there. Not
covered: writers of before 3.13, which send a stream's head when it is prepared, so that
such a stream is cut where later ones are refused.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.agent.request.context import current_request
from remora.agent.request.edge.bodies import watched_body
from remora.agent.request.edge.refusal import STATUS, meet_list, refusal
from remora.agent.request.protected import protection
from remora.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from remora.agent.interception import AppValue
    from remora.agent.request.body import Body
    from remora.agent.request.context import RequestContext

_POLICY_CLOSE = b"\x88\x02\x03\xf0"
"""A server's close frame with the code 1008 (RFC 6455, 5.5.1)."""

_READS = frozenset(("read", "readany", "readline", "readuntil", "readexactly"))
_ITERATIONS = frozenset(("iter_any", "iter_chunked", "iter_chunks"))


class AiohttpApplication:
    """What handles the requests of aiohttp's server, behind an edge of ours."""

    __slots__ = ("app",)

    def __init__(self, app: AppValue) -> None:
        self.app = app

    async def __call__(self, request: AppValue) -> AppValue:
        """Serve a request."""
        context = current_request()
        if context is None or context.guarded or not protection.watches:
            return await self.app(request)
        edge = AiohttpEdge(context, request)
        if not protection.blocks:
            return await self.app(request)
        context.guarded = True
        edge.hold()
        if meet_list(context):
            return edge.refuse()
        try:
            response = await self.app(request)
        except Exception:
            if not context.condemned:
                raise
            return edge.refuse()
        return edge.refuse() if context.condemned else response


class AiohttpEdge:
    """One request: its body watched, a stream's head held back until its first byte."""

    __slots__ = ("_context", "_request", "_writer", "is_websocket")

    def __init__(self, context: RequestContext, request: AppValue) -> None:
        self._context = context
        self._request = request
        self._writer: AppValue = request._payload_writer  # noqa: SLF001 - aiohttp has no other way
        self.is_websocket = False
        context.path = request.path
        payload = request._payload  # noqa: SLF001 - the same
        if context.body is None:
            context.body = watched_body(context)
            if "Empty" not in type(payload).__name__:
                request._payload = WatchedPayload(payload, context.body)  # noqa: SLF001 - the same

    def hold(self) -> None:
        """Let what the handler writes pass by us."""
        self._request._payload_writer = HeldWriter(self, self._writer)  # noqa: SLF001 - the same

    def check(self) -> None:
        """Stop what a condemned request writes."""
        if self._context.condemned and protection.blocks:
            raise Blocked(self._context.condemned)

    def refuse(self) -> AppValue:
        """The response in the handler's place; what has begun is cut."""
        if self._writer.output_size > 0:
            protection.cut += 1
            transport = self._request.transport
            if self.is_websocket and transport is not None:
                transport.write(_POLICY_CLOSE)
            raise Blocked(self._context.condemned)
        headers, body = refusal(self._context)
        protection.refused += 1
        request, writer = self._request, self._writer
        # a new one: what the handler has prepared may have left its lengths
        request._payload_writer = type(writer)(request._protocol, request._loop)  # noqa: SLF001 - the same
        web = sys.modules["aiohttp.web_response"]
        return web.Response(body=body, status=STATUS, headers=dict(headers))


class HeldWriter:
    """Stands for a request's writer: every other attribute is that one's own."""

    __slots__ = ("_remora_edge", "_remora_is_through", "_remora_writer")

    def __init__(self, edge: AiohttpEdge, writer: AppValue) -> None:
        object.__setattr__(self, "_remora_edge", edge)
        object.__setattr__(self, "_remora_writer", writer)
        object.__setattr__(self, "_remora_is_through", False)

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride] - only read
        return type(self._remora_writer)

    async def write_headers(self, status_line: AppValue, headers: AppValue) -> None:
        """Note what is to come: the head waits in the writer."""
        self._remora_edge.check()
        is_websocket = " 101 " in status_line
        self._remora_edge.is_websocket = is_websocket
        # What is sent from a file is sent by the kernel, past the writer.
        is_through = is_websocket or "Accept-Ranges" in headers
        object.__setattr__(self, "_remora_is_through", is_through)
        await self._remora_writer.write_headers(status_line, headers)

    def send_headers(self) -> None:
        """Not yet, but for a handshake and for files."""
        self._remora_edge.check()
        if self._remora_is_through:
            self._remora_writer.send_headers()

    async def write(self, *args: AppValue, **kwargs: AppValue) -> AppValue:
        """A part of the body."""
        self._remora_edge.check()
        return await self._remora_writer.write(*args, **kwargs)

    async def write_eof(self, *args: AppValue) -> AppValue:
        """The last part of the body."""
        self._remora_edge.check()
        return await self._remora_writer.write_eof(*args)

    def __getattr__(self, name: str) -> AppValue:
        return getattr(self._remora_writer, name)

    def __setattr__(self, name: str, value: AppValue) -> None:
        setattr(self._remora_writer, name, value)


class WatchedPayload:
    """Stands for a request's stream: every attribute is the stream's own."""

    __slots__ = ("_remora_again", "_remora_body", "_remora_stream")

    def __init__(self, stream: AppValue, body: Body) -> None:
        self._remora_stream = stream
        self._remora_body = body
        self._remora_again = 0

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride] - only read
        return type(self._remora_stream)

    async def readchunk(self) -> AppValue:
        """What the stream gives."""
        found = await self._remora_stream.readchunk()
        self._remora_saw(found[0])
        return found

    def read_nowait(self, *sizes: AppValue) -> AppValue:
        """What the stream gives."""
        piece = self._remora_stream.read_nowait(*sizes)
        self._remora_saw(piece)
        return piece

    def unread_data(self, data: AppValue) -> None:
        """What comes once more was seen before."""
        self._remora_stream.unread_data(data)
        self._remora_again += len(data)

    def __aiter__(self) -> AsyncIterator[AppValue]:
        return type(self._remora_stream).__aiter__(self)

    def __getattr__(self, name: str) -> AppValue:
        if name in _ITERATIONS:
            # functions that ask the object they are given for its reads
            return getattr(type(self._remora_stream), name).__get__(self)
        value = getattr(self._remora_stream, name)
        if name not in _READS:
            return value

        async def watched(*args: AppValue, **kwargs: AppValue) -> AppValue:
            piece = await value(*args, **kwargs)
            self._remora_saw(piece)
            return piece

        return watched

    def _remora_saw(self, piece: AppValue) -> None:
        again = min(self._remora_again, len(piece))
        self._remora_again -= again
        self._remora_body.saw(piece[again:])
