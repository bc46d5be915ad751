"""The edge at handlers of Tornado, whatever serves them.

A handler writes to the connection of its request, so ours stands there. Not covered:
bodies that a handler takes in pieces (`stream_request_body`), and delegates that are no
handlers (`tornado.routing`), but for WSGI apps.
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
    from remora.agent.interception import AppValue
    from remora.agent.request.context import RequestContext


def guard_tornado(handler: AppValue) -> bool:
    """A handler begins with its request; whether it is refused at once."""
    context, request = current_request(), handler.request
    if context is None or context.guarded or not protection.watches:
        return False
    context.path = unquote(request.path)
    if context.body is None:
        context.body = watched_body(context)
        context.body.saw(request.body)
    if not protection.blocks:
        return False
    context.guarded = True
    held = HeldConnection(context, request.connection)
    request.connection = held
    if not meet_list(context):
        return False
    held.write_headers(None, None)
    held.finish()
    prepared = handler._prepared_future  # noqa: SLF001 - the server waits for it
    if prepared is not None and not prepared.done():
        prepared.set_result(None)
    return True


class HeldConnection:
    """Stands for a request's connection: every other attribute is that one's own.

    The head is held back until the first byte of the body, or the end.
    """

    __slots__ = (
        "_remora_connection",
        "_remora_context",
        "_remora_head",
        "_remora_is_begun",
        "_remora_is_over",
    )

    def __init__(self, context: RequestContext, connection: AppValue) -> None:
        put = object.__setattr__
        put(self, "_remora_context", context)
        put(self, "_remora_connection", connection)
        put(self, "_remora_head", None)
        put(self, "_remora_is_begun", False)
        put(self, "_remora_is_over", False)

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride] - only read
        return type(self._remora_connection)

    def write_headers(
        self, start_line: AppValue, headers: AppValue, chunk: AppValue = None
    ) -> AppValue:
        """What a handler begins its answer with."""
        if self._remora_is_refused():
            return _done()
        if not chunk and start_line.code >= 200:
            object.__setattr__(self, "_remora_head", (start_line, headers))
            return _done()
        return self._remora_open(start_line, headers, chunk)

    def write(self, chunk: AppValue) -> AppValue:
        """A part of the body."""
        if self._remora_is_refused():
            return _done()
        head = self._remora_head
        if head is None:
            return self._remora_connection.write(chunk)
        return _done() if not chunk else self._remora_open(*head, chunk)

    def finish(self) -> None:
        """The handler is done."""
        connection, head = self._remora_connection, self._remora_head
        if self._remora_is_refused() and self._remora_is_begun:
            return
        if head is not None and not self._remora_is_over:
            self._remora_open(*head, None)
        connection.finish()

    def detach(self) -> AppValue:
        """Whoever takes the stream writes past us."""
        if self._remora_is_refused():
            raise Blocked(self._remora_context.condemned)
        if self._remora_head is not None:
            self._remora_open(*self._remora_head, None)
        return self._remora_connection.detach()

    def _remora_open(
        self, start_line: AppValue, headers: AppValue, chunk: AppValue
    ) -> AppValue:
        object.__setattr__(self, "_remora_head", None)
        object.__setattr__(self, "_remora_is_begun", True)
        return self._remora_connection.write_headers(start_line, headers, chunk)

    def _remora_is_refused(self) -> bool:
        """Whether nothing of the handler goes out; says so to the client, once."""
        context, connection = self._remora_context, self._remora_connection
        if self._remora_is_over or not (context.condemned and protection.blocks):
            return self._remora_is_over
        object.__setattr__(self, "_remora_is_over", True)
        if self._remora_is_begun:
            protection.cut += 1
            connection.close()
            return True
        pairs, body = refusal(context)
        context.status = STATUS
        protection.refused += 1
        httputil = sys.modules["tornado.httputil"]
        start_line = httputil.ResponseStartLine("HTTP/1.1", STATUS, "Forbidden")
        connection.write_headers(start_line, httputil.HTTPHeaders(dict(pairs)), body)
        return True

    def __getattr__(self, name: str) -> AppValue:
        return getattr(self._remora_connection, name)

    def __setattr__(self, name: str, value: AppValue) -> None:
        setattr(self._remora_connection, name, value)


def _done() -> AppValue:
    """What a handler awaits that writes to nobody."""
    future = sys.modules["asyncio"].get_running_loop().create_future()
    future.set_result(None)
    return future
