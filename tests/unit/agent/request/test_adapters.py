from __future__ import annotations

import pytest

from remora.agent.request import (
    RequestContext,
    UnreadContext,
    adapters,
    expanded_request,
    from_environ,
    from_scope,
    from_values,
    known_request,
    serve_request,
    take_environ,
)
from remora.expression import MISSING

ENVIRON = {
    "REQUEST_METHOD": "POST",
    "SCRIPT_NAME": "/shop",
    "PATH_INFO": "/cart/1",
    "QUERY_STRING": "a=1&b=2&a=3&empty=",
    "REMOTE_ADDR": "10.0.0.9",
    "HTTP_X_PLAN": "free",
    "HTTP_USER_AGENT": "curl",
    "wsgi.input": object(),
}

SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/cart",
    "query_string": b"q=x%20y",
    "headers": [(b"X-Plan", b"free"), (b"accept", b"\xe9")],
    "client": ("10.0.0.8", 5000),
}


@pytest.fixture
def context() -> RequestContext:
    return RequestContext()


def test_a_wsgi_environ_gives_method_path_and_client(context) -> None:
    from_environ(context, ENVIRON)
    assert (context.method, context.path) == ("POST", "/shop/cart/1")
    assert context.client == "10.0.0.9"
    assert context.query is None
    assert context.headers is None


def test_query_and_headers_are_read_when_they_are_asked_for(context) -> None:
    from_environ(context, ENVIRON)
    serve_request(context)
    assert expanded_request() is context
    assert context.query == {"a": ["1", "3"], "b": "2", "empty": ""}
    assert context.headers == {"x-plan": "free", "user-agent": "curl"}


def test_an_asgi_scope_gives_the_same(context) -> None:
    assert from_scope(context, SCOPE)
    serve_request(context)
    expanded_request()
    assert (context.method, context.path, context.client) == (
        *("GET", "/cart", "10.0.0.8"),
    )
    assert context.query == {"q": "x y"}
    assert context.headers == {"x-plan": "free", "accept": "é"}


def test_a_lifespan_is_no_request_and_a_websocket_is_one(context) -> None:
    assert not from_scope(context, {"type": "lifespan"})
    assert not from_scope(context, None)
    assert from_scope(context, {"type": "websocket", "path": "/ws"})
    assert (context.method, context.path) == ("WEBSOCKET", "/ws")


def test_odd_values_are_left_out(context) -> None:
    from_environ(context, {"REQUEST_METHOD": 3, "PATH_INFO": None, "REMOTE_ADDR": []})
    assert (context.method, context.path, context.client) == (None, "/", None)
    from_environ(RequestContext(), "no environ")
    from_scope(context, {"type": "http", "client": [], "headers": "text"})
    serve_request(context)
    expanded_request()
    assert context.headers == {}
    assert context.query == {}


@pytest.mark.parametrize(
    ("status", "number"),
    [("404 Not Found", 404), (500, 500), ("odd", None), (None, None), (True, None)],
)
def test_a_status_is_a_number_or_a_status_line(context, status, number) -> None:
    from_values(context, {"status": status})
    assert context.status == number


def test_values_of_expressions_fill_in_what_they_know(context) -> None:
    from_values(
        context,
        {
            "method": b"GET",
            "path": "/x",
            "route": "/<name>",
            "client": 5,
            "query": "a=1",
            "headers": [("A", "b"), ("broken",), (1, 2)],
        },
    )
    assert (context.method, context.path, context.route) == ("GET", "/x", "/<name>")
    assert context.client is None
    assert (context.query, context.headers) == (None, None)
    serve_request(context)
    expanded_request()
    assert (context.query, context.headers) == ({"a": "1"}, {"a": "b"})


def test_long_texts_and_many_fields_are_cut(context) -> None:
    from_values(context, {"path": "x" * 5000, "query": "&".join(["a=1"] * 1000)})
    assert len(context.path) == 2000
    serve_request(context)
    expanded_request()
    assert len(context.query["a"]) <= 200
    from_values(RequestContext(), {"headers": [("a", "b")] * 1000})


def test_no_code_of_the_app_runs(context, exploding) -> None:
    odd = exploding()
    from_environ(context, {"REQUEST_METHOD": odd, "PATH_INFO": odd, "REMOTE_ADDR": odd})
    from_values(context, dict.fromkeys(("method", "status", "query", "headers"), odd))
    from_scope(context, {"type": "http", "client": odd, "method": odd, "headers": odd})
    serve_request(context)
    expanded_request()
    assert context.headers == {}
    from_scope(context, {"type": odd})


def opened(**said):
    """A context whose opening counts how often it is read."""
    reads = []

    def collect(*values):
        reads.append(values)
        return tuple(said.values())

    return UnreadContext((tuple(said), collect, (1, 2))), reads


def test_an_opening_is_read_when_somebody_asks_and_then_once() -> None:
    context, reads = opened(method="GET", path="/x", client="192.0.2.1", query="a=b")
    assert not reads
    assert (context.path, context.method, context.client) == ("/x", "GET", "192.0.2.1")
    assert context.raw_query == "a=b"
    assert context.raw_headers is None
    assert reads == [(1, 2)]
    assert type(context) is RequestContext


def test_what_an_opening_does_not_have_is_none() -> None:
    context, _ = opened(method=MISSING, path=7, query=MISSING)
    assert (context.method, context.path, context.raw_query) == (None, None, None)


def test_an_environ_is_above_what_the_opening_says() -> None:
    context, reads = opened(method="GET", path="/x")
    take_environ(context, {"REQUEST_METHOD": "POST", "PATH_INFO": "/y"})
    assert type(context) is UnreadContext
    assert (context.method, context.path) == ("POST", "/y")
    assert not reads


def test_what_middlewares_write_over_an_environ_is_not_its_opening() -> None:
    """A mount cuts the path, and a proxy's middleware writes another address."""
    context, _ = opened()
    environ = {"REMOTE_ADDR": "192.0.2.1", "PATH_INFO": "/shop/x' OR 1=1"}
    take_environ(context, environ)
    environ |= {"REMOTE_ADDR": "203.0.113.9", "PATH_INFO": "/"}
    assert (context.path, context.client) == ("/shop/x' OR 1=1", "192.0.2.1")


def test_a_path_with_its_query_gives_both() -> None:
    context, _ = opened(path="/x?a=b")
    assert (context.path, context.raw_query) == ("/x", "a=b")


def test_a_request_without_an_opening_is_read_from_its_environ() -> None:
    context, _ = opened()
    take_environ(context, {"REQUEST_METHOD": "POST", "PATH_INFO": "/y"})
    assert context.path == "/y"
    take_environ(context, {"REQUEST_METHOD": "PUT", "PATH_INFO": "/z"})
    assert context.path == "/z"


def test_other_names_are_no_attributes_of_an_unread_request() -> None:
    context, reads = opened(path="/x")
    with pytest.raises(AttributeError, match="colour"):
        _ = context.colour
    assert not reads


def test_an_expression_finds_an_unread_request_read() -> None:
    context, _ = opened(path="/x", query="a=b")
    serve_request(context)
    assert type(expanded_request()) is RequestContext
    assert expanded_request().query == {"a": "b"}


def test_a_record_of_an_unread_request_is_made_of_what_it_said_then() -> None:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/then"}
    context, _ = opened()
    take_environ(context, environ)
    serve_request(context)
    recorded = known_request()
    environ["PATH_INFO"] = "/later"
    assert recorded is context
    assert recorded.path == "/then"


def test_headers_are_found_where_the_environ_has_them_and_nowhere_else() -> None:
    """Where they are is remembered for the next environ with the same keys."""
    for text in ("one", "two"):
        environ = {"HTTP_X_OWN": text, "CONTENT_TYPE": "a/b", "PATH_INFO": "/"}
        assert adapters.headers_of(request_of(environ)) == [
            ("x-own", text),
            ("content-type", "a/b"),
        ]
        other = {"PATH_INFO": "/", "HTTP_X_OTHER": text, 3: "x", "HTTP_X_OWN": None}
        assert adapters.headers_of(request_of(other)) == [("x-other", text)]


def test_what_clients_call_their_headers_is_not_gathered_for_ever() -> None:
    known = vars(adapters)["_headers_in"]
    for number in range(300):
        adapters.headers_of(request_of({f"HTTP_X_{number}": "x"}))
        adapters.headers_of(request_of({f"HTTP_X_{number}" * 500: "x"}))
    assert 0 < len(known) <= 100
    assert all(len(keys) <= 4096 for keys in known)


def request_of(environ) -> RequestContext:
    context = RequestContext()
    from_environ(context, environ)
    return context
