"""Edges where no call of a server opens the request: guards, and handlers."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler

import pytest

from remora.agent.control.frameworks import Frameworks
from remora.agent.request import (
    RequestContext,
    current_request,
    inputs_of,
    protected,
    serve_request,
    turn_protection,
)
from remora.agent.request.edge import AsgiApplication, WsgiApplication, hand_in
from remora.agent.request.refused import refused_actors
from remora.errors import Blocked


@pytest.fixture(autouse=True)
def protection():
    turn_protection("block")
    yield protected.protection
    protected.protection.listed = None
    protected.protection.end()


def condemn() -> None:
    current_request().condemn("a test")


def serve(app, **environ):
    """The context in each part, the status, and the body that a server would send."""
    statuses: list[str] = []
    environ = {"wsgi.input": io.BytesIO(b"x"), "PATH_INFO": "/a", **environ}
    result = app(environ, lambda status, *_: statuses.append(status))
    body = b"".join(result)
    getattr(result, "close", bool)()
    return statuses, body


@pytest.mark.parametrize("mode", ["watch", "block"])
def test_a_guard_opens_a_request_where_its_server_does_not(mode, protection) -> None:
    turn_protection(mode)
    seen: list[RequestContext] = []

    class Parts:
        def __iter__(self):
            for _ in range(2):
                seen.append(current_request())
                yield b"part"

        def close(self):
            seen.append(current_request())
            assert not seen[0].ended

    def app(environ, start_response):
        seen.append(current_request())
        environ["wsgi.input"].read()
        start_response("200 OK", [])
        return Parts()

    before = protection.requests
    assert serve(WsgiApplication(app)) == (["200 OK"], b"partpart")
    assert len(seen) == 4
    assert set(seen) == {seen[0]}
    assert (seen[0].path, seen[0].body.content()) == ("/a", b"x")
    assert seen[0].ended
    assert current_request() is None
    assert protection.requests == before + 1


def test_a_guard_that_opens_requests_refuses_them(protection) -> None:
    def caught(environ, start_response):
        condemn()
        start_response("200 OK", [])
        return [b"secret"]

    def raises(environ, start_response):
        condemn()
        raise Blocked("a test")

    for app in (caught, raises):
        statuses, body = serve(WsgiApplication(app))
        assert statuses == ["403 Forbidden"]
        assert b"secret" not in body


def test_what_the_app_raises_ends_the_request_of_a_guard() -> None:
    seen = []

    def app(environ, start_response):
        seen.append(current_request())
        raise KeyError

    with pytest.raises(KeyError):
        serve(WsgiApplication(app))
    assert seen[0].ended
    assert current_request() is None


def test_a_request_that_is_over_serves_no_other() -> None:
    """A thread that a request has started may serve others for years."""
    old = RequestContext()
    old.end()
    serve_request(old)
    seen = []

    def app(environ, start_response):
        seen.append(current_request())
        start_response("200 OK", [])
        return []

    try:
        serve(WsgiApplication(app))
        assert seen[0] is not old
        assert current_request() is old
    finally:
        serve_request(None)


def test_a_guard_opens_requests_of_asgi_and_nothing_for_a_lifespan() -> None:
    seen = []

    async def app(scope, receive, send):
        seen.append(current_request())
        if scope["type"] == "http":
            condemn()
            raise Blocked("a test")

    async def run(scope):
        sent = []

        async def send(message):
            sent.append(message)

        await AsgiApplication(app)(scope, None, send)
        return sent

    assert asyncio.run(run({"type": "lifespan"})) == []
    sent = asyncio.run(run({"type": "http", "path": "/", "headers": []}))
    assert sent[0]["status"] == 403
    assert seen[0] is None
    assert seen[1].ended


def test_an_app_that_was_handed_over_once_is_put_back_at_the_end(protection) -> None:
    def app(environ, start_response):
        return []

    def wrap(callback):
        def run():
            return callback

        run.__wrapped__ = callback
        return run

    guard = hand_in(app, WsgiApplication)
    held = wrap(guard)
    assert held() is guard
    protection.end()
    assert held() is app
    assert held.__wrapped__ is app


class Handler(BaseHTTPRequestHandler):
    """Answers as `acts` say, one act for a request."""

    protocol_version = "HTTP/1.1"
    acts: tuple = ()

    def do_GET(self):
        type(self).acts[0](self)

    do_POST = do_GET

    def log_message(self, *args):
        pass


class Raw(Handler):
    """Has a method that sends past `wfile`."""

    def send_raw(self):
        self.connection.sendall(b"raw")


@pytest.fixture
def handlers(probes) -> None:
    """The probes of http.server, installed."""
    made = []
    Frameworks(made.extend, {}).wake()
    found = [probe for probe in made if probe.id.startswith("pack:http-server")]
    assert len(found) == 3
    probes.add(found)


def talk(act, request=b"GET /p?q=1 HTTP/1.1\r\nHost: x\r\n\r\n", kind=Handler):
    """What the client of a handler gets that acts so."""
    ours, theirs = socket.socketpair()
    answer = []

    class Acting(kind):
        acts = (act,)
        timeout = 20

    def handle():
        try:
            Acting(theirs, ("192.0.2.7", 1), None)
        except Exception as error:
            answer.append(error)
        finally:
            theirs.close()

    thread = threading.Thread(target=handle)
    thread.start()
    with ours:
        ours.settimeout(20)
        ours.sendall(request)
        ours.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: ours.recv(4096), b""))
    thread.join(20)
    return said, answer


def respond(handler, body=b"secret", status=200):
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_a_handler_has_a_request_and_keeps_its_streams(handlers) -> None:
    seen = []

    def act(handler):
        request = current_request()
        read = handler.rfile.read(3)
        seen.extend([request, request.body.content(), read])
        respond(handler)
        seen.append(request.status)

    head = b"POST /p?q=1 HTTP/1.1\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabc"
    said, errors = talk(act, head)
    assert said.endswith(b"\r\n\r\nsecret")
    assert errors == []
    request, content, read, status = seen
    assert (request.method, request.path, request.client) == ("POST", "/p", "192.0.2.7")
    assert {"1", "b", "abc"} <= {each.text for each in inputs_of(request)}
    assert (content, read, status) == (b"abc", b"abc", 200)
    assert request.ended


def begin_then_condemn(handler):
    handler.send_response(200)
    handler.end_headers()
    condemn()
    raise Blocked("a test")


def condemn_then_answer(handler):
    condemn()
    respond(handler, status=500)


@pytest.mark.parametrize("act", [begin_then_condemn, condemn_then_answer])
def test_a_condemned_handler_answers_403_whatever_it_does(handlers, act) -> None:
    said, _ = talk(act, b"GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 403 ")
    assert b"Connection: close" in said
    assert b"secret" not in said
    assert b'"error"' in said


def test_what_a_handler_has_begun_is_cut(handlers, protection) -> None:
    def act(handler):
        respond(handler, b"begun")
        condemn()
        handler.wfile.write(b"secret")

    said, errors = talk(act)
    assert said.endswith(b"begun")
    assert type(errors[0]) is Blocked
    assert protection.cut >= 1


def test_a_blocked_address_does_not_reach_the_handler(handlers, protection) -> None:
    refused_actors.replace(["address:192.0.2.7"])
    protection.listed = refused_actors
    try:
        said, errors = talk(respond)
    finally:
        refused_actors.clear()
    assert said.startswith(b"HTTP/1.1 403 ")
    assert errors == []


def interim(handler):
    handler.send_response_only(100)
    handler.end_headers()
    assert handler.wfile.write(b"") == 0
    respond(handler, b"after")


def nothing(handler):
    handler.send_response(204)
    handler.end_headers()


def from_the_kernel(handler):
    handler.send_response(200)
    handler.end_headers()
    os.write(handler.wfile.fileno(), b"kernel")


def by_its_socket(handler):
    handler.send_response(200)
    handler.end_headers()
    handler.send_raw()


@pytest.mark.parametrize(
    ("act", "kind", "heads", "ends"),
    [
        (interim, Handler, 2, b"after"),
        (nothing, Handler, 1, b"\r\n\r\n"),
        (from_the_kernel, Handler, 1, b"\r\n\r\nkernel"),
        (by_its_socket, Raw, 1, b"\r\n\r\nraw"),
    ],
)
def test_answers_come_in_their_order(handlers, act, kind, heads, ends) -> None:
    said, errors = talk(act, kind=kind)
    assert errors == []
    assert said.count(b"HTTP/1.1 ") == heads
    assert said.endswith(ends)


def test_a_handler_that_closes_its_stream_has_answered(handlers) -> None:
    seen = []

    def act(handler):
        seen.append(current_request())
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.close()

    assert talk(act)[0].startswith(b"HTTP/1.1 200 ")
    assert seen[0].ended


def test_an_answer_without_a_head_is_not_waited_for(handlers) -> None:
    said, errors = talk(lambda h: h.wfile.write(b"old"), b"GET /\r\n\r\n")
    assert (said, errors) == (b"old", [])
