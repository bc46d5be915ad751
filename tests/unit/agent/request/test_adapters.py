from __future__ import annotations

import pytest

from remora.agent.request import (
    RequestContext,
    expanded_request,
    from_environ,
    from_scope,
    from_values,
    serve_request,
)

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
