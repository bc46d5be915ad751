"""What is known of the request being served, and of the account behind it.

Held in a context variable, so that tasks and threads keep theirs apart. Values are
plain objects without code of their own: the expression language may read them.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from remora.agent.runtime import originals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Literal

    from remora.agent.interception import AppValue
    from remora.agent.request.body import Body
    from remora.agent.request.held import Held
    from remora.agent.request.refused import RefusedActors
    from remora.agent.request.rules import RuleBook
    from remora.agent.request.stored import StoredTexts
    from remora.detection import Inputs

    Mode = Literal["off", "watch", "block"]

OUTSIDE_ALLOWED = 1000
"""Guarded sinks that a process calls for itself without a word: imports open files."""


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


class RequestContext:
    """One request. Everything but the id may still be unknown (None).

    `condemned` says why its client gets nothing but a refusal; it is empty while all is
    well; `told` has the attacks that were reported. Threads that it has started may
    have it for longer than it lasts: `ended` says so. `raw_query` and `raw_headers` are
    what expressions gave, not yet read. `stored` are texts that came back from a
    database, with who had sent each; `kept_inputs` those that a later request may meet.
    """

    __slots__ = (
        "_inputs",
        "_version",
        "body",
        "client",
        "condemned",
        "ended",
        "guarded",
        "headers",
        "held",
        "id",
        "kept_inputs",
        "method",
        "parameters",
        "path",
        "place",
        "query",
        "raw_headers",
        "raw_query",
        "route",
        "source",
        "started",
        "state",
        "status",
        "stored",
        "told",
        "user",
    )

    def __init__(self) -> None:
        self.id = originals.urandom(8).hex()
        self.method: str | None = None
        self.path: str | None = None
        self.route: str | None = None
        self.query: dict[str, object] | None = None
        self.headers: dict[str, str] | None = None
        self.client: str | None = None
        self.status: int | None = None
        self.user: User | None = None
        self.source: object = None
        self.started = originals.perf_counter_ns()
        self.state: State | None = None
        self.held: Held | None = None
        self.place: Place | None = None
        self.raw_query: object = None
        self.raw_headers: object = None
        self.parameters: object = None
        self.body: Body | None = None
        self.condemned = ""
        self.ended = False
        self.told: set[object] | None = None
        self.guarded = False
        self.stored: dict[str, str] | None = None
        self.kept_inputs: Inputs | None = None
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
        now = sources.version(self)
        inputs = self._inputs
        if inputs is None or self._version != now:
            self._inputs = inputs = sources.gather(self)
            self._version = now
        return inputs

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
    there is a table of what requests have `stored`.
    """

    __slots__ = (
        "blocks",
        "cut",
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
            for late in ("actor", "edge", "sources"):
                __import__(f"remora.agent.request.{late}")
        if mode == "off":
            self.stored = None
        elif self.keeps_stored and self.stored is None:
            from remora.agent.request.stored import StoredTexts

            self.stored = StoredTexts()
        self.watches = mode != "off"
        self.blocks = mode == "block"
        while mode == "off" and self.undo:
            self.undo.pop()()

    def begin_anew(self) -> None:
        """In a forked child: what its parent saw says nothing about this process."""
        self.requests = self.outside = self.refused = self.cut = 0

    def note_outside(self) -> None:
        """A guarded sink was called while no request was seen."""
        self.outside += 1

    @property
    def complaint(self) -> str:
        """Why this app is unprotected though protection is on, or empty.

        Programs call guarded sinks as they start, so that alone means nothing; but a
        process that did so often and has seen no request has a gateway we do not know.
        """
        if not self.watches or self.requests or self.outside < OUTSIDE_ALLOWED:
            return ""
        return (
            f"unprotected: no request was seen though {self.outside} guarded sinks "
            "were called outside any"
        )


protection = Protection()
"""One for the process, as there is one current request for each of its tasks."""

_NAMED = frozenset(("user", "session", "REMOTE_USER"))
"""Where a scope or an environ may name the account."""

_request: ContextVar[RequestContext | None] = ContextVar("remora_request", default=None)
_user: ContextVar[User | None] = ContextVar("remora_user", default=None)


def current_request() -> RequestContext | None:
    """The request that this task or thread is serving."""
    return _request.get()


def current_user() -> User | None:
    """The account that this task or thread works for."""
    request = _request.get()
    return _user.get() if request is None else user_of(request)


def user_of(request: RequestContext) -> User | None:
    """The account behind a request: as it was named, else as its source names it."""
    source = request.source
    if request.user is None and type(source) is dict and _NAMED.intersection(source):
        # Late, because few requests name an account this way.
        from remora.agent.request.actor import found_user

        if identifier := found_user(source):
            request.user = User(identifier, {})
    return request.user


def serve_request(context: RequestContext | None) -> None:
    """Serve this request from here on, or none."""
    _request.set(context)


def set_user(identifier: str, attributes: Mapping[str, AppValue]) -> None:
    """Name the account behind the request, or outside one, behind this task."""
    user = User(identifier, attributes)
    request = _request.get()
    if request is not None:
        request.user = user
        request.meet_list()
    else:
        _user.set(user)
