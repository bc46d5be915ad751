"""The request action on calls of an app, through probes as a pack has them."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from types import ModuleType

import pytest

from remora.agent.request import (
    current_request,
    current_user,
    inputs_of,
    protection,
    turn_protection,
)
from remora.agent.request.refused import RefusedActors
from remora.agent.runtime import guard
from remora.errors import Blocked

NAME = "request_scope_app"

TEXT = """
import asyncio
import sys

def wsgi(environ, start_response):
    start_response("200 OK", [])
    return body() if "lazy" in environ else [inner(environ)]

def body():
    yield look()

def start_response(status, headers=()):
    return None

def inner(environ):
    return look()

async def asgi(scope, receive=None, send=None):
    await asyncio.sleep(0)
    found = look()
    await asyncio.sleep(0)
    return found, look()

def handle(request):
    return look()

def nested(environ):
    first = look()
    other = wsgi({"REQUEST_METHOD": "GET", "PATH_INFO": "/inner"}, start_response)
    return first, other[0], look()

def fails(environ):
    raise KeyError("x")

def stream(environ):
    yield look()
    yield look()

def lazy(environ, start_response):
    start_response("200 OK", [])
    yield b""
    yield look()
    yield b"end"

def lazy_with_frames(environ, start_response):
    sys._getframe()
    yield from lazy(environ, start_response)

class Request:
    def __init__(self, method, path, user):
        self.method, self.path, self.user = method, path, user
"""


@pytest.fixture
def app():
    module = ModuleType(NAME)
    sys.modules[NAME] = module
    module.look = current_request
    exec(TEXT, module.__dict__)
    yield module
    del sys.modules[NAME]


@pytest.fixture
def block():
    """Turns protection on, which adding a probe turns as probes want it."""
    yield lambda: turn_protection("block")
    protection.end()


def environ(path: str = "/cart") -> dict[str, object]:
    return {"REQUEST_METHOD": "GET", "PATH_INFO": path, "REMOTE_ADDR": "10.0.0.1"}


def test_a_wsgi_call_serves_a_request_for_its_time(app, serve) -> None:
    serve(f"{NAME}:wsgi", kind="wsgi")
    (context,) = app.wsgi(environ(), app.start_response)
    assert (context.method, context.path, context.client) == (
        *("GET", "/cart", "10.0.0.1"),
    )
    assert current_request() is None


def test_each_request_has_an_id_of_its_own(app, serve) -> None:
    serve(f"{NAME}:wsgi", kind="wsgi")
    ids = {app.wsgi(environ(), app.start_response)[0].id for _ in range(10)}
    assert len(ids) == 10


def test_an_asgi_call_serves_a_request_and_a_lifespan_does_not(app, serve) -> None:
    serve(f"{NAME}:asgi", kind="asgi")
    first, second = asyncio.run(
        app.asgi({"type": "http", "path": "/x", "method": "GET"})
    )
    assert first is second
    assert first.path == "/x"
    assert asyncio.run(app.asgi({"type": "lifespan"})) == (None, None)


def test_tasks_that_serve_at_the_same_time_stay_apart(app, serve) -> None:
    serve(f"{NAME}:asgi", kind="asgi")

    async def main() -> list[object]:
        scopes = [{"type": "http", "path": f"/{n}", "method": "GET"} for n in range(20)]
        return await asyncio.gather(*(app.asgi(scope) for scope in scopes))

    found = asyncio.run(main())
    assert [a.path for a, _ in found] == [f"/{n}" for n in range(20)]
    assert all(a is b for a, b in found)


def test_threads_that_serve_at_the_same_time_stay_apart(app, serve) -> None:
    barrier = threading.Barrier(5)
    paths: list[object] = []

    def meet() -> object:
        barrier.wait(20)
        return current_request()

    app.look = meet
    serve(f"{NAME}:wsgi", kind="wsgi")

    def work(number: int) -> None:
        (context,) = app.wsgi(environ(f"/{number}"), app.start_response)
        paths.append((number, context.path))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(paths) == [(n, f"/{n}") for n in range(5)]


def test_a_custom_request_is_made_of_expressions(app, serve) -> None:
    serve(
        f"{NAME}:handle",
        kind="custom",
        method="request.method",
        path="request.path",
        user="request.user.name",
    )
    user = type("User", (), {})()
    user.name = "alice"
    seen: list[object] = []
    app.look = lambda: seen.append(current_user()) or current_request()
    context = app.handle(app.Request("PUT", "/x", user))
    assert (context.method, context.path) == ("PUT", "/x")
    assert seen[0].id == "alice"
    assert current_user() is None


def test_what_is_missing_is_left_out(app, serve) -> None:
    serve(
        f"{NAME}:handle", kind="custom", method="request.nothing", path="request.path"
    )
    context = app.handle(app.Request("PUT", "/x", None))
    assert (context.method, context.path) == (None, "/x")


def test_details_fill_in_the_request_that_is_open(app, serve) -> None:
    serve(f"{NAME}:wsgi", kind="wsgi")
    serve(f"{NAME}:start_response", kind="details", status="status")
    (context,) = app.wsgi(environ(), app.start_response)
    assert context.status == 200
    app.start_response("500 outside of any request")
    assert current_request() is None


def test_server_and_framework_share_one_request(app, serve) -> None:
    serve(f"{NAME}:wsgi", kind="custom")
    serve(f"{NAME}:inner", kind="wsgi")
    (context,) = app.wsgi(environ("/shared"), app.start_response)
    assert context.path == "/shared"
    assert current_request() is None


def test_a_middleware_that_sees_the_same_environ_opens_no_second_request(
    app, serve
) -> None:
    seen: list[object] = []
    app.start_response = lambda *_: seen.append(current_request())
    serve(f"{NAME}:wsgi", kind="wsgi")
    serve(f"{NAME}:inner", kind="wsgi")
    (context,) = app.wsgi(environ(), app.start_response)
    assert seen == [context]


def test_a_test_client_inside_a_request_gets_its_own(app, serve) -> None:
    serve(f"{NAME}:nested", kind="wsgi")
    serve(f"{NAME}:wsgi", kind="wsgi")
    first, inner, last = app.nested(environ("/outer"))
    assert first is last
    assert (first.path, inner.path) == ("/outer", "/inner")


def test_a_call_that_fails_closes_its_request(app, serve) -> None:
    serve(f"{NAME}:fails", kind="wsgi")
    with pytest.raises(KeyError):
        app.fails(environ())
    assert current_request() is None


def test_a_streamed_body_belongs_to_the_request(app, serve) -> None:
    serve(f"{NAME}:stream", kind="wsgi")
    first, second = list(app.stream(environ()))
    assert first is second
    assert first.path == "/cart"
    assert current_request() is None


def test_a_stream_that_is_closed_early_closes_its_request(app, serve) -> None:
    serve(f"{NAME}:stream", kind="wsgi")
    body = app.stream(environ())
    next(body)
    body.close()
    assert current_request() is None


def test_a_probe_removed_while_a_request_is_served_does_not_leave_it_open(
    app, serve, probes
) -> None:
    serve(f"{NAME}:wsgi", kind="wsgi")
    app.look = lambda: probes.clear() or current_request()
    (context,) = app.wsgi(environ(), app.start_response)
    assert context is not None
    assert current_request() is None


def refuse_to_start(status, headers, exc_info=None) -> None:
    raise OSError("the client has left")


def test_an_app_is_not_called_because_its_refusal_could_not_be_sent(
    app, serve, block, monkeypatch
) -> None:
    listed = RefusedActors()
    listed.replace(["address:10.0.0.1"])
    monkeypatch.setattr(protection, "listed", listed)
    called: list[object] = []
    app.look = lambda: called.append(current_request())
    serve(f"{NAME}:wsgi", kind="wsgi")
    block()
    with pytest.raises(OSError, match="left"):
        app.wsgi(environ(), refuse_to_start)
    assert called == []
    assert current_request() is None


@pytest.mark.parametrize("error", [None, KeyError()])
def test_an_answer_is_not_sent_because_its_refusal_could_not_be(
    app, serve, block, error
) -> None:
    def look():
        current_request().condemn("a test")
        if error is not None:
            raise error
        return b"secret"

    app.look = look
    serve(f"{NAME}:wsgi", kind="wsgi")
    block()
    with pytest.raises(OSError, match="left"):
        app.wsgi(environ(), refuse_to_start)


def test_a_head_that_the_server_refuses_is_heard_as_the_apps_own(
    app, serve, block
) -> None:
    serve(f"{NAME}:wsgi", kind="wsgi")
    block()
    with pytest.raises(OSError, match="left"):
        app.wsgi(environ(), refuse_to_start)


def test_a_condemned_request_makes_no_call_that_is_cut(app, serve, block) -> None:
    serve(f"{NAME}:wsgi", kind="wsgi")
    serve(f"{NAME}:handle", kind="cut")
    block()

    def look():
        app.look = current_request
        first = app.handle(None)
        first.condemn("a test")
        with pytest.raises(Blocked):
            app.handle(None)
        return first

    app.look = look
    app.wsgi(environ(), lambda *_: None)
    assert app.handle(None) is None


def test_messages_that_a_probe_meets_are_input(app, serve, block) -> None:
    serve(f"{NAME}:wsgi", kind="wsgi")
    serve(f"{NAME}:handle", kind="details", message="request")
    block()

    def look():
        app.look = current_request
        context = app.handle('{"a": "x\'"}')
        return inputs_of(context).named("x'").source

    app.look = look
    assert app.wsgi(environ(), lambda *_: None) == ["message"]


def test_the_first_part_of_a_body_is_made_under_protection(app, serve, block) -> None:
    serve(f"{NAME}:wsgi", kind="wsgi")
    serve(f"{NAME}:body", kind="details")
    block()
    app.look = lambda: (current_request(), threading.get_ident() in guard.busy)
    body = app.wsgi({**environ(), "lazy": True}, lambda *_: None)
    ((context, is_busy), _) = next(body), body.close()
    assert context is not None
    assert not is_busy
    assert current_request() is None


@pytest.mark.parametrize("name", ["lazy", "lazy_with_frames"])
def test_an_app_that_is_a_generator_function_has_an_edge_too(
    app, serve, block, probes, name
) -> None:
    heads: list[str] = []

    def ask(look) -> list[bytes]:
        app.look = look
        return list(getattr(app, name)(environ(), lambda s, *_: heads.append(s)))

    def attack() -> bytes:
        current_request().condemn("a test")
        return b"secret"

    code = getattr(app, name).__code__
    serve(f"{NAME}:{name}", kind="wsgi")
    block()
    assert inspect.isgeneratorfunction(getattr(app, name))
    assert ask(lambda: b"fine") == [b"fine", b"end"]
    assert b"secret" not in b"".join(ask(attack))
    assert heads == ["200 OK", "403 Forbidden"]
    assert current_request() is None
    probes.clear()
    assert getattr(app, name).__code__ is code


def test_a_listed_client_gets_no_part_of_an_app_that_is_a_generator_function(
    app, serve, block, monkeypatch
) -> None:
    listed = RefusedActors()
    listed.replace(["address:10.0.0.1"])
    monkeypatch.setattr(protection, "listed", listed)
    serve(f"{NAME}:lazy", kind="wsgi")
    block()
    app.look = pytest.fail
    heads: list[str] = []
    (page,) = app.lazy(environ(), lambda status, *_: heads.append(status))
    assert heads == ["403 Forbidden"]
    assert b"Forbidden" in page


def test_a_generator_app_that_is_cut_or_closed_ends(app, serve, block) -> None:
    serve(f"{NAME}:lazy", kind="wsgi")
    block()
    app.look = lambda: b"begun"
    parts = app.lazy(environ(), lambda *_: None)
    assert next(parts) == b"begun"
    parts.close()
    assert current_request() is None
    contexts: list[object] = []
    app.look = lambda: contexts.append(current_request()) or b"begun"
    parts = app.lazy(environ(), lambda *_: None)
    assert next(parts) == b"begun"
    contexts[0].condemn("a test")
    with pytest.raises(Blocked):
        next(parts)
    assert current_request() is None
