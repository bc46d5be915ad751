"""Guards before an app where its server's call shows the app and not its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.request.adapters import from_environ
from remora.agent.request.context import current_request, protection
from remora.agent.request.edge.aiohttp import AiohttpApplication
from remora.agent.request.edge.asgi import AsgiEdge
from remora.agent.request.edge.wsgi import WsgiEdge, watch_input

if TYPE_CHECKING:
    from remora.agent.interception import AppValue

STANDINGS_LIMIT = 20
"""Apps of one process that we stand before: servers have one."""


class WsgiApplication:
    """A WSGI app behind an edge of ours."""

    __slots__ = ("app",)

    def __init__(self, app: AppValue) -> None:
        self.app = app

    def __call__(self, environ: AppValue, start_response: AppValue) -> AppValue:
        """Serve a request."""
        context = current_request()
        if context is None or context.guarded or not protection.watches:
            return self.app(environ, start_response)
        if context.source is None:
            from_environ(context, environ)
        watch_input(context, environ)
        if not protection.blocks or type(environ) is not dict:
            return self.app(environ, start_response)
        context.guarded = True
        edge = WsgiEdge(context, environ, start_response)
        if context.meet_list():
            return edge.refuse()
        try:
            result = self.app(environ, edge.start_response)
        except Exception:
            if (body := edge.fail()) is None:
                raise
            return body
        return edge.answer(result)


class AsgiApplication:
    """An ASGI app behind an edge of ours."""

    __slots__ = ("app",)

    def __init__(self, app: AppValue) -> None:
        self.app = app

    async def __call__(
        self, scope: AppValue, receive: AppValue, send: AppValue
    ) -> AppValue:
        """Serve a request."""
        context = current_request()
        if context is None or context.guarded or not protection.watches:
            return await self.app(scope, receive, send)
        edge = AsgiEdge(context, receive, send)
        if not protection.blocks:
            return await self.app(scope, edge.receive, send)
        context.guarded = True
        if context.meet_list():
            await edge.refuse()
            return None
        try:
            result = await self.app(scope, edge.receive, edge.send)
        except Exception:
            if not await edge.fail():
                raise
            return None
        await edge.leave()
        return result


Application = WsgiApplication | AsgiApplication | AiohttpApplication


def stand_before(owner: AppValue, name: str, kind: type[Application]) -> None:
    """Put a guard where a server holds its app, until protection is turned off."""
    held = getattr(owner, "__dict__", None)
    if type(held) is not dict or len(protection.undo) >= STANDINGS_LIMIT:
        return
    app = held.get(name)
    if app is None or type(app) is kind:
        return
    guard = kind(app)

    def undo() -> None:
        if held.get(name) is guard:
            held[name] = app

    protection.undo.append(undo)
    held[name] = guard
