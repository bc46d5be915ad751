"""Requests to the server: one kept connection, one at a time, and streams beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.reporting.address import Route, choose_route
from remora.agent.reporting.answer import ANSWER_BYTES, Answer, Collector, Payload
from remora.agent.reporting.contact import PROTOCOL_HOLD_S, TOKEN_HOLD_S, Contact
from remora.agent.reporting.http1 import AnswerReader, Body, End, Head, write_request
from remora.agent.reporting.tls import TlsContext, TlsFiles, make_tls_context
from remora.agent.reporting.transport import Connection, connect
from remora.agent.reporting.waiting import Routine, Wait
from remora.errors import (
    ConfigError,
    RequestRefusedError,
    ServerUnreachableError,
    TokenRefusedError,
    WireError,
)
from remora.values import field, frozen
from remora.version import PROTOCOL_VERSION, __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remora.agent.diagnostics import Diagnostics

CONNECT_S = 5.0
"""Name, connection and TLS take five round trips: by satellite, three seconds."""

ANSWER_S = 10.0
"""For a whole request: a server that is slower is as good as away."""


@frozen
class ServerSettings:
    """Where the server is and how to talk to it.

    `environment` is read for the proxy variables only.
    """

    url: str
    token: str
    environment: Mapping[str, str]
    tls: TlsFiles = field(default_factory=TlsFiles)


class Client:
    """Talks to one server. Its routines run in the agent's thread alone."""

    def __init__(self, settings: ServerSettings, diagnostics: Diagnostics) -> None:
        self._settings = settings
        self.contact = Contact(settings.url, diagnostics)
        self._route: Route | None = None
        self._context: TlsContext | None = None
        self._kept: Connection | None = None
        self._streams: list[Connection] = []
        self._is_busy = False

    @property
    def url(self) -> str:
        """The server's address as it was given."""
        return self._settings.url

    def request(
        self,
        method: str,
        path: str,
        payload: Payload | None = None,
        *,
        answer_s: float = ANSWER_S,
    ) -> Routine[Answer]:
        """Ask and get the whole answer, of whatever status but 401, 403 and 426.

        Raises ServerUnreachableError, WireError, TokenRefusedError and
        RequestRefusedError (the protocol's version); the log has been told.
        """
        yield from self._wait_for_turn()
        self._is_busy = True
        try:
            answer = yield from self._exchange(method, path, payload, answer_s)
            now = yield Wait()
            self._judge(answer, now)
        except (ServerUnreachableError, WireError, ConfigError) as error:
            self.contact.failed(str(error))
            raise
        finally:
            self._is_busy = False
        return answer

    def open_stream(self, path: str, *, answer_s: float = ANSWER_S) -> Routine[Stream]:
        """Begin a GET on a connection of its own. Raises as `request` does."""
        now = yield Wait(until=self.contact.hold_until)
        stream: Stream | None = None
        try:
            connection = yield from self._connect(now + CONNECT_S)
            self._streams.append(connection)
            stream = Stream(self, connection)
            until = now + CONNECT_S + answer_s
            head = self._head("GET", path, None, (("Accept", "text/event-stream"),))
            yield from connection.send(head, until)
            now = yield from stream.read_head(until)
            body = b"" if stream.status < 300 else (yield from stream.read_all(until))
            self._judge(Answer(stream.status, stream.headers, body), now)
        except (ServerUnreachableError, WireError, ConfigError) as error:
            self.contact.failed(str(error))
            self._end(stream)
            raise
        except BaseException:
            self._end(stream)
            raise
        return stream

    def close(self) -> None:
        """Close all connections without a word."""
        for connection in (self._kept, *self._streams):
            if connection is not None:
                connection.close()
        self._kept = None
        self._streams = []

    def after_fork_in_child(self) -> None:
        """Leave the parent's connections to the parent."""
        self.close()
        self._is_busy = False
        self.contact.forget()

    def end_streams(self) -> None:
        """Let whoever reads a stream see its end."""
        for connection in self._streams:
            connection.end()

    def end_stream(self, connection: Connection) -> None:
        """Close the connection of a stream."""
        connection.close()
        if connection in self._streams:
            self._streams.remove(connection)

    def _end(self, stream: Stream | None) -> None:
        if stream is not None:
            stream.close()

    def _wait_for_turn(self) -> Routine[None]:
        now = yield Wait(until=self.contact.hold_until)
        while self._is_busy or now < self.contact.hold_until:
            # Back-off of all who wait here is ended by the same event.
            hold = self.contact.hold_until
            now = yield (
                Wait(until=hold)
                if now < hold
                else Wait(until=now + ANSWER_S, ready=lambda: not self._is_busy)
            )

    def _exchange(
        self, method: str, path: str, payload: Payload | None, answer_s: float
    ) -> Routine[Answer]:
        """Use the kept connection if there is one, and a new one if that is stale."""
        now = yield Wait()
        if self._kept is not None:
            answer = yield from self._try_kept(method, path, payload, now + answer_s)
            if answer is not None:
                return answer
            now = yield Wait()
        connection = yield from self._connect(now + CONNECT_S)
        self._kept = connection
        now = yield Wait()
        answer = yield from self._ask(method, path, payload, now + answer_s)
        if answer is None:
            raise ServerUnreachableError("the connection was closed without an answer")
        return answer

    def _try_kept(
        self, method: str, path: str, payload: Payload | None, until: float
    ) -> Routine[Answer | None]:
        try:
            return (yield from self._ask(method, path, payload, until))
        except ServerUnreachableError:
            now = yield Wait()
            if now >= until:
                raise
            return None

    def _ask(
        self, method: str, path: str, payload: Payload | None, until: float
    ) -> Routine[Answer | None]:
        """One exchange on the kept connection; None where it ended before an answer."""
        connection = self._kept
        assert connection is not None
        keeps_alive = False
        try:
            head = self._head(method, path, payload)
            data = payload.data if payload is not None else b""
            yield from connection.send(head + data, until)
            collector = Collector(method)
            while not collector.is_complete:
                received = yield from connection.receive(until)
                if received is None:
                    raise ServerUnreachableError("the server did not answer in time")
                if not received and not collector.has_begun:
                    return None
                collector.feed(received)
            keeps_alive = collector.keeps_alive
            return collector.answer()
        finally:
            if not keeps_alive:
                connection.close()
                if self._kept is connection:
                    self._kept = None

    def _connect(self, until: float) -> Routine[Connection]:
        if self._route is None:
            self._route = choose_route(self._settings.url, self._settings.environment)
        if self._context is None and self._route.server.scheme == "https":
            self._context = make_tls_context(self._settings.tls)
        return (yield from connect(self._route, self._context, until))

    def _head(
        self,
        method: str,
        path: str,
        payload: Payload | None,
        more: tuple[tuple[str, str], ...] = (),
    ) -> bytes:
        route = self._route
        assert route is not None
        target = route.server.path + path
        headers = [
            ("Host", route.server.authority),
            ("User-Agent", f"remora-agent/{__version__}"),
            ("Authorization", f"Bearer {self._settings.token}"),
            ("Remora-Protocol", str(PROTOCOL_VERSION)),
            *more,
        ]
        if route.proxy is not None and self._context is None:
            target = f"http://{route.server.authority}{target}"
            headers += route.proxy_headers()
        if payload is None:
            return write_request(method, target, headers, None)
        headers.append(("Content-Type", "application/json"))
        if payload.coding:
            headers.append(("Content-Encoding", payload.coding))
        return write_request(method, target, headers, len(payload.data))

    def _judge(self, answer: Answer, now: float) -> None:
        """What any answer says of the conversation as a whole."""
        if answer.status in {401, 403}:
            sentence = f"the token is refused ({answer.sentence}); check REMORA_TOKEN"
            self.contact.hold(sentence, now + TOKEN_HOLD_S)
            raise TokenRefusedError(sentence)
        if answer.status == 426:
            sentence = (
                f"it does not speak protocol {PROTOCOL_VERSION} ({answer.sentence}); "
                "update the server or the agent"
            )
            self.contact.hold(sentence, now + PROTOCOL_HOLD_S)
            raise RequestRefusedError(sentence)
        is_plain = answer.status < 400 or answer.status in {404, 405}
        if is_plain and "remora-protocol" not in answer.headers:
            raise WireError(
                f"what answers there is no remora server ({answer.sentence}); "
                "check REMORA_SERVER"
            )
        if answer.status >= 500 or answer.status == 429:
            self.contact.failed(f"it answers with {answer.sentence}")
        elif answer.status < 400 or answer.status == 409:
            self.contact.worked()


class Stream:
    """An answer that goes on and on, read in pieces."""

    def __init__(self, client: Client, connection: Connection) -> None:
        self._client = client
        self._connection = connection
        self._reader = AnswerReader("GET")
        self.status = 0
        self.headers: Mapping[str, str] = {}

    def read_head(self, until: float) -> Routine[float]:
        """Wait for status and headers."""
        while (event := self._reader.next_event()) is None:
            received = yield from self._connection.receive(until)
            if received is None:
                raise ServerUnreachableError("the server did not answer in time")
            self._reader.feed(received)
        assert isinstance(event, Head)
        self.status, self.headers = event.status, event.headers
        return (yield Wait())

    def read_all(self, until: float) -> Routine[bytes]:
        """The rest at once, up to the bound of an answer."""
        body = bytearray()
        while len(body) < ANSWER_BYTES:
            piece = yield from self.receive(until)
            if not piece:
                break
            body += piece
        return bytes(body)

    def receive(self, until: float) -> Routine[bytes | None]:
        """The next piece; empty at the end of the stream, None when time is out."""
        while True:
            event = self._reader.next_event()
            if isinstance(event, Body):
                return event.data
            if isinstance(event, End):
                return b""
            received = yield from self._connection.receive(until)
            if received is None:
                return None
            self._reader.feed(received)

    def close(self) -> None:
        """Close the connection."""
        self._client.end_stream(self._connection)
