"""What is known of the request being served, and of the account behind it.

Held in a context variable, so that tasks and threads keep theirs apart. Values are
plain objects without code of their own: the expression language may read them.
"""

from __future__ import annotations

from _weakref import ref
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

from remora.agent.runtime import originals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any, Literal, TypeVar

    from remora.agent.interception import AppValue
    from remora.agent.request.body import Body
    from remora.agent.request.held import Held
    from remora.agent.request.refused import RefusedActors
    from remora.agent.request.rules import RuleBook
    from remora.agent.request.stored import StoredTexts
    from remora.detection import Input, Inputs

    Mode = Literal["off", "watch", "block"]
    Value = TypeVar("Value")

    Opening = tuple[tuple[str, ...], Callable[..., tuple[AppValue, ...]], AppValue]
    """Names, what gives their values, and what that is given."""

OUTSIDE_FEW = 50
"""Guarded sinks that a process may call for itself before anybody asks why."""


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
    archive. `at_end` is what the edge does then.
    With an `opening` five of these texts are not there yet (see `UnreadContext`);
    `said` are those of its environ, as they were when it began.
    """

    __slots__ = (
        "_inputs",
        "_version",
        "at_end",
        "body",
        "client",
        "condemned",
        "ended",
        "guarded",
        "headers",
        "held",
        "id",
        "is_watched",
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
        "user",
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
        self.is_watched = False
        self.stored: dict[str, str] | None = None
        self.kept_inputs: Inputs | None = None
        self.at_end: Callable[[], None] | None = None
        self.outgoing: Outgoing | None = None
        self.names: list[Input] | None = None
        self.links: dict[str, str] | None = None
        self._inputs: Inputs | None = None
        self._version: tuple[object, ...] = ()

    def inputs(self) -> Inputs:
        """The untrusted texts of this request, as far as they are known by now.

        Made when the first guarded sink asks, and again when more of the body was read
        or a framework has found parameters in the path.
        """
        sources = protection.sources
        if sources is None:
            # Late, because nothing of it is of use before there is a protect probe.
            from remora.agent.request import sources

            protection.sources = sources
        body, source, parameters = self.body, self.source, self.parameters
        if parameters is None and type(source) is dict:
            parameters = source.get("path_params")
        stored = self.stored
        now = (
            0 if body is None else body.version,
            id(source),
            id(parameters),
            0 if stored is None else len(stored),
        )
        inputs = self._inputs
        if inputs is None or self._version != now:
            self._inputs = inputs = sources.gather(self, parameters)
            self._version = now
        return inputs

    def end(self, failure: object = None) -> None:
        """It is over: decide about the records that wait for its end.

        `failure` is the exception that ends it, if one does.
        """
        self.ended = True
        if self.at_end is not None:
            self.at_end()
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

    def meet_list(self) -> str:
        """Condemn this request if an operator named its user or its address.

        Gives the reason for which it is condemned by now, or an empty text.
        """
        listed = protection.listed
        if listed and protection.blocks and not self.condemned:
            from remora.agent.request.actor import client_address

            actors = [f"address:{client_address(self)}"]
            if self.user is not None:
                actors.append(f"user:{self.user.id}")
            if any(map(listed.hold, actors)):
                self.condemn("an operator blocked this user or address")
        return self.condemned

    @property
    def actor(self) -> str:
        """Who is behind it: `user:ID`, else `address:IP`, else `unknown`."""
        user = user_of(self)
        if user is not None:
            return f"user:{user.id}"
        # Late as well, and there once protection is on.
        from remora.agent.request.actor import client_address

        address = client_address(self)
        return f"address:{address}" if address else "unknown"


class Protection:
    """How far requests are protected in this process, and what was seen of them.

    While nothing `watches`, no body is observed; while nothing `blocks`, no response is
    held back. Whoever installs protect probes turns it. `rules` change the modes of
    single attacks. `undo` takes back what was put before apps. With `keeps_stored`
    there is a table of what requests have `stored`. `edge` and `sources` are the rooms
    that are imported when protection begins.
    """

    __slots__ = (
        "blocks",
        "cut",
        "edge",
        "keeps_stored",
        "listed",
        "outside",
        "refused",
        "requests",
        "rules",
        "sources",
        "stored",
        "undo",
        "watches",
    )

    def __init__(self) -> None:
        self.watches = False
        self.blocks = False
        self.listed: RefusedActors | None = None
        self.rules: RuleBook | None = None
        self.sources: ModuleType | None = None
        self.edge: Any = None
        self.keeps_stored = False
        self.stored: StoredTexts | None = None
        self.requests = 0
        self.outside = 0
        self.refused = 0
        self.cut = 0
        self.undo: list[Callable[[], None]] = []

    def turn(self, mode: Mode) -> None:
        """Go this far from now on. It imports, so no lock of ours may be held."""
        if mode != "off":
            # What a hook may need later; a hook itself should import nothing.
            from remora.agent.request import actor, edge, sources

            _, self.edge, self.sources = actor, edge, sources
        if mode == "off":
            self.stored = None
        elif self.keeps_stored and self.stored is None:
            from remora.agent.request.stored import StoredTexts

            self.stored = StoredTexts()
        self.watches = mode != "off"
        self.blocks = mode == "block"
        while mode == "off" and self.undo:
            self.undo.pop()()
        if mode == "off" and self.sources is not None:
            self.sources.forget()

    def begin_anew(self) -> None:
        """In a forked child: what its parent saw says nothing about this process."""
        self.requests = self.outside = self.refused = self.cut = 0

    @property
    def complaint(self) -> str:
        """Why this app is unprotected though protection is on, or empty.

        Programs call guarded sinks as they start, so that alone means nothing; but a
        process that did so often and has seen no request has a gateway we do not know.
        """
        if not self.watches or self.requests or self.outside < OUTSIDE_FEW:
            return ""
        from remora.agent.request.unseen import explain_unseen

        return explain_unseen(self.outside)


protection = Protection()
"""One for the process, as there is one current request for each of its tasks."""

_NAMED = frozenset(("user", "session", "REMOTE_USER"))
"""Where a scope or an environ may name the account."""

_request: ContextVar[RequestContext | None] = ContextVar("remora_request", default=None)
_user: ContextVar[set[User] | None] = ContextVar("remora_user", default=None)
_cells: dict[int, ref[set[Any]]] = {}


current_request = _request.get
"""The request that this task or thread is serving. No function: it is asked often."""


def current_user() -> User | None:
    """The account that this task or thread works for."""
    request = _request.get()
    return held(_user.get()) if request is None else user_of(request)


def user_of(request: RequestContext) -> User | None:
    """The account behind a request: as it was named, else as its source names it."""
    source = request.source
    if request.user is None and type(source) is dict and _NAMED.intersection(source):
        # Late, because few requests name an account this way.
        from remora.agent.request.actor import found_user

        if identifier := found_user(source):
            request.user = User(identifier, {})
    return request.user


serve_request = _request.set
"""Serve this request from here on, or none."""


def set_user(identifier: str, attributes: Mapping[str, AppValue]) -> None:
    """Name the account behind the request, or outside one, behind this task."""
    user = User(identifier, attributes)
    request = _request.get()
    if request is not None:
        request.user = user
        request.meet_list()
    else:
        _user.set(hold(user))


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
