"""Connections: plain or TLS, direct or through a proxy, never blocking.

The sockets are `_socket.socket`, which gevent does not patch. Resolving a name is the
one call that can block this thread (it holds no lock of the interpreter, so the app
goes on).
"""

from __future__ import annotations

import _socket
import errno
import select
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from remora.agent.reporting.http1 import AnswerReader, Head, write_request
from remora.agent.reporting.tls import Tls, TlsContext, explain_tls
from remora.agent.reporting.waiting import Routine, Wait
from remora.agent.runtime import originals
from remora.errors import ServerUnreachableError, WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.agent.reporting.address import Address, Route

_ADDRESSES_TRIED = 4
_PIECE_BYTES = 64 * 2**10

_Result = TypeVar("_Result")


class Connection:
    """One open connection. Every wait has an end, given as a monotonic time."""

    def __init__(self, socket: originals.socket) -> None:
        self._socket = socket
        self._inode = originals.fstat(socket.fileno()).st_ino
        self._tls: Tls | None = None

    @property
    def is_ours(self) -> bool:
        """False where the app closed the descriptor and may have given it new use."""
        try:
            return originals.fstat(self._socket.fileno()).st_ino == self._inode
        except OSError:
            return False

    def send(self, data: bytes, until: float) -> Routine[None]:
        """Send everything. Raises ServerUnreachableError."""
        tls = self._tls
        for start in range(0, len(data), _PIECE_BYTES):
            piece = data[start : start + _PIECE_BYTES]
            if tls is None:
                yield from self._send_raw(piece, until)
            else:
                yield from self._through_tls(partial(tls.channel.write, piece), until)

    def receive(self, until: float) -> Routine[bytes | None]:
        """What came; empty at the end of the connection, None when the time is out."""
        if self._tls is None:
            return (yield from self._receive_raw(until))
        channel = self._tls.channel
        try:
            return (
                yield from self._through_tls(lambda: channel.read(_PIECE_BYTES), until)
            )
        except _SilenceError:
            return None

    def end(self) -> None:
        """End the conversation, so that whoever reads sees its end."""
        if self.is_ours:
            with suppress(OSError):
                self._socket.shutdown(_socket.SHUT_RDWR)

    def close(self) -> None:
        """Close without a word: in a forked child the parent still talks on it."""
        if self.is_ours:
            with suppress(OSError):
                self._socket.close()
        else:
            self._socket.detach()

    def begin_tls(
        self, context: TlsContext, server: Address, until: float
    ) -> Routine[None]:
        """Shake hands. Raises ServerUnreachableError that says what is not trusted."""
        import _ssl

        tls = Tls(_ssl.MemoryBIO(), _ssl.MemoryBIO(), context, server)
        self._tls = tls
        yield from self._through_tls(tls.channel.do_handshake, until)

    def _send_raw(self, data: bytes, until: float) -> Routine[None]:
        view = memoryview(data)
        while view:
            self._check_ours()
            try:
                sent = self._socket.send(view)
            except BlockingIOError:
                now = yield Wait(
                    fd=self._socket.fileno(), events=select.POLLOUT, until=until
                )
                if now >= until:
                    raise _SilenceError("the server takes no more data") from None
            except OSError as error:
                raise ServerUnreachableError(_explain(error)) from None
            else:
                view = view[sent:]

    def _receive_raw(self, until: float) -> Routine[bytes | None]:
        while True:
            self._check_ours()
            try:
                return self._socket.recv(_PIECE_BYTES)
            except BlockingIOError:
                now = yield Wait(
                    fd=self._socket.fileno(), events=select.POLLIN, until=until
                )
                if now >= until:
                    return None
            except ConnectionResetError:
                return b""
            except OSError as error:
                raise ServerUnreachableError(_explain(error)) from None

    def _check_ours(self) -> None:
        if not self.is_ours:
            raise ServerUnreachableError("the app closed the agent's connection")

    def _through_tls(
        self, operation: Callable[[], _Result], until: float
    ) -> Routine[_Result]:
        """Do it as often as TLS wants more bytes, moving them to and fro."""
        import _ssl

        tls = self._tls
        assert tls is not None
        while True:
            try:
                result = operation()
            except _ssl.SSLWantReadError:
                yield from self._send_raw(tls.outgoing.read(), until)
            except _ssl.SSLError as error:
                # What TLS has to say of a failure is worth a try, not a wait.
                with suppress(OSError):
                    self._socket.send(tls.outgoing.read())
                raise ServerUnreachableError(explain_tls(error, tls.server)) from None
            else:
                yield from self._send_raw(tls.outgoing.read(), until)
                return result
            data = yield from self._receive_raw(until)
            if data is None:
                raise _SilenceError("the server is silent")
            if data:
                tls.incoming.write(data)
            else:
                tls.incoming.write_eof()


class _SilenceError(ServerUnreachableError):
    """Nothing came, or nothing was taken, in the time given."""


def connect(
    route: Route, context: TlsContext | None, until: float
) -> Routine[Connection]:
    """Open a connection to the server. Raises ServerUnreachableError."""
    first = route.proxy or route.server
    socket = yield from _connect_any(first, until)
    connection = Connection(socket)
    try:
        if context is not None:
            if route.proxy is not None:
                yield from _open_tunnel(connection, route, until)
            yield from connection.begin_tls(context, route.server, until)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_any(address: Address, until: float) -> Routine[originals.socket]:
    now = yield Wait()
    try:
        found = originals.getaddrinfo(
            address.host, address.port, 0, _socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise ServerUnreachableError(
            f"the name {address.host!r} was not resolved: {_explain(error)}"
        ) from None
    reasons: list[str] = []
    for family, kind, protocol, _, target in found[:_ADDRESSES_TRIED]:
        # Each address gets its part: a black hole among them must not eat all.
        share_until = now + (until - now) / (
            len(found[:_ADDRESSES_TRIED]) - len(reasons)
        )
        socket = originals.socket(family, kind, protocol)
        try:
            reason = yield from _connect_one(socket, target, share_until)
        except BaseException:
            socket.close()
            raise
        if reason is None:
            return socket
        socket.close()
        reasons.append(reason)
        now = originals.monotonic()
    reason = reasons[-1] if reasons else "it has no address"
    raise ServerUnreachableError(f"no connection to {address.endpoint}: {reason}")


def _connect_one(
    socket: originals.socket, target: Any, until: float
) -> Routine[str | None]:
    """Connect one socket; None, or why it did not."""
    socket.setblocking(False)
    with suppress(OSError):
        socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    try:
        code = socket.connect_ex(target)
    except OSError as error:
        return _explain(error)
    if code == errno.EINPROGRESS:
        now = yield Wait(fd=socket.fileno(), events=select.POLLOUT, until=until)
        code = socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if code == 0 and now >= until:
            return "no answer in time"
    return None if code == 0 else _explain(OSError(code, errno.errorcode.get(code, "")))


def _open_tunnel(connection: Connection, route: Route, until: float) -> Routine[None]:
    """Ask the proxy for a way through (CONNECT)."""
    target = route.server.endpoint
    headers = [("Host", target), *route.proxy_headers()]
    yield from connection.send(write_request("CONNECT", target, headers, None), until)
    reader = AnswerReader("CONNECT")
    while (event := _next_event(reader, route)) is None:
        # One byte too many would belong to TLS: a proxy sends none before we speak.
        data = yield from connection.receive(until)
        if data is None:
            raise ServerUnreachableError(f"proxy {route.proxy} does not answer")
        reader.feed(data)
    if not isinstance(event, Head) or event.status >= 300:
        status = event.status if isinstance(event, Head) else 0
        raise ServerUnreachableError(
            f"proxy {route.proxy} refuses the way to {target}: status {status}"
        )


def _next_event(reader: AnswerReader, route: Route) -> object | None:
    try:
        return reader.next_event()
    except WireError as error:
        raise ServerUnreachableError(f"proxy {route.proxy}: {error}") from None


_SENTENCES = {
    errno.ECONNREFUSED: "connection refused",
    errno.ETIMEDOUT: "no answer in time",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "the network is unreachable",
    errno.EPIPE: "the connection was closed by the server",
    errno.ECONNRESET: "the connection was reset by the server",
}


def _explain(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return _SENTENCES.get(number or 0) or getattr(error, "strerror", None) or str(error)
