"""The edge at handlers that are written for `http.server`.

A handler reads `rfile` and writes `wfile`, so ours stand there for the time of one
request. Not covered: what a handler sends past `wfile`, through its socket; the head of
one whose code names the socket is not held back, as it would come after its body.
Where a handler serves a WSGI app (Werkzeug's does), the edge before that app guards it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from remora.agent.request.context import current_request
from remora.agent.request.edge.refusal import STATUS, meet_list, refusal
from remora.agent.request.edge.wsgi import WatchedInput
from remora.agent.request.protected import protection
from remora.errors import Blocked

if TYPE_CHECKING:
    from remora.agent.interception import AppValue
    from remora.agent.request.context import RequestContext

HEAD_LIMIT = 64 * 1024
"""Bytes that are held back at most: heads are a hundredth of that."""

_END = b"\r\n\r\n"
_SOCKET = frozenset(("connection", "request"))
"""By these names a handler has its socket."""

_GONE = (OSError, ValueError)
"""What writing raises where the client has left, or the handler closed the stream."""

_LIBRARY = frozenset(("http.server", "socketserver", "builtins"))


def guard_handler(handler: AppValue) -> bool:
    """A handler has read the head of its request; whether it is refused at once."""
    context = current_request()
    held = getattr(handler, "__dict__", None)
    if context is None or not protection.watches or type(held) is not dict:
        return False
    if context.at_end is not None:
        return False
    edge = HandlerEdge(context, handler)
    context.at_end = edge.leave
    return protection.blocks and bool(meet_list(context))


class HandlerEdge:
    """One request: its body watched, the head held back until the first byte."""

    __slots__ = ("_context", "_handler", "_held", "_is_begun", "_streams", "_write")

    def __init__(self, context: RequestContext, handler: AppValue) -> None:
        self._context = context
        self._handler = handler
        self._held = b""
        reads, writes = handler.rfile, handler.wfile
        self._streams = (reads, writes)
        self._write = writes.write
        handler.rfile = WatchedInput(reads, context)
        blocks = protection.blocks
        self._is_begun = not blocks or _sends_itself(handler)
        if blocks:
            handler.wfile = HeldOutput(self, writes)

    def write(self, data: AppValue) -> AppValue:
        """A piece of what the handler answers."""
        if self._context.guarded:
            return self._write(data)
        if self._context.condemned:
            if self._is_begun:
                raise Blocked(self._context.condemned)
            return len(data)
        if self._is_begun:
            return self._write(data)
        self._held += data
        end = self._held.find(_END)
        is_interim = self._held[:5] == b"HTTP/" and self._held[8:10] == b" 1"
        if is_interim and end + len(_END) == len(self._held):
            # something comes after it that the client may be waiting for
            data, self._held = self._held, b""
            self._write(data)
        elif self._is_body_there(end):
            self.open()
        return len(data)

    def _is_body_there(self, end: int) -> bool:
        is_head = self._held[:5] == b"HTTP/"[: len(self._held)]
        if not is_head or len(self._held) > HEAD_LIMIT:
            return True
        return 0 <= end < len(self._held) - len(_END)

    def open(self) -> None:
        """Let the head go, unless it is never to go."""
        held, self._held = self._held, b""
        if self._context.condemned:
            return
        self._is_begun = True
        if held:
            self._write(held)

    def leave(self) -> None:
        """The handler is done: what is still held goes, or the refusal."""
        handler = self._handler
        handler.rfile, handler.wfile = self._streams
        if self._context.guarded:
            return
        if not self._context.condemned or not protection.blocks:
            with suppress(*_GONE):
                self.open()
            return
        # Of what the client sends there may be more, which nobody has read.
        handler.close_connection = True
        if self._is_begun:
            protection.cut += 1
            return
        with suppress(*_GONE):
            self._refuse()

    def _refuse(self) -> None:
        headers, body = refusal(self._context)
        version = getattr(self._handler, "protocol_version", "HTTP/1.0")
        lines = [f"{version} {STATUS} Forbidden", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        self._context.status = STATUS
        protection.refused += 1
        self._write("\r\n".join(lines).encode("latin-1") + _END + body)


class HeldOutput:
    """Stands for `wfile`: every other attribute is the stream's own."""

    __slots__ = ("_remora_edge", "_remora_stream")

    def __init__(self, edge: HandlerEdge, stream: AppValue) -> None:
        self._remora_edge = edge
        self._remora_stream = stream

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride] - only read
        return type(self._remora_stream)

    def write(self, data: AppValue) -> AppValue:
        """What the stream does."""
        return self._remora_edge.write(bytes(data))

    def writelines(self, lines: AppValue) -> None:
        """What the stream does."""
        for line in lines:
            self.write(line)

    def fileno(self) -> AppValue:
        """Whoever asks for it writes past us, and after what was written before."""
        self._remora_edge.open()
        self._remora_stream.flush()
        return self._remora_stream.fileno()

    def close(self) -> None:
        """What the stream does: the head alone was the answer."""
        self._remora_edge.open()
        self._remora_stream.close()

    def __getattr__(self, name: str) -> AppValue:
        return getattr(self._remora_stream, name)


def _sends_itself(handler: AppValue) -> bool:
    """Whether its answer may not pass by us, so that none of it can be held back."""
    if handler.request_version == "HTTP/0.9" or handler.command == "CONNECT":
        return True
    for kind in type(handler).__mro__:
        if kind.__module__ in _LIBRARY:
            continue
        for member in vars(kind).values():
            code = getattr(member, "__code__", None)
            if code is not None and not _SOCKET.isdisjoint(code.co_names):
                return True
    return False
