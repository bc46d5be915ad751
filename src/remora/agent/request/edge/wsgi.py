"""The edge between a WSGI server and an app (PEP 3333)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from remora.agent.request.context import current_request, serve_request
from remora.agent.request.edge.bodies import watched_body
from remora.agent.request.edge.refusal import STATUS, refusal
from remora.agent.request.protected import protection
from remora.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from remora.agent.interception import AppValue
    from remora.agent.request.body import Body
    from remora.agent.request.context import RequestContext


def watch_input(context: RequestContext, environ: AppValue) -> None:
    """Watch what the app reads of the body, without reading anything ourselves."""
    if type(environ) is not dict:
        return
    # Below a handler of http.server, which has its framing too, the app's own counts.
    if context.is_watched and context.at_end is None:
        return
    stream = environ.get("wsgi.input")
    if stream is not None and type(stream) is not WatchedInput:
        context.is_watched = True
        environ["wsgi.input"] = WatchedInput(stream, context)


class WatchedInput:
    """Stands for `wsgi.input`: every attribute is the stream's own.

    It passes as what it stands for (`isinstance`), as libraries ask for io's classes.
    """

    __slots__ = ("_remora_body", "_remora_context", "_remora_stream")

    def __init__(self, stream: AppValue, context: RequestContext) -> None:
        self._remora_stream = stream
        self._remora_context = context
        self._remora_body: Body | None = None

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride] - only read
        return type(self._remora_stream)

    def _remora_saw(self, piece: AppValue) -> None:
        """Keep what the app was just given; most requests have no body at all."""
        body = self._remora_body
        if body is None:
            body = self._remora_body = watched_body(self._remora_context)
            self._remora_context.body = body
        body.saw(piece)

    def read(self, *sizes: AppValue) -> AppValue:
        """What the stream gives."""
        piece = self._remora_stream.read(*sizes)
        self._remora_saw(piece)
        return piece

    def readline(self, *sizes: AppValue) -> AppValue:
        """What the stream gives."""
        piece = self._remora_stream.readline(*sizes)
        self._remora_saw(piece)
        return piece

    def readlines(self, *hints: AppValue) -> AppValue:
        """What the stream gives."""
        lines = self._remora_stream.readlines(*hints)
        if type(lines) is list:
            for line in lines:
                self._remora_saw(line)
        return lines

    def __iter__(self) -> Iterator[AppValue]:
        for line in self._remora_stream:
            self._remora_saw(line)
            yield line

    def __next__(self) -> AppValue:
        line = next(self._remora_stream)
        self._remora_saw(line)
        return line

    def __getattr__(self, name: str) -> AppValue:
        value = getattr(self._remora_stream, name)
        if name == "read1":
            return self._watch(value)
        if name in {"readinto", "readinto1"}:
            return self._watch_filled(value)
        return value

    def _watch(self, read: Callable[..., AppValue]) -> Callable[..., AppValue]:
        def watched(*sizes: AppValue) -> AppValue:
            piece = read(*sizes)
            self._remora_saw(piece)
            return piece

        return watched

    def _watch_filled(self, fill: Callable[..., AppValue]) -> Callable[..., AppValue]:
        def watched(buffer: AppValue) -> AppValue:
            count = fill(buffer)
            if type(count) is int and count > 0:
                self._remora_saw(bytes(memoryview(buffer).cast("B")[:count]))
            return count

        return watched


class WsgiEdge:
    """One response on its way out: its head is held back until its first byte."""

    __slots__ = (
        "_file_wrapper",
        "_head",
        "_is_cut",
        "_is_refused",
        "_start",
        "_writer",
        "context",
        "is_begun",
    )

    def __init__(
        self, context: RequestContext, environ: AppValue, start_response: AppValue
    ) -> None:
        self.context = context
        self._file_wrapper = environ.get("wsgi.file_wrapper")
        self._start = start_response
        self._head: tuple[AppValue, AppValue] | None = None
        self._writer: Callable[[AppValue], object] | None = None
        self._is_cut = False
        self._is_refused = False
        self.is_begun = False

    def start_response(
        self, status: AppValue, headers: AppValue, exc_info: AppValue = None
    ) -> Callable[[AppValue], object]:
        """What the app is given for `start_response`."""
        if self.is_begun or (self._head is not None and exc_info is None):
            return self._start_again(status, headers, exc_info)
        if not self.context.condemned:
            self._head = (status, headers)
        return self._write

    def _start_again(
        self, status: AppValue, headers: AppValue, exc_info: AppValue
    ) -> Callable[[AppValue], object]:
        if self.must_refuse or self._is_refused:
            return self._write
        if self.must_cut:
            raise self.cut()
        # The server knows what it says of an app that begins twice.
        self.open()
        return self._start(status, headers, exc_info)

    def open(self) -> None:
        """Let the head go, if there is one."""
        head, self._head = self._head, None
        if head is not None and not self.is_begun:
            self.is_begun = True
            self._writer = self._start(*head)

    def answer(self, result: AppValue) -> AppValue:
        """What the server gets for what the app returned."""
        if self.context.condemned and (self.must_refuse or self.must_cut):
            _drop(result)
            if self.must_cut:
                raise self.cut()
            return self.refuse()
        # What is there as a whole, or is sent as a file, runs no more code of the app;
        # servers look at these types to find the length or to send by the kernel.
        kind = type(result)
        if kind in (list, tuple, self._file_wrapper) or not hasattr(kind, "__iter__"):
            self.open()
            return result
        return self._parts_of(result).begin()

    def follow(self, result: AppValue) -> AppValue:
        """The same where nothing is held back: parts are made within their request."""
        if type(result) in (list, tuple, self._file_wrapper):
            return result
        return self._parts_of(result).follow()

    def _parts_of(self, result: AppValue) -> _Parts:
        kind = _SizedParts if hasattr(type(result), "__len__") else _Parts
        return kind(self, result)

    def end_with(self, body: AppValue) -> AppValue:
        """Let the request end with its body, where no call of the server ends it."""
        if isinstance(body, _Parts):
            body.is_last = True
        else:
            self.end()
        return body

    @property
    def must_refuse(self) -> bool:
        """Whether the client is to get a refusal, and still can."""
        return bool(self.context.condemned) and not self.is_begun

    @property
    def must_cut(self) -> bool:
        """Whether the client has the beginning of what it is not to get."""
        return bool(self.context.condemned) and self.is_begun and not self._is_refused

    def cut(self) -> Blocked:
        """Count that the body ends here; a server must not take it for an end."""
        protection.cut += not self._is_cut
        self._is_cut = True
        return Blocked(self.context.condemned)

    def fail(self) -> list[bytes] | None:
        """The app has raised: the refusal, where its client can still get one."""
        if self.must_cut:
            self.cut()
        return self.refuse() if self.must_refuse else None

    def refuse(self) -> list[bytes]:
        """Begin the response as a refusal; its body."""
        headers, body = refusal(self.context)
        self.context.status = STATUS
        self._is_refused = True
        self._head = (f"{STATUS} Forbidden", headers)
        self.open()
        protection.refused += 1
        # a part even where it is empty: hypercorn answers 500 where there is none
        return [body]

    def within(self, call: Callable[..., AppValue], *args: AppValue) -> AppValue:
        """What a call gives that belongs to this request, wherever it is made."""
        outer = current_request()
        if outer is self.context:
            return call(*args)
        serve_request(self.context)
        try:
            return call(*args)
        finally:
            serve_request(outer)

    def end(self) -> None:
        """The request is over: its body was sent or given up."""
        self.context.end_quietly()

    def go_on(self, parts: Iterator[AppValue]) -> AppValue:
        """The next part of a body that has begun, which is cut once it is condemned."""
        context = self.context
        try:
            # as `within` does, without the call
            is_own = current_request() is context
            part = next(parts) if is_own else self.within(next, parts)
        except StopIteration:
            if context.condemned and self.must_cut:
                raise self.cut() from None
            raise
        except Exception:
            if self.must_cut:
                self.cut()
            raise
        if context.condemned and self.must_cut:
            raise self.cut()
        return part

    def _write(self, data: AppValue) -> object:
        """PEP 3333's older way to send a body."""
        if self.must_refuse or self._is_refused:
            return None
        if self.must_cut:
            raise self.cut()
        self.open()
        return None if self._writer is None else self._writer(data)


class _Parts:
    """The parts of a body that is made while it is sent."""

    __slots__ = ("_edge", "_ending", "_first", "_parts", "_result", "is_last")

    def __init__(self, edge: WsgiEdge, result: Iterable[AppValue]) -> None:
        self._edge = edge
        self._result: AppValue = result
        self._parts: Iterator[AppValue] = iter(())
        self._first: AppValue = None
        self._ending: Exception | None = None
        self.is_last = False

    def follow(self) -> AppValue:
        """Give what the app gives, as it comes."""
        self._parts = self._edge.within(iter, self._result)
        return self

    def begin(self) -> AppValue:
        """Ask for the first part that is not empty: with it the head is decided.

        Some servers (granian) look at the head before they ask for a part, so that is
        done before they have the body. What is raised waits until they ask.
        """
        edge, context = self._edge, self._edge.context
        try:
            is_own = current_request() is context
            self._parts = parts = (
                iter(self._result) if is_own else edge.within(iter, self._result)
            )
            while not self._first and not (context.condemned and edge.must_refuse):
                self._first = next(parts) if is_own else edge.within(next, parts)
        except Exception as error:  # noqa: BLE001 - raised when the server asks
            self._ending = error
        except BaseException:
            self.close()
            raise
        if context.condemned and edge.must_refuse:
            _drop(self)
            return edge.refuse()
        if self._ending is None or isinstance(self._ending, StopIteration):
            try:
                edge.open()
            except BaseException:
                _drop(self)
                raise
        return self

    def __iter__(self) -> Iterator[AppValue]:
        return self

    def __next__(self) -> AppValue:
        if self._ending is not None:
            ending, self._ending = self._ending, None
            raise ending
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return self._edge.go_on(self._parts)

    def close(self) -> None:
        """Close what the app returned, once."""
        result, self._result = self._result, ()
        try:
            if current_request() is not self._edge.context:
                self._edge.within(close, result)
            elif hasattr(result, "close"):
                result.close()
        finally:
            if self.is_last:
                self.is_last = False
                self._edge.end()


class _SizedParts(_Parts):
    """The same where servers can ask for the number of parts."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._result)


def _drop(result: AppValue) -> None:
    """Close what is not sent; what that raises matters to nobody any more."""
    with suppress(Exception):
        close(result)


def close(result: AppValue) -> None:
    """Close what an app returned, as its server would."""
    if hasattr(result, "close"):
        result.close()
