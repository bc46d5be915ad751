"""What is known of the request being served, and of the account behind it.

Held in a context variable, so that tasks and threads keep theirs apart. Values are
plain objects without code of their own: the expression language may read them.
"""

from __future__ import annotations

import sys
from _weakref import ref
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

from remora.agent.request.protected import protection
from remora.agent.runtime import originals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    from remora.agent.interception import AppValue
    from remora.agent.request.body import Body
    from remora.agent.request.held import Held
    from remora.detection import Input, Inputs

    Value = TypeVar("Value")

    Opening = tuple[tuple[str, ...], Callable[..., tuple[AppValue, ...]], AppValue]
    """Names, what gives their values, and what that is given."""


class User:
    """The account behind a request: `id`, and what else `set_user` was told."""

    def __init__(self, identifier: str, attributes: Mapping[str, AppValue]) -> None:
        self.__dict__.update(attributes)
        self.id = identifier


class Place:
    """A span in a trace, by their ids in hexadecimal, with the flags of both.

    The place of a trace that nobody has begun yet has no span.
    """

    __slots__ = ("flags", "span", "trace")

    def __init__(self, trace: str, span: str, flags: str) -> None:
        self.trace = trace
        self.span = span
        self.flags = flags


class State:
    """What probes noted for each other, as attributes."""


class Outgoing:
    """What one request has asked of others: where a redirect leads is input too.

    `chosen` is the input that has chosen a host, `hosts` are those that the app has
    asked by itself, `led` the URLs to which responses of chosen hosts have led on.
    """

    __slots__ = ("chosen", "hosts", "led")

    def __init__(self) -> None:
        self.chosen: Input | None = None
        self.hosts: set[str] = set()
        self.led: list[Input] = []


class RequestContext:
    """One request. Everything but the id may still be unknown (None).

    `condemned` says why its client gets nothing but a refusal; it is empty while all is
    well; `told` has the attacks that were reported. Threads that it has started may
    have it for longer than it lasts: `ended` says so. `raw_query` and `raw_headers` are
    what expressions gave, not yet read. `stored` are texts that came back from a
    database, with who had sent each; `kept_inputs` those that a later request may meet;
    `outgoing` has the hosts that it has asked, `names` paths that the app has made of
    input and may yet open, `links` the symbolic ones that it has unpacked from an
    archive. `at_end` is what the edge does then, and `unwatch` lets what it has put
    before the body go. `gathered` are its inputs as they were found at this `version`.
    With an `opening` five of these texts are not there yet (see `UnreadContext`);
    `said` are those of its environ, as they were when it began.
    """

    __slots__ = (
        "at_end",
        "body",
        "client",
        "condemned",
        "ended",
        "gathered",
        "guarded",
        "headers",
        "held",
        "id",
        "kept_inputs",
        "links",
        "method",
        "names",
        "opening",
        "outgoing",
        "parameters",
        "path",
        "place",
        "query",
        "raw_headers",
        "raw_query",
        "route",
        "said",
        "source",
        "started",
        "state",
        "status",
        "stored",
        "told",
        "unwatch",
        "user",
        "version",
    )

    method: str | None
    path: str | None
    client: str | None
    raw_query: object
    raw_headers: object

    def __init__(self, opening: Opening | None = None) -> None:
        if opening is None:
            self.method = self.path = self.client = None
            self.raw_query = self.raw_headers = None
        self.opening = opening
        self.said: tuple[object, ...] = ()
        self.id = originals.urandom(8).hex()
        self.route: str | None = None
        self.query: dict[str, object] | None = None
        self.headers: dict[str, str] | None = None
        self.status: int | None = None
        self.user: User | None = None
        self.source: object = None
        self.started = originals.perf_counter_ns()
        self.state: State | None = None
        self.held: Held | None = None
        self.place: Place | None = None
        self.parameters: object = None
        self.body: Body | None = None
        self.condemned = ""
        self.ended = False
        self.told: set[object] | None = None
        self.guarded = False
        self.stored: dict[str, str] | None = None
        self.kept_inputs: Inputs | None = None
        self.at_end: Callable[[], None] | None = None
        self.unwatch: Callable[[], None] | None = None
        self.outgoing: Outgoing | None = None
        self.names: list[Input] | None = None
        self.links: dict[str, str] | None = None
        self.gathered: Inputs | None = None
        self.version: tuple[object, ...] = ()

    def end(self, failure: object = None) -> None:
        """It is over: decide about the records that wait for its end.

        `failure` is the exception that ends it, if one does.
        """
        self.ended = True
        for let_go in (self.unwatch, self.at_end):
            if let_go is not None:
                let_go()
        # What they belong to has us: kept, it would leave the request to the collector.
        self.unwatch = self.at_end = None
        if self.held is not None:
            duration_ms = (originals.perf_counter_ns() - self.started) / 1e6
            self.held.release(failure, duration_ms)

    def end_quietly(self, failure: object = None) -> None:
        """The same between server and app, where nothing of ours may be raised."""
        with suppress(Exception):
            self.end(failure)

    def condemn(self, reason: str) -> None:
        """Let the client get a refusal, whatever the app answers."""
        self.condemned = self.condemned or reason


_NAMED = frozenset(("user", "session", "REMOTE_USER"))
"""Where gateways and frameworks leave the account in a scope or an environ."""

_USER_NAMES = ("id", "user_id", "username", "identity")
_SESSION_KEYS = ("_user_id", "user_id", "_auth_user_id", "user")

_ID_LIMIT = 2000

_request: ContextVar[RequestContext | None] = ContextVar("remora_request", default=None)
_user: ContextVar[set[User] | None] = ContextVar("remora_user", default=None)
_cells: dict[int, ref[set[Any]]] = {}


current_request = _request.get
"""The request that this task or thread is serving. No function: it is asked often."""

serve_request = _request.set
"""Serve this request from here on, or none."""


def current_user() -> User | None:
    """The account that this task or thread works for."""
    request = current_request()
    return held(_user.get()) if request is None else user_of(request)


def user_of(request: RequestContext) -> User | None:
    """The account behind a request: as it was named, else as its source names it."""
    source = request.source
    if (
        request.user is None
        and type(source) is dict
        and _NAMED.intersection(source)
        and (identifier := _found_user(source))
    ):
        request.user = User(identifier, {})
    return request.user


def _found_user(source: dict[str, object]) -> str:
    """The account that an environ or a scope names; empty where there is none."""
    # Late, because few requests name an account this way.
    from remora.expression import read_attribute, read_item

    user, session = source.get("user"), source.get("session")
    stored = [read_attribute(user, name) for name in _USER_NAMES if user is not None]
    if session is not None:
        stored += [read_item(session, key) for key in _SESSION_KEYS]
    for value in (*stored, source.get("REMOTE_USER")):
        if identifier := identifier_of(value):
            return identifier
    return ""


def identifier_of(value: object) -> str:
    """An account's id as a text: of a text, a number, bytes or a UUID; else empty."""
    kind = type(value)
    if kind is str or kind is int:
        return str(value)[:_ID_LIMIT]
    if type(value) is bytes:
        return value[:_ID_LIMIT].decode("utf-8", "replace")
    uuid = sys.modules.get("uuid")
    return str(value) if uuid is not None and kind is uuid.UUID else ""


def set_user(identifier: str, attributes: Mapping[str, AppValue]) -> None:
    """Name the account behind the request, or outside one, behind this task."""
    user = User(identifier, attributes)
    request = current_request()
    if request is None:
        _user.set(hold(user))
        return
    request.user = user
    if protection.blocks:
        protection.edge.meet_list(request)


def hold(value: Value) -> set[Value]:
    """A cell with this value, for contexts, which may outlive the agent.

    A task or thread that never ends keeps what it was given. Emptied, a cell is a set
    like any other and keeps nothing of ours.
    """
    cell = {value}
    key = id(cell)
    _cells[key] = ref(cell, lambda _ref: _cells.pop(key, None))
    return cell


def held(cell: set[Value] | None) -> Value | None:
    """What is in a cell; copied first, as another thread may empty it."""
    contents = tuple(cell or ())
    return contents[0] if contents else None


def empty_cells() -> None:
    """Take back what contexts still hold of us."""
    for reference in tuple(_cells.values()):
        cell = reference()
        if cell is not None:
            cell.clear()
