"""Guards before an app where its server's call shows the app and not its arguments.

A guard opens the request itself where no call of the server has done so: some servers
have no such call, or have it in C or Rust.
"""

from __future__ import annotations

import gc
from functools import partial
from types import CellType
from typing import TYPE_CHECKING

from remora.agent.request.adapters import from_environ, from_scope, take_environ
from remora.agent.request.context import (
    RequestContext,
    current_request,
    serve_request,
)
from remora.agent.request.edge.aiohttp import AiohttpApplication
from remora.agent.request.edge.asgi import AsgiEdge
from remora.agent.request.edge.refusal import meet_list
from remora.agent.request.edge.wsgi import WsgiEdge, watch_input
from remora.agent.request.protected import protection

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
        if not protection.watches or type(environ) is not dict:
            return self.app(environ, start_response)
        if context is None or context.ended:
            return self._open(context, environ, start_response)
        if context.guarded:
            return self.app(environ, start_response)
        if context.source is None:
            take_environ(context, environ)
        watch_input(context, environ)
        if not protection.blocks:
            return self.app(environ, start_response)
        edge = WsgiEdge(context, environ, start_response)
        return self._guard(context, edge, environ)

    def _guard(
        self,
        context: RequestContext,
        edge: WsgiEdge,
        environ: AppValue,
    ) -> AppValue:
        context.guarded = True
        if protection.listed and meet_list(context):
            return edge.refuse()
        try:
            result = self.app(environ, edge.start_response)
        except Exception:
            if (body := edge.fail()) is None:
                raise
            return body
        return edge.answer(result)

    def _open(
        self, outer: RequestContext | None, environ: AppValue, start_response: AppValue
    ) -> AppValue:
        """Serve a request that begins here, and ends with its body."""
        context = RequestContext()
        from_environ(context, environ)
        watch_input(context, environ)
        protection.requests += 1
        edge = WsgiEdge(context, environ, start_response)
        serve_request(context)
        try:
            if protection.blocks:
                return edge.end_with(self._guard(context, edge, environ))
            return edge.end_with(edge.follow(self.app(environ, start_response)))
        except BaseException as error:
            context.end_quietly(error)
            raise
        finally:
            serve_request(outer)


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
        if not protection.watches:
            return await self.app(scope, receive, send)
        if context is None or context.ended:
            return await self._open(context, scope, receive, send)
        if context.guarded:
            return await self.app(scope, receive, send)
        return await self._guard(context, scope, receive, send)

    async def _guard(
        self,
        context: RequestContext,
        scope: AppValue,
        receive: AppValue,
        send: AppValue,
    ) -> AppValue:
        edge = AsgiEdge(context, receive, send)
        if not protection.blocks:
            return await self.app(scope, edge.receive, send)
        context.guarded = True
        if meet_list(context):
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

    async def _open(
        self,
        outer: RequestContext | None,
        scope: AppValue,
        receive: AppValue,
        send: AppValue,
    ) -> AppValue:
        """Serve a request that begins and ends here."""
        context = RequestContext()
        if not from_scope(context, scope):
            return await self.app(scope, receive, send)
        protection.requests += 1
        serve_request(context)
        try:
            result = await self._guard(context, scope, receive, send)
        except BaseException as error:
            context.end_quietly(error)
            raise
        else:
            context.end_quietly()
            return result
        finally:
            serve_request(outer)


Application = WsgiApplication | AsgiApplication | AiohttpApplication


def stand_before(held: dict[str, AppValue], name: str, kind: type[Application]) -> None:
    """Put a guard where a server holds its app, until protection is turned off."""
    app = held.get(name)
    if app is None or len(protection.undo) >= STANDINGS_LIMIT:
        return
    guard = kind(app)

    def undo() -> None:
        if held.get(name) is guard:
            held[name] = app

    protection.undo.append(undo)
    held[name] = guard


def hand_in(app: AppValue, kind: type[Application]) -> Application | None:
    """A guard to be given to a server in the place of an app.

    Who was given it keeps it, in variables of functions and in attributes: there the
    app is put back when protection is turned off.
    """
    if len(protection.undo) >= STANDINGS_LIMIT or type(app) is kind:
        return None
    guard = kind(app)
    protection.undo.append(partial(_put_back, guard, app))
    return guard


def _put_back(guard: Application, app: AppValue) -> None:
    for holder in gc.get_referrers(guard):
        if type(holder) is CellType:
            holder.cell_contents = app
        elif type(holder) is dict:
            holder.update([(k, app) for k, v in holder.items() if v is guard])
