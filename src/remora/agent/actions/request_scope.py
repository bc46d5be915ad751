"""request: a call that serves a request opens its context and closes it again.

While protection is on, such a call is also the edge of its request: what passes there
between server and app is watched, and a condemned request is refused.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from remora.agent.hooks import Arguments, Raise, Return
from remora.agent.request import (
    FOUND_LATER,
    RequestContext,
    UnreadContext,
    User,
    current_request,
    from_environ,
    from_scope,
    from_values,
    identifier_of,
    protection,
    read_opening,
    serve_request,
    take_environ,
)
from remora.errors import Blocked
from remora.expression import MISSING, Missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.agent.actions.firing import Firings
    from remora.agent.hooks import Outcome
    from remora.agent.interception import AppValue
    from remora.agent.request.context import Opening
    from remora.agent.request.edge import Application

_OPENED = "remora_request"
_ERROR = "remora_error"
_EDGE = "remora_edge"

_NO_VALUES = frozenset(("environ", "scope", "user", "message", "rows"))
_LATE = frozenset(("method", "path", "query", "headers", "client"))
"""What an opening may say that nobody needs before somebody asks for it."""

_OPENED_BY = _LATE | {"environ", "scope"}


def _as_given(*values: AppValue) -> tuple[AppValue, ...]:
    return values


_UNSAID: Opening = ((), _as_given, ())
"""The opening of a request that has an environ and nothing else."""


class RequestScope:
    """The request action of one probe at one site.

    A context that is open already is kept and filled in: the innermost code that knows
    a request and the outermost that owns its time are often two, a framework and its
    server. Another request inside one (a test client) gets its own context.
    """

    __slots__ = (
        "_collect",
        "_firings",
        "_has_user",
        "_has_values",
        "_is_environ",
        "_is_opening",
        "_keys",
        "_kind",
        "_late",
        "_puts",
    )

    def __init__(
        self,
        kind: str,
        keys: tuple[str, ...],
        collect: Callable[..., tuple[AppValue, ...]] | None,
        firings: Firings,
    ) -> None:
        """Without `collect` the values are what the call has, as they stand."""
        self._kind = kind
        self._keys = keys
        self._has_values = not _NO_VALUES.issuperset(keys)
        self._has_user = "user" in keys
        self._collect = collect
        self._firings = firings
        self._is_opening = not _OPENED_BY.isdisjoint(keys)
        self._is_environ = kind == "wsgi" and collect is None and len(keys) == 1
        is_late = kind == "custom" and _LATE.issuperset(keys)
        self._late = (collect or _as_given) if is_late else None
        is_put = kind == "details" and _PUTS.keys() >= set(keys)
        self._puts = [_PUTS[key] for key in keys] if is_put else None

    def begin(self, state: dict[str, AppValue], *values: AppValue) -> None:
        """Open the context, or fill in the one that is open."""
        try:
            self._firings.count += 1
            outer = current_request()
            known = None if outer is None or outer.ended else outer
            if self._is_environ:
                context = self._meet_environ(known, values[0])
            elif self._late and (known is None or known.source is not None):
                context = UnreadContext((self._keys, self._late, values))
            else:
                context = self._meet(known, values)
            if context is not None:
                protection.requests += 1
                state[_OPENED] = (outer, context)
                serve_request(context)
        except BaseException as error:  # noqa: BLE001 - the boundary: nothing of ours reaches the app
            self._firings.fault(error)

    def _meet_environ(
        self, outer: RequestContext | None, environ: AppValue
    ) -> RequestContext | None:
        """The context to open for an environ; None where it is that of the open one."""
        if outer is not None and (outer.source is None or outer.source is environ):
            if type(outer) is not UnreadContext or outer.source is None:
                take_environ(outer, environ)
            return None
        context = UnreadContext(_UNSAID)
        take_environ(context, environ)
        return context

    def _meet(
        self, outer: RequestContext | None, values: tuple[AppValue, ...]
    ) -> RequestContext | None:
        """The same for a request that is read at once."""
        said = self._said(values)
        source = said.get("environ", said.get("scope"))
        if outer is not None and (outer.source is None or outer.source is source):
            self._fill(outer, said)
            return None
        context = RequestContext()
        return context if self._fill(context, said) else None

    def note_error(self, state: dict[str, AppValue], error: AppValue) -> None:
        """Remember the exception that is about to end the request."""
        state[_ERROR] = error

    def end(self, state: dict[str, AppValue]) -> None:
        """Close what this call has opened, and decide about the records it holds."""
        opened = state.pop(_OPENED, None)
        # taken out in any case: the exception knows the frame that holds the state
        failure = state.pop(_ERROR, MISSING)
        if opened is None:
            return
        outer, context = opened
        try:
            if context.held is not None:
                serve_request(context)
            context.end(failure)
        except BaseException as error:  # noqa: BLE001 - the boundary: nothing of ours reaches the app
            self._firings.fault(error)
        finally:
            serve_request(outer)

    def details(self, *values: AppValue) -> None:
        """Add to the open context."""
        try:
            self._firings.count += 1
            context = current_request()
            if context is None:
                return
            if self._puts is None:
                self._fill(context, self._said(values))
                return
            if self._collect is not None:
                values = self._collect(*values)
            for put, value in zip(self._puts, values, strict=True):
                if type(value) is not Missing:
                    put(context, value)
        except BaseException as error:  # noqa: BLE001 - the boundary: nothing of ours reaches the app
            self._firings.fault(error)

    def _said(self, values: tuple[AppValue, ...]) -> dict[str, AppValue]:
        if self._collect is not None:
            values = self._collect(*values)
        return dict(zip(self._keys, values, strict=True))

    def _fill(self, context: RequestContext, said: dict[str, AppValue]) -> bool:
        """Put in what is known; False where this is no request after all."""
        if self._is_opening:
            read_opening(context)
        if self._kind == "wsgi":
            from_environ(context, said.get("environ"))
        elif self._kind == "asgi" and not from_scope(context, said.get("scope")):
            return False
        if self._has_values:
            from_values(context, said)
        if "message" in said and protection.watches:
            protection.edge.note_message(context, said["message"])
        if "rows" in said and protection.stored is not None:
            protection.stored.meet(context, said["rows"])
        if self._has_user and type(said["user"]) is not Missing:
            _put_user(context, said["user"])
        return True


def _put_user(context: RequestContext, value: AppValue) -> None:
    if context.user is None and (user := identifier_of(value)):
        context.user = User(user, {})
        if protection.blocks:
            protection.edge.meet_list(context)


_PUTS = FOUND_LATER | {"user": _put_user}
"""What most probes add, one value by one."""


class SanicScope:
    """Requests of Sanic's server: each begins and ends with the call of its handler.

    No function lasts as long: those of Sanic that do are compiled anew when it starts
    (`sanic.touchup`). What calls the handler shows where it is before each request.
    """

    __slots__ = ("_scope",)

    def __init__(self, scope: RequestScope) -> None:
        self._scope = scope

    def stand(self, stream: AppValue) -> None:
        """Put ours in the place of the handler, for the one request to come."""
        handler = stream.protocol.request_handler
        if type(handler) is not SanicHandler:
            stream.protocol.request_handler = SanicHandler(self._scope, handler)


class SanicHandler:
    """What handles one request of Sanic's server, in a context of its own."""

    __slots__ = ("_handler", "_scope")

    def __init__(self, scope: RequestScope, handler: AppValue) -> None:
        self._scope = scope
        self._handler = handler

    async def __call__(self, request: AppValue) -> None:
        """Serve it, and leave the connection as it was."""
        stream = request.stream
        state: dict[str, AppValue] = {}
        stream.protocol.request_handler = self._handler
        self._scope.begin(state, stream)
        try:
            edge = protection.edge
            if edge is None or not await edge.guard_sanic(request):
                await self._handler(request)
        except BaseException as error:
            self._scope.note_error(state, error)
            raise
        finally:
            self._scope.end(state)


class WsgiEdgeSteps:
    """The edge at a call that has a WSGI app's own arguments."""

    __slots__ = ()

    def enter(
        self, state: dict[str, AppValue], environ: AppValue, start_response: AppValue
    ) -> Outcome | None:
        """Watch the body; hand in a `start_response` that holds the head back."""
        request = current_request()
        if request is None or request.guarded:
            return None
        outcome = self.enter_lazily(state, environ, start_response)
        if outcome is None or not (
            protection.listed and protection.edge.meet_list(request)
        ):
            return outcome
        return self._given(state.pop(_EDGE).refuse)

    def enter_lazily(
        self, state: dict[str, AppValue], environ: AppValue, start_response: AppValue
    ) -> Outcome | None:
        """The same where the app is a generator function, which can return no body."""
        context = current_request()
        if not protection.watches or context is None or context.guarded:
            return None
        protection.edge.watch_input(context, environ)
        if not protection.blocks or type(environ) is not dict:
            return None
        context.guarded = True
        edge = protection.edge.WsgiEdge(context, environ, start_response)
        state[_EDGE] = edge
        return Arguments(start_response=edge.start_response)

    def replace(self, state: dict[str, AppValue], parts: AppValue) -> AppValue:
        """What is given instead of the parts of such an app."""
        edge, request = state.pop(_EDGE, None), current_request()
        if edge is None or request is None:
            return parts
        protection.edge.meet_list(request)
        return edge.answer(parts)

    def leave(self, state: dict[str, AppValue], result: AppValue) -> Outcome | None:
        """Give the server what becomes of the app's answer."""
        edge = state.pop(_EDGE, None)
        return None if edge is None else self._given(edge.answer, result)

    def fail(self, state: dict[str, AppValue]) -> Outcome | None:
        """Refuse in the app's place, where its failure is that of a condemned one."""
        edge = state.pop(_EDGE, None)
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
        self, state: dict[str, AppValue], receive: AppValue, send: AppValue
    ) -> Outcome | None:
        """Watch the messages; hold the head back."""
        context = current_request()
        if not protection.watches or context is None or context.guarded:
            return None
        edge = protection.edge.AsgiEdge(context, receive, send)
        if not protection.blocks:
            return Arguments(receive=edge.receive)
        context.guarded = True
        if protection.edge.meet_list(context):
            # The client may have left: that is no way to get the app called.
            with suppress(Exception):
                await edge.refuse()
            return Return(None)
        state[_EDGE] = edge
        return Arguments(receive=edge.receive, send=edge.send)

    async def leave(self, state: dict[str, AppValue]) -> None:
        """The app has returned: what is still held goes, or the refusal."""
        edge = state.pop(_EDGE, None)
        if edge is not None:
            await edge.leave()

    async def fail(self, state: dict[str, AppValue]) -> Outcome | None:
        """The same where the app has raised."""
        edge = state.pop(_EDGE, None)
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


def refuse_in_tornado(handler: AppValue) -> Outcome | None:
    """Stand between a handler and its connection; answer for it where it must not."""
    if protection.edge is None or not protection.edge.guard_tornado(handler):
        return None
    return Return(None)


def guard_handler(handler: AppValue, is_read: AppValue) -> Outcome | None:
    """Stand between a handler of http.server and its client, if there is a request."""
    if is_read is not True or not protection.watches:
        return None
    # As if the head could not be read: its answer has been sent.
    return Return(False) if protection.edge.guard_handler(handler) else None


def refuse_in_django() -> Outcome | None:
    """Answer for a view that has failed, where its request is condemned."""
    request = current_request()
    if request is None or not request.condemned:
        return None
    response = None if protection.edge is None else protection.edge.django_refusal()
    return None if response is None else Return(response)


class StandIn:
    """What is called in place of a callable that a call shows: an app, or its work."""

    __slots__ = ("_guard", "_kind", "_name", "_owner")

    def __init__(
        self, name: str, kind: str, owner: Callable[..., AppValue] | None = None
    ) -> None:
        """`owner` finds what holds the callable; without it the call's root does."""
        self._kind = kind
        self._name = name
        self._owner = owner
        self._guard: type | None = None

    def replace(self, original: AppValue) -> Outcome | None:
        """Hand in ours instead of the parameter."""
        request = current_request()
        if not protection.watches:
            return None
        if self._kind == "carry":
            ours = request and protection.edge.Carried(request, original)
        elif request is None:
            # it is handed in once, for all requests to come
            ours = protection.edge.hand_in(original, _application(self._kind))
        else:
            ours = _application(self._kind)(original)
        return None if ours is None else Arguments(**{self._name: ours})

    def stand(self, root: AppValue) -> None:
        """Put ours where an object holds the callable."""
        if not protection.watches:
            return
        owner = root if self._owner is None else self._owner(root)
        if self._kind == "carry":
            protection.edge.carry(owner, self._name)
            return
        held = getattr(owner, "__dict__", None)
        if self._guard is None:
            self._guard = _application(self._kind)
        # in nearly all calls ours stands there from the first one
        if type(held) is dict and type(held.get(self._name)) is not self._guard:
            protection.edge.stand_before(held, self._name, self._guard)


def _application(kind: str) -> type[Application]:
    """What stands before apps of this kind; one whose kind is custom speaks WSGI."""
    edge = protection.edge
    if kind == "asgi":
        return edge.AsgiApplication
    return edge.AiohttpApplication if kind == "aiohttp" else edge.WsgiApplication
