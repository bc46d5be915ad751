"""request: a call that serves a request opens its context and closes it again.

While protection is on, such a call is also the edge of its request: what passes there
between server and app is watched, and a condemned request is refused.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from remora.agent.hooks import Arguments, Raise, Return
from remora.agent.request import (
    RequestContext,
    User,
    current_request,
    from_environ,
    from_scope,
    from_values,
    identifier_of,
    protection,
    serve_request,
)
from remora.agent.runtime import originals
from remora.errors import Blocked
from remora.expression import MISSING, Missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.agent.actions.firing import Firings
    from remora.agent.hooks import Call, Outcome
    from remora.agent.interception import AppValue
    from remora.agent.request.edge import Application

_OPENED = "remora_request"
_ERROR = "remora_error"
_EDGE = "remora_edge"


class RequestScope:
    """The request action of one probe at one site.

    A context that is open already is kept and filled in: the innermost code that knows
    a request and the outermost that owns its time are often two, a framework and its
    server. Another request inside one (a test client) gets its own context.
    """

    __slots__ = ("_collect", "_firings", "_keys", "_kind")

    def __init__(
        self,
        kind: str,
        keys: tuple[str, ...],
        collect: Callable[..., tuple[AppValue, ...]],
        firings: Firings,
    ) -> None:
        self._kind = kind
        self._keys = keys
        self._collect = collect
        self._firings = firings

    def begin(self, call: Call, *values: AppValue) -> None:
        """Open the context, or fill in the one that is open."""
        try:
            self._firings.count += 1
            said = self._said(values)
            source = said.get("environ", said.get("scope"))
            outer = current_request()
            if outer is not None and outer.source in (None, source):
                self._fill(outer, said)
                return
            context = RequestContext()
            if self._fill(context, said):
                protection.requests += 1
                call.state[_OPENED] = (outer, context)
                serve_request(context)
        except BaseException as error:  # noqa: BLE001 - the boundary: nothing of ours reaches the app
            self._firings.fault(error)

    def note_error(self, call: Call, error: AppValue) -> None:
        """Remember the exception that is about to end the request."""
        call.state[_ERROR] = error

    def end(self, call: Call) -> None:
        """Close what this call has opened, and decide about the records it holds."""
        opened = call.state.pop(_OPENED, None)
        # taken out in any case: the exception knows the frame that holds the call
        failure = call.state.pop(_ERROR, MISSING)
        if opened is None:
            return
        outer, context = opened
        try:
            if context.held is not None:
                serve_request(context)
                duration_ms = (originals.perf_counter_ns() - context.started) / 1e6
                context.held.release(failure, duration_ms)
        except BaseException as error:  # noqa: BLE001 - the boundary: nothing of ours reaches the app
            self._firings.fault(error)
        finally:
            context.ended = True
            serve_request(outer)

    def details(self, *values: AppValue) -> None:
        """Add to the open context."""
        try:
            self._firings.count += 1
            context = current_request()
            if context is not None:
                self._fill(context, self._said(values))
        except BaseException as error:  # noqa: BLE001 - the boundary: nothing of ours reaches the app
            self._firings.fault(error)

    def _said(self, values: tuple[AppValue, ...]) -> dict[str, AppValue]:
        collected = zip(self._keys, self._collect(*values), strict=True)
        return {k: v for k, v in collected if type(v) is not Missing}

    def _fill(self, context: RequestContext, said: dict[str, AppValue]) -> bool:
        """Put in what is known; False where this is no request after all."""
        if self._kind == "wsgi":
            from_environ(context, said.get("environ"))
        elif self._kind == "asgi" and not from_scope(context, said.get("scope")):
            return False
        from_values(context, said)
        if "message" in said and protection.watches:
            from remora.agent.request.edge import note_message

            note_message(context, said["message"])
        if "rows" in said and protection.stored is not None:
            protection.stored.meet(context, said["rows"])
        user = identifier_of(said.get("user"))
        if user and context.user is None:
            context.user = User(user, {})
            context.meet_list()
        return True


class WsgiEdgeSteps:
    """The edge at a call that has a WSGI app's own arguments."""

    __slots__ = ()

    def enter(
        self, call: Call, environ: AppValue, start_response: AppValue
    ) -> Outcome | None:
        """Watch the body; hand in a `start_response` that holds the head back."""
        outcome = self.enter_lazily(call, environ, start_response)
        request = current_request()
        if outcome is None or request is None or not request.meet_list():
            return outcome
        return self._given(call.state.pop(_EDGE).refuse)

    def enter_lazily(
        self, call: Call, environ: AppValue, start_response: AppValue
    ) -> Outcome | None:
        """The same where the app is a generator function, which can return no body."""
        context = current_request()
        if not protection.watches or context is None or context.guarded:
            return None
        from remora.agent.request.edge import WsgiEdge, watch_input

        watch_input(context, environ)
        if not protection.blocks or type(environ) is not dict:
            return None
        context.guarded = True
        call.state[_EDGE] = edge = WsgiEdge(context, environ, start_response)
        return Arguments(start_response=edge.start_response)

    def replace(self, call: Call, parts: AppValue) -> AppValue:
        """What is given instead of the parts of such an app."""
        edge, request = call.state.pop(_EDGE, None), current_request()
        if edge is None or request is None:
            return parts
        request.meet_list()
        return edge.answer(parts)

    def leave(self, call: Call, result: AppValue) -> Outcome | None:
        """Give the server what becomes of the app's answer."""
        edge = call.state.pop(_EDGE, None)
        return None if edge is None else self._given(edge.answer, result)

    def fail(self, call: Call) -> Outcome | None:
        """Refuse in the app's place, where its failure is that of a condemned one."""
        edge = call.state.pop(_EDGE, None)
        return None if edge is None else self._given(edge.fail)

    def _given(
        self, give: Callable[..., AppValue | None], *args: AppValue
    ) -> Outcome | None:
        """What the server gets: if nothing can be given, a failure and never the app.

        A server's own `start_response` may fail (its client has left, a header of the
        app's is none), and is then heard as if the app had called it.
        """
        try:
            given = give(*args)
        except Exception as error:  # noqa: BLE001 - handed on
            return Raise(error)
        return None if given is None else Return(given)


class AsgiEdgeSteps:
    """The edge at a call that has an ASGI app's own arguments."""

    __slots__ = ("_firings",)

    def __init__(self, firings: Firings) -> None:
        self._firings = firings

    async def enter(
        self, call: Call, receive: AppValue, send: AppValue
    ) -> Outcome | None:
        """Watch the messages; hold the head back."""
        context = current_request()
        if not protection.watches or context is None or context.guarded:
            return None
        from remora.agent.request.edge import AsgiEdge

        edge = AsgiEdge(context, receive, send)
        if not protection.blocks:
            return Arguments(receive=edge.receive)
        context.guarded = True
        if context.meet_list():
            # The client may have left: that is no way to get the app called.
            with suppress(Exception):
                await edge.refuse()
            return Return(None)
        call.state[_EDGE] = edge
        return Arguments(receive=edge.receive, send=edge.send)

    async def leave(self, call: Call) -> None:
        """The app has returned: what is still held goes, or the refusal."""
        edge = call.state.pop(_EDGE, None)
        if edge is not None:
            await edge.leave()

    async def fail(self, call: Call) -> Outcome | None:
        """The same where the app has raised."""
        edge = call.state.pop(_EDGE, None)
        return Return(None) if edge is not None and await edge.fail() else None

    def fault(self, error: BaseException) -> None:
        """What the server's `send` raises there is as if the app had sent."""
        if not isinstance(error, Exception):
            raise error
        self._firings.fault(error)


def cut_condemned() -> Outcome | None:
    """Let a condemned request not go on with what it has begun."""
    request = current_request()
    if request is None or not request.condemned or not protection.blocks:
        return None
    return Raise(Blocked(request.condemned))


def refuse_in_django() -> Outcome | None:
    """Answer for a view that has failed, where its request is condemned."""
    request = current_request()
    if request is None or not request.condemned:
        return None
    from remora.agent.request.edge import django_refusal

    response = django_refusal()
    return None if response is None else Return(response)


class StandIn:
    """What is called in place of a callable that a call shows: an app, or its work."""

    __slots__ = ("_kind", "_name", "owner")

    def __init__(self, name: str, kind: str) -> None:
        self._name = name
        self._kind = kind
        self.owner: Callable[..., AppValue] | None = None

    def replace(self, original: AppValue) -> Outcome | None:
        """Hand in ours instead of the parameter."""
        request = current_request()
        if not protection.watches or request is None:
            return None
        from remora.agent.request.edge import Carried

        if self._kind == "carry":
            return Arguments(**{self._name: Carried(request, original)})
        return Arguments(**{self._name: _application(self._kind)(original)})

    def stand(self, root: AppValue) -> None:
        """Put ours where an object holds the callable."""
        if not protection.watches or self.owner is None:
            return
        from remora.agent.request.edge import carry, stand_before

        owner = self.owner(root)
        if self._kind == "carry":
            carry(owner, self._name)
            return
        stand_before(owner, self._name, _application(self._kind))


def _application(kind: str) -> type[Application]:
    """What stands before apps of this kind; one whose kind is custom speaks WSGI."""
    from remora.agent.request import edge

    kinds = {"asgi": edge.AsgiApplication, "aiohttp": edge.AiohttpApplication}
    return kinds.get(kind, edge.WsgiApplication)
