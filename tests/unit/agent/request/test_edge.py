"""The edge of a request: transparent while all is well, a refusal once condemned."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from remora.agent.request import (
    RequestContext,
    current_request,
    from_environ,
    from_scope,
    inputs_of,
    protected,
    serve_request,
    turn_protection,
    unseen,
)
from remora.agent.request.edge import AsgiApplication, WsgiApplication, WsgiEdge
from remora.errors import Blocked

NAME = "remora.agent.request"


@pytest.fixture(autouse=True)
def protection():
    turn_protection("block")
    yield protected.protection
    protected.protection.end()


def condemn() -> None:
    current_request().condemn("a test")


class Server:
    """A WSGI server of one request: what it got is `status`, `headers`, `body`."""

    def __init__(self, app, method="GET", body=b"", **environ):
        self.status, self.headers, self.body = "", [], []
        self.error = None
        self.context = RequestContext()
        self.environ = {"REQUEST_METHOD": method, "wsgi.input": io.BytesIO(body)}
        self.environ.update({"QUERY_STRING": ""}, **environ)
        setup_testing_defaults(self.environ)
        self.environ.setdefault("wsgi.file_wrapper", FileWrapper)
        from_environ(self.context, self.environ)
        serve_request(self.context)
        try:
            self.result = WsgiApplication(app)(self.environ, self.start_response)
            for part in self.result:
                assert self.status or not part, "a part before the head"
                self.body.append(part)
        except Exception as error:
            self.error = error
        finally:
            if hasattr(self.result, "close"):
                self.result.close()
            serve_request(None)
        self.content = b"".join(self.body)

    result = None

    def start_response(self, status, headers, exc_info=None):
        self.status, self.headers = status, headers
        return self.body.append


def plain(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]


def parts(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b""
    yield b"one"
    yield b"two"


def test_what_a_server_looks_at_stays_what_it_was() -> None:
    result = [b"fine"]
    assert Server(lambda e, s: s("200 OK", []) and result).result is result
    file = FileWrapper(io.BytesIO(b"file"))
    served = Server(lambda e, s: s("200 OK", []) and file)
    assert served.result is file
    assert served.content == b"file"
    odd = object()
    assert Server(lambda e, s: s("200 OK", []) and odd).result is odd

    class Sized(list):
        pass

    edge = WsgiEdge(RequestContext(), {}, lambda *_: None)
    assert len(edge.answer(Sized([b"a"]))) == 1


@pytest.mark.parametrize("app", [plain, parts])
def test_an_app_that_is_well_formed_stays_so(app) -> None:
    served = Server(validator(app))
    assert (served.status, served.error) == ("200 OK", None)
    assert served.content in (b"fine", b"onetwo")


def test_an_empty_body_has_its_head() -> None:
    served = Server(lambda e, s: s("204 No Content", []) and iter(()))
    assert (served.status, served.content) == ("204 No Content", b"")


def test_an_app_that_changes_its_mind_before_the_first_byte_may() -> None:
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b""
        start_response("500 Oops", [], (ValueError, ValueError(), None))
        yield b"oops"

    assert Server(app).status == "500 Oops"


def test_the_older_way_to_write_a_body_works_and_is_refused() -> None:
    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"one")
        write(b"two")
        return []

    assert Server(app).content == b"onetwo"

    def attack(environ, start_response):
        write = start_response("200 OK", [])
        condemn()
        write(b"secret")
        return []

    served = Server(attack)
    assert served.status == "403 Forbidden"
    assert b"secret" not in served.content


def test_what_was_begun_by_write_is_cut_once_it_is_condemned(protection) -> None:
    caught: list[Exception] = []

    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"begun")
        condemn()
        for _ in range(2):
            try:
                write(b"secret")
            except Blocked as error:
                caught.append(error)
        return [b"secret"]

    before = protection.cut
    served = Server(app)
    assert served.content == b"begun"
    assert type(served.error) is Blocked
    assert (len(caught), protection.cut) == (2, before + 1)


def test_a_head_that_its_server_would_not_send_is_followed_by_no_other() -> None:
    heads: list[str] = []

    def start(status, headers, exc_info=None):
        heads.append(status)
        raise AssertionError("a server says no")

    def app(environ, start_response):
        with pytest.raises(AssertionError):
            start_response("201 Created", [])(b"begun")
        condemn()
        with pytest.raises(Blocked):
            start_response("200 OK", [], (ValueError, ValueError(), None))
        return [b"secret"]

    serve_request(RequestContext())
    with pytest.raises(Blocked):
        WsgiApplication(app)({"wsgi.input": io.BytesIO()}, start)
    assert heads == ["201 Created"]


def test_an_app_that_writes_after_its_refusal_is_not_heard() -> None:
    def app(environ, start_response):
        write = start_response("200 OK", [])
        yield b""
        condemn()
        try:
            yield b"secret"
        finally:
            write(b"secret")
            start_response("200 OK", [])(b"secret")

    served = Server(app)
    assert served.status == "403 Forbidden"
    assert b"secret" not in served.content


def test_an_app_that_cannot_close_its_body_is_refused_all_the_same() -> None:
    class Stuck(Body):
        def close(self):
            raise KeyError

    for app in (
        lambda e, s: s("200 OK", []) and Stuck("condemn"),
        lambda e, s: s("200 OK", []) and (condemn() or Stuck(b"secret")),
    ):
        served = Server(app)
        assert (served.status, served.error) == ("403 Forbidden", None)
        assert b"secret" not in served.content


def test_a_server_that_cannot_send_the_refusal_gets_no_body_either() -> None:
    def start(status, headers, exc_info=None):
        raise OSError("the client has left")

    serve_request(RequestContext())
    app = WsgiApplication(lambda e, s: s("200 OK", []) and Body("condemn", b"secret"))
    with pytest.raises(OSError, match="left"):
        app({"wsgi.input": io.BytesIO()}, start)


class Body:
    """A body that knows whether it was closed."""

    def __init__(self, *parts):
        self.parts, self.closed = parts, 0

    def __iter__(self):
        for part in self.parts:
            if part == "condemn":
                condemn()
            elif part == "raise":
                raise KeyError
            else:
                assert current_request() is not None
                yield part

    def close(self):
        self.closed += 1


@pytest.mark.parametrize(
    "body",
    [
        Body("condemn", b"secret"),
        Body(b"", b"", "condemn", b"secret"),
        Body("condemn"),
        Body("condemn", "raise"),
    ],
)
def test_a_request_condemned_before_the_first_byte_is_refused(body) -> None:
    served = Server(lambda e, s: s("200 OK", []) and body)
    assert served.status == "403 Forbidden"
    assert dict(served.headers)["Content-Length"] == str(len(served.content))
    assert body.closed == 1
    assert served.context.status == 403


@pytest.mark.parametrize("ending", [b"secret", "raise"])
def test_a_stream_that_has_begun_is_cut(ending, protection) -> None:
    before = protection.cut
    body = Body(b"begun", "condemn", ending)
    served = Server(lambda e, s: s("200 OK", []) and body)
    assert served.content == b"begun"
    assert isinstance(served.error, (Blocked, KeyError))
    assert body.closed == 1
    assert protection.cut == before + 1


def test_a_failure_of_an_app_that_is_not_condemned_stays_its_own() -> None:
    served = Server(lambda e, s: s("200 OK", []) and Body("raise"))
    assert type(served.error) is KeyError
    assert served.status == ""


def test_a_head_request_is_refused_without_a_body() -> None:
    served = Server(lambda e, s: condemn() or plain(e, s), method="HEAD")
    assert (served.status, served.content) == ("403 Forbidden", b"")
    assert int(dict(served.headers)["Content-Length"]) > 0


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("text/html,application/json", "text/html; charset=utf-8"),
        ("application/problem+json, text/html", "application/json"),
        ("*/*", "text/html; charset=utf-8"),
    ],
)
def test_the_refusal_is_what_the_client_asks_for(accept, kind) -> None:
    served = Server(lambda e, s: condemn() or plain(e, s), HTTP_ACCEPT=accept)
    assert dict(served.headers)["Content-Type"] == kind
    assert served.context.id.encode() in served.content
    assert b"a test" not in served.content


def test_an_input_is_watched_however_it_is_read() -> None:
    stream = io.BufferedReader(io.BytesIO(b"a\nb\nc\nd\ne\nf\ng\nh"))

    def app(environ, start_response):
        given = environ["wsgi.input"]
        assert isinstance(given, io.BufferedReader)
        assert given.readable()
        buffer = bytearray(2)
        given.readinto(buffer)
        read = [bytes(buffer), given.read(2), given.readline(), next(given)]
        read += [given.read1(2), *given.readlines(3), *given]
        start_response("200 OK", [])
        return read

    served = Server(app, **{"wsgi.input": stream})
    assert served.content == b"a\nb\nc\nd\ne\nf\ng\nh"
    assert served.context.body.content() == served.content


def test_a_server_that_looks_at_the_head_before_any_part_finds_the_right_one() -> None:
    heads: list[str] = []

    def ask(body):
        serve_request(RequestContext())
        app = WsgiApplication(lambda e, s: s("200 OK", []) and body)
        result = app({"wsgi.input": io.BytesIO()}, lambda s, *_: heads.append(s))
        return len(heads), result

    refused, result = ask(Body(b"", "condemn", b"secret"))
    assert b"secret" not in b"".join(result)
    body = Body(b"", b"one", b"two")
    passed, result = ask(body)
    assert list(result) == [b"one", b"two"]
    assert (refused, passed, heads) == (1, 2, ["403 Forbidden", "200 OK"])


def test_what_a_body_raises_at_its_beginning_is_raised_when_it_is_asked_for() -> None:
    serve_request(RequestContext())
    body = Body("raise")
    app = WsgiApplication(lambda e, s: s("200 OK", []) and body)
    result = app({"wsgi.input": io.BytesIO()}, lambda *_: None)
    with pytest.raises(KeyError):
        next(result)
    with pytest.raises(StopIteration):
        next(result)
    result.close()
    assert body.closed == 1


def test_watching_alone_holds_nothing_back(protection) -> None:
    turn_protection("watch")
    body = Body(b"one", "condemn", b"two")
    served = Server(lambda e, s: s("200 OK", []) and body, body=b"x")
    assert served.result is body
    assert served.content == b"onetwo"


def test_the_edge_is_nothing_while_protection_is_off(protection) -> None:
    protection.end()
    served = Server(plain)
    assert type(served.environ["wsgi.input"]) is io.BytesIO
    assert not served.context.guarded


def converse(app, received=(), kind="http", error=None):
    """What an ASGI app sends, and what it raises."""
    sent, waiting = [], list(received)
    scope = {"type": kind, "path": "/", "method": "GET", "headers": []}

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    async def main():
        request = RequestContext()
        from_scope(request, scope)
        serve_request(request)
        try:
            await AsgiApplication(app)(scope, receive, send)
        except Exception as raised:
            return request, raised
        return request, None

    request, raised = asyncio.run(main())
    return request, sent, raised


START = {"type": "http.response.start", "status": 200, "headers": []}


def test_asgi_messages_pass_in_their_order_and_unchanged() -> None:
    body = {"type": "http.response.body", "body": b"x", "more_body": False}
    debug = {"type": "http.response.debug", "info": {}}

    async def app(scope, receive, send):
        for message in (debug, START, body):
            await send(message)

    assert converse(app)[1] == [debug, START, body]


def test_a_head_without_a_body_is_sent_when_the_app_ends_or_fails() -> None:
    async def ends(scope, receive, send):
        await send(START)

    async def fails(scope, receive, send):
        await send(START)
        raise KeyError

    assert converse(ends)[1:] == ([START], None)
    _, sent, raised = converse(fails)
    assert sent == [START]
    assert type(raised) is KeyError


@pytest.mark.parametrize("before", [[], [START]])
@pytest.mark.parametrize("error", [None, KeyError()])
def test_an_asgi_request_that_is_condemned_is_refused(before, error) -> None:
    async def app(scope, receive, send):
        for message in before:
            await send(message)
        condemn()
        if error is not None:
            raise error
        await send({"type": "http.response.body", "body": b"secret"})

    request, sent, raised = converse(app)
    assert [m.get("status") for m in sent] == [403, None]
    assert raised is None
    assert request.status == 403


def test_an_asgi_stream_that_has_begun_is_cut() -> None:
    async def app(scope, receive, send):
        await send(START)
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        condemn()
        await send({"type": "http.response.body", "body": b"secret"})

    _, sent, raised = converse(app)
    assert len(sent) == 2
    assert type(raised) is Blocked


def test_a_websocket_is_closed_before_and_after_its_handshake() -> None:
    messages = [{"type": "websocket.connect"}, {"type": "websocket.receive"}]
    messages[1]["text"] = '{"a": "x\'"}'

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        assert inputs_of(current_request()).named("x'").source == "message"
        condemn()
        await send({"type": "websocket.send", "text": "secret"})

    _, sent, _ = converse(app, messages, "websocket")
    assert [m["type"] for m in sent] == ["websocket.accept", "websocket.close"]

    async def early(scope, receive, send):
        condemn()
        await send({"type": "websocket.accept"})

    assert converse(early, (), "websocket")[1] == [
        {"type": "websocket.close", "code": 1008}
    ]


def test_threads_and_executors_run_within_the_request_that_started_them(
    serve, protection
) -> None:
    serve("threading:Thread.start", kind="carry", callable="self.run")
    serve(
        "concurrent.futures.thread:ThreadPoolExecutor.submit",
        kind="carry",
        callable="fn",
    )
    turn_protection("block")
    seen: list[object] = []

    class Own(threading.Thread):
        def run(self):
            seen.append(current_request())

    with ThreadPoolExecutor(1) as pool:
        first, second = RequestContext(), RequestContext()
        for request in (first, second):
            serve_request(request)
            assert pool.submit(current_request).result(20) is request
            for thread in (
                threading.Thread(target=lambda: seen.append(current_request())),
                Own(),
            ):
                thread.start()
                thread.join(20)
                assert "run" not in thread.__dict__
        serve_request(None)
        # the worker itself was started by a request, and belongs to none
        assert pool.submit(current_request).result(20) is None
    assert seen == [first, first, second, second]


def test_what_stands_before_an_app_is_taken_away_again(serve, protection) -> None:

    module = ModuleType("edge_server")
    exec(
        "def handle(self, environ, start):\n return self.app(environ, start)",
        vars(module),
    )
    sys.modules["edge_server"] = module
    try:
        serve("edge_server:handle", kind="custom", callable="self.app")
        turn_protection("block")
        server = SimpleNamespace(app=plain)
        environ = {"REQUEST_METHOD": "GET", "wsgi.input": io.BytesIO()}
        module.handle(server, environ, lambda *_: None)
        assert type(server.app) is WsgiApplication
        protection.end()
        assert server.app is plain
        module.handle(server, environ, lambda *_: None)
        assert server.app is plain
    finally:
        del sys.modules["edge_server"]


def test_an_app_whose_requests_are_not_seen_is_called_unprotected(protection) -> None:
    protection.begin_anew()
    protection.outside += 1
    assert protection.complaint == ""
    for _ in range(unseen.OUTSIDE_ALLOWED):
        protection.outside += 1
    said = protection.complaint
    assert "unprotected" in said
    protection.outside += 1
    assert protection.complaint == said, "or each look would be told anew"
    protection.requests += 1
    assert protection.complaint == ""
    protection.begin_anew()
    assert protection.complaint == ""


def test_a_server_that_is_known_not_to_be_seen_is_named_early(
    protection, monkeypatch
) -> None:
    protection.begin_anew()
    for _ in range(protected.OUTSIDE_FEW):
        protection.outside += 1
    assert protection.complaint == ""
    monkeypatch.setitem(sys.modules, "robyn", ModuleType("robyn"))
    assert "remora sees none of Robyn" in protection.complaint
    protection.begin_anew()


def test_a_server_that_says_no_to_the_head_is_heard() -> None:
    def refuse(status, headers, exc_info=None):
        raise AssertionError("twice")

    edge = WsgiEdge(RequestContext(), {}, refuse)
    edge.start_response("200 OK", [])
    with pytest.raises(AssertionError, match="twice"):
        edge.start_response("200 OK", [])
