"""The edge between Sanic's own server and what handles its requests.

A handler reads and answers by the stream of its request, so ours stands there. Not
covered: what a handler writes to the transport by itself, and HTTP/3.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import unquote

from remora.agent.request.context import current_request
from remora.agent.request.edge.bodies import watched_body
from remora.agent.request.edge.refusal import STATUS, meet_list, refusal
from remora.agent.request.protected import protection
from remora.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from remora.agent.interception import AppValue
    from remora.agent.request.body import Body
    from remora.agent.request.context import RequestContext

_POLICY_VIOLATION = 1008
"""The code of RFC 6455 for a connection that is closed for what was sent on it."""


async def guard_sanic(request: AppValue) -> bool:
    """A request is about to be handled; whether it is refused at once."""
    context = current_request()
    if context is None or context.guarded or not protection.watches:
        return False
    context.path = unquote(request.path)
    if context.body is None:
        context.body = watched_body(context)
    held = request.stream = HeldStream(context, request.stream, context.body)
    if not protection.blocks:
        return False
    context.guarded = True
    if not meet_list(context):
        return False
    await held.refuse()
    return True


class HeldStream:
    """Stands for a request's stream: every other attribute is that one's own.

    The body is watched, and the head held back until its first byte, or the end.
    """

    __slots__ = (
        "_remora_body",
        "_remora_context",
        "_remora_is_begun",
        "_remora_is_over",
        "_remora_stream",
    )

    def __init__(self, context: RequestContext, stream: AppValue, body: Body) -> None:
        put = object.__setattr__
        put(self, "_remora_context", context)
        put(self, "_remora_stream", stream)
        put(self, "_remora_body", body)
        put(self, "_remora_is_begun", False)
        put(self, "_remora_is_over", False)

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride] - only read
        return type(self._remora_stream)

    async def __aiter__(self) -> AsyncIterator[AppValue]:
        async for piece in self._remora_stream:
            self._remora_body.saw(piece)
            yield piece

    async def read(self) -> AppValue:
        """A piece of the body."""
        piece = await self._remora_stream.read()
        self._remora_body.saw(piece)
        return piece

    def respond(self, response: AppValue) -> AppValue:
        """What a handler is going to answer."""
        if not self._remora_is_over:
            self._remora_stream.respond(response)
        response.stream = self
        return response

    @property
    def send(self) -> Callable[..., AppValue] | None:
        """By what an answer is sent; none where it has ended."""
        if self._remora_stream.send is None and not self._remora_is_over:
            return None
        return self._remora_send

    async def _remora_send(self, data: AppValue, end_stream: AppValue) -> None:
        """A part of the answer."""
        context, stream = self._remora_context, self._remora_stream
        if context.condemned and protection.blocks:
            await self.refuse()
            return
        has_body = data or getattr(stream.response, "body", None)
        if protection.blocks and not (self._remora_is_begun or has_body or end_stream):
            return
        object.__setattr__(self, "_remora_is_begun", True)
        await stream.send(data, end_stream=end_stream)

    async def refuse(self) -> None:
        """Answer in the handler's place, once; what has begun is cut."""
        context, stream = self._remora_context, self._remora_stream
        is_over = self._remora_is_over
        object.__setattr__(self, "_remora_is_over", True)
        if self._remora_is_begun:
            protection.cut += not is_over
            raise Blocked(context.condemned)
        if is_over:
            return
        protection.refused += 1
        socket = getattr(stream.protocol, "websocket", None)
        if socket is not None:
            socket.end_connection(_POLICY_VIOLATION)
            return
        headers, body = refusal(context)
        context.status = STATUS
        kind, response = dict(headers), sys.modules["sanic.response"]
        answer = response.HTTPResponse(
            body, STATUS, kind, content_type=kind["Content-Type"]
        )
        theirs = stream.response
        stream.respond(answer)
        if theirs is not None:
            theirs.stream = self
        await stream.send(b"", end_stream=True)

    def __bool__(self) -> bool:
        return bool(self._remora_stream)

    def __getattr__(self, name: str) -> AppValue:
        return getattr(self._remora_stream, name)

    def __setattr__(self, name: str, value: AppValue) -> None:
        setattr(self._remora_stream, name, value)
