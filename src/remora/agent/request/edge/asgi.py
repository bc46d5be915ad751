"""The edge between an ASGI server and an app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.request.edge.bodies import watched_body
from remora.agent.request.edge.refusal import STATUS, refusal
from remora.agent.request.protected import protection
from remora.errors import Blocked

if TYPE_CHECKING:
    from remora.agent.interception import AppValue
    from remora.agent.request.context import RequestContext

_POLICY_VIOLATION = 1008
"""The code of RFC 6455 for a connection that is closed for what was sent on it."""

_BEFORE_THE_HEAD = frozenset(("http.response.debug", "http.response.early_hint"))


class AsgiEdge:
    """One request's messages: bodies watched, the head held back until the first byte.

    Where nothing is to be held back, only `receive` is used.
    """

    __slots__ = (
        "_context",
        "_head",
        "_is_begun",
        "_is_over",
        "_is_websocket",
        "_receive",
        "_send",
    )

    def __init__(
        self, context: RequestContext, receive: AppValue, send: AppValue
    ) -> None:
        self._context = context
        self._receive = receive
        self._send = send
        self._head: AppValue = None
        self._is_begun = False
        self._is_over = False
        scope = context.source
        self._is_websocket = type(scope) is dict and scope.get("type") == "websocket"
        if context.body is None:
            context.body = watched_body(context)

    async def receive(self) -> AppValue:
        """What the app is given for `receive`."""
        message = await self._receive()
        body = self._context.body
        if type(message) is dict and body is not None:
            kind = message.get("type")
            if kind == "http.request":
                body.saw(message.get("body"))
            elif kind == "websocket.receive":
                body.saw_message(message.get("text"))
                body.saw_message(message.get("bytes"))
        return message

    async def send(self, message: AppValue) -> None:
        """What the app is given for `send`."""
        if self._context.condemned and not self._is_over:
            await self.refuse()
        if self._is_over:
            return
        kind = message.get("type") if type(message) is dict else None
        if kind == "http.response.start" and self._head is None:
            self._head = message
            return
        if kind not in _BEFORE_THE_HEAD:
            await self.open()
            # of a websocket the handshake is no head: closing it is always possible
            self._is_begun = self._is_begun or str(kind).startswith("http.")
        await self._send(message)

    async def open(self) -> None:
        """Let the head go, if there is one."""
        head, self._head = self._head, None
        if head is not None:
            self._is_begun = True
            await self._send(head)

    async def refuse(self) -> None:
        """Answer in the app's place; a stream that has begun is cut."""
        if self._is_begun:
            protection.cut += 1
            raise Blocked(self._context.condemned)
        self._is_over = True
        self._head = None
        protection.refused += 1
        if self._is_websocket:
            try:
                await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            except Exception:
                # daphne takes no such code: the app has to fail, so that it closes
                self._is_over = False
                raise
            return
        headers, body = refusal(self._context)
        self._context.status = STATUS
        encoded = [(k.lower().encode(), v.encode()) for k, v in headers]
        start = {"type": "http.response.start", "status": STATUS, "headers": encoded}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    async def leave(self) -> None:
        """The app has returned."""
        if self._context.condemned and not self._is_begun and not self._is_over:
            await self.refuse()
        await self.open()

    async def fail(self) -> bool:
        """The app has raised; whether its client got a refusal instead."""
        await self.leave()
        return self._is_over
