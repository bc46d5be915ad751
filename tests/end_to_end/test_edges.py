"""A condemned request gets a 403 on every server, whatever its app answers."""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

SITES = Path(__file__).parent / "sites"
GUNICORN = ["gunicorn", "--log-level", "critical", "--bind", "127.0.0.1:{port}"]
UVICORN = ["uvicorn", "--log-level", "critical", "--port", "{port}"]
HYPERCORN = ["hypercorn", "--log-level", "critical", "--bind", "127.0.0.1:{port}"]
HYPERCORN_WSGI = [*HYPERCORN, "wsgi:edges:application"]
GRANIAN = ["granian", "--no-log", "--port", "{port}"]
SERVERS = {
    "gunicorn sync": [*GUNICORN, "edges:application"],
    "gunicorn gthread": [*GUNICORN, "-k", "gthread", "edges:application"],
    "gunicorn gevent": [*GUNICORN, "-k", "gevent", "edges:application"],
    "gunicorn sync, lazy": [*GUNICORN, "edges_lazy:application"],
    "gunicorn gthread, lazy": [
        *GUNICORN,
        "-k",
        "gthread",
        "edges_lazy:application",
    ],
    "wsgiref": ["serve_wsgiref", "{port}"],
    "http.server": ["serve_handler", "{port}"],
    "werkzeug": ["serve_werkzeug", "{port}"],
    "gevent.pywsgi": ["serve_pywsgi", "{port}"],
    "waitress": ["waitress", "--listen=127.0.0.1:{port}", "edges:application"],
    "cheroot": ["serve_cheroot", "{port}"],
    "tornado": ["serve_tornado", "{port}"],
    "eventlet": ["serve_eventlet", "{port}"],
    "twisted": ["serve_twisted", "{port}"],
    "granian wsgi": [*GRANIAN, "--interface", "wsgi", "edges:application"],
    "granian asgi": [*GRANIAN, "--interface", "asgi", "edges_asgi:application"],
    "uwsgi, named by a probe": ["serve_uwsgi", "{port}", "edges"],
    "uwsgi, lazy": ["serve_uwsgi", "{port}", "edges_lazy"],
    "uwsgi, flask": ["serve_uwsgi", "{port}", "edges_flask"],
    "uvicorn h11": [*UVICORN, "--http", "h11", "edges_asgi:application"],
    "uvicorn httptools": [*UVICORN, "--http", "httptools", "edges_asgi:application"],
    "hypercorn": [*HYPERCORN, "edges_asgi:application"],
    "hypercorn wsgi": HYPERCORN_WSGI,
    "daphne": ["daphne", "-v", "0", "-p", "{port}", "edges_asgi:application"],
    "django wsgi": [*GUNICORN, "edges_django:application"],
    "django asgi": [*UVICORN, "edges_django:asgi_application"],
}
WRITES = [
    *("gunicorn sync", "gunicorn gthread", "gunicorn gevent", "gunicorn sync, lazy"),
    *("wsgiref", "uwsgi, named by a probe", "uwsgi, lazy", "werkzeug"),
    *("gevent.pywsgi", "waitress", "cheroot", "eventlet", "twisted"),
]
NOT_EVERYWHERE = {
    *("waitress", "serve_cheroot", "serve_tornado", "granian"),
    *("serve_eventlet", "serve_twisted", "daphne"),
}
KEEPS_CONNECTIONS = {
    *("gunicorn gthread", "gunicorn gevent", "gunicorn gthread, lazy", "hypercorn"),
    *("uvicorn h11", "uvicorn httptools", "django asgi", "gevent.pywsgi"),
    *("cheroot", "granian wsgi", "granian asgi", "hypercorn wsgi"),
    *("eventlet", "twisted", "daphne"),
}
FORM = {"content-type": "application/x-www-form-urlencoded"}


NAMED = """
[[probe]]
id = "own-app"
target = ["edges:application", "edges_lazy:application"]
request = { kind = "wsgi" }
"""
"""What an operator writes for an app that no pack knows, under a server in C."""


@pytest.fixture
def serve(needs, start, remora_argv, make_environment, until, free_port, tmp_path):
    """Starts a server with the agent; gives a client of it."""
    clients = []
    named = tmp_path / "own.toml"
    named.write_text(NAMED)

    def serve(*words, protect="off"):
        if words[0] in NOT_EVERYWHERE:
            needs(words[0].removeprefix("serve_"))
        port = free_port()
        command = [word.replace("{port}", str(port)) for word in words]
        environ = make_environment(PYTHONDONTWRITEBYTECODE="1")
        options = ["run", "--records", "/dev/null", "--protect", protect]
        headers = {}
        if words[0] == "serve_uwsgi":
            options += ["--probes", named]
            # it ends connections without a word of it
            headers["connection"] = "close"
        environ["REMORA_TRUSTED_PROXIES"] = "127.0.0.0/8"
        process = start(
            *(*remora_argv, *options, "--", sys.executable, "-m", *command),
            cwd=SITES,
            env=environ,
        )
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            trust_env=False,
            timeout=30,
            headers=headers,
        )
        clients.append(client)

        def answers():
            try:
                return client.get("/").status_code == 200
            except httpx.TransportError:
                return False

        until(answers, f"the server: {process.said()}")
        return client

    yield serve
    for client in clients:
        client.close()


@pytest.mark.parametrize("name", SERVERS)
def test_a_condemned_request_gets_a_403_and_nothing_else_suffers(serve, name):
    client = serve(*SERVERS[name])
    is_django = name.startswith("django")
    paths = ["attack", "caught", "early"] + (["caught-500"] * (not is_django))
    for path in paths:
        answer = client.get(f"/{path}", headers={"accept": "application/json"})
        assert answer.status_code == 403, path
        assert answer.json().keys() == {"error", "status", "request"}
        page = client.get(f"/{path}", headers={"accept": "text/html,*/*"})
        assert page.status_code == 403
        assert "<code>" in page.text
        assert "secret" not in answer.text + page.text
        if path == "early" and "flask" in name:
            continue  # werkzeug does not ask for the parts that HEAD leaves out
        head = client.head(f"/{path}", headers={"accept": "text/html"})
        assert (head.status_code, head.content) == (403, b"")
        assert head.headers["content-length"] == str(len(page.content))
    # what has begun is cut, unless the protocol has no way to say so (HTTP/1.0)
    if name not in {"tornado", "daphne"}:  # which tell nobody of what fails
        try:
            late = client.get("/late").content
        except httpx.RemoteProtocolError:
            late = b""
        assert b"secret" not in late
    assert client.get("/fine").text == "part 0part 1part 2"
    read = client.post("/read", content="n=x%27+OR+1", headers=FORM)
    assert read.json() == ["form", "n"]
    if name in KEEPS_CONNECTIONS:
        assert client.post("/attack", content="n=1", headers=FORM).status_code == 403
        stream = client.get("/attack").extensions["network_stream"]
        address = stream.get_extra_info("client_addr")
        after = client.get("/fine").extensions["network_stream"]
        assert after.get_extra_info("client_addr") == address


@pytest.mark.parametrize("name", WRITES)
def test_what_is_written_and_not_returned_is_refused_or_cut(serve, name):
    client = serve(*SERVERS[name])
    assert client.get("/written").text == "part 0part 1part 2"
    early = client.get("/written-early")
    assert (early.status_code, "secret" in early.text) == (403, False)
    try:
        late = client.get("/written-late").text
    except httpx.RemoteProtocolError:
        late = ""
    assert "secret" not in late
    assert client.get("/written").text == "part 0part 1part 2"


@pytest.mark.parametrize(
    "name",
    [
        *("gunicorn gthread", "gunicorn gevent", "uvicorn h11", "cheroot"),
        *("gevent.pywsgi", "granian wsgi", "granian asgi"),
    ],
)
def test_two_hundred_interleaved_users_their_tasks_and_threads_are_kept_apart(
    serve, name
):
    words = [*SERVERS[name], "--threads", "8"] if "gthread" in name else SERVERS[name]
    client = serve(*words, protect="block")

    def ask(number):
        address = f"10.0.{number // 100}.{number % 100}"
        headers = {"x-forwarded-for": f"6.6.6.6, {address}"}
        account = f"&user=u{number}" if number % 2 else ""
        said = client.get(f"/mine?q=x'{number}{account}", headers=headers).json()
        return said, f"user:u{number}" if account else f"address:{address}"

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(200)))
    for number, (said, known_as) in enumerate(answers):
        assert len(said) == 3
        for actor, texts in said:
            assert actor == known_as
            assert f"x'{number}" in texts
            own = [text for text in texts if text.lower() != f"u{number}"]
            assert all(text.lower().strip("x'\\") == str(number) for text in own)


@pytest.mark.parametrize("name", ["django wsgi", "django asgi"])
def test_for_django_a_refusal_is_an_answer_and_no_failure(serve, name):
    client = serve(*SERVERS[name])
    assert client.get("/attack").status_code == 403
    seen = client.get("/answers").json()
    assert seen["failures"] == 0
    assert 403 in seen["answers"]


@pytest.mark.parametrize("name", ["django wsgi", "django asgi"])
def test_django_names_the_account_the_route_and_its_parameters(serve, name):
    client = serve(*SERVERS[name])
    client.get("/login/7")
    said = client.get("/who/x'y").json()
    assert said == ["user:7", ["path", "name"], "who/<name>"]
    client.cookies.clear()
    assert client.get("/who/x").json()[0] == "address:127.0.0.1"


def test_http_1_0_gets_its_403_as_well(serve):
    client = serve(*SERVERS["gunicorn gthread"])
    port = client.base_url.port
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(b"GET /attack HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 403 " in head.partition(b"\r\n")[0]
    assert f"content-length: {len(body)}".encode() in head.lower()
