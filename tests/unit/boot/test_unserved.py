"""Telling the server of a process that cannot be served."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from remora.agent.config import read_settings
from remora.boot import Interpreter, register_unserved
from remora.errors import ServerUnreachableError
from remora.protocol import parse_instance

OLD = Interpreter("/usr/bin/python2.7", "cpython", "2.7.18")


class Registration(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers, json.loads(body)))
        self.send_response(self.server.answer)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    server = HTTPServer(("127.0.0.1", 0), Registration)
    server.seen = []
    server.answer = 200
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def settings_for(server, **more):
    return read_settings(
        {"server": f"http://127.0.0.1:{server.server_port}", "token": "rma_t", **more},
        {},
    )


def test_the_instance_says_who_it_is_and_why_it_is_not_served(server):
    register_unserved(settings_for(server), OLD, ["python2.7", "-u", "/srv/app.py"])
    path, headers, body = server.seen[0]
    assert path == "/agent/v1/register"
    assert headers["Authorization"] == "Bearer rma_t"
    assert headers["Remora-Protocol"] == "1"
    instance = parse_instance(body["instance"])
    assert (instance.role, instance.app, instance.python) == (
        "unserved",
        "app",
        "CPython 2.7.18",
    )
    assert "needs CPython 3.11" in instance.note


@pytest.mark.parametrize(
    ("command", "app"),
    [
        (["python2.7", "-m", "shop.web", "x"], "shop.web"),
        (["python2.7", "-c", "pass"], "python2.7"),
        (["/usr/bin/serve"], "serve"),
    ],
)
def test_the_app_is_called_after_its_program(server, command, app):
    register_unserved(settings_for(server), OLD, command)
    assert server.seen[0][2]["instance"]["app"] == app


def test_a_proxy_is_not_asked_for_the_loopback(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    register_unserved(settings_for(server), OLD, ["python2.7"])
    assert len(server.seen) == 1


def test_a_given_name_of_the_app_stays(server):
    register_unserved(settings_for(server, app="shop"), OLD, ["python2.7"])
    assert server.seen[0][2]["instance"]["app"] == "shop"


def test_a_refusal_names_the_status_and_the_token(server):
    server.answer = 401
    with pytest.raises(ServerUnreachableError, match=r"answered 401.*REMORA_TOKEN"):
        register_unserved(settings_for(server), OLD, ["python2.7"])


def test_a_server_that_is_not_there_is_named():
    settings = read_settings({"server": "http://127.0.0.1:9"}, {})
    with pytest.raises(ServerUnreachableError, match=r"127\.0\.0\.1:9 did not answer"):
        register_unserved(settings, OLD, ["python2.7"])
