"""A server that agents can be tested against, and interpreters of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from remora.agent.diagnostics import Diagnostics

DEADLINE_S = 10.0
SOURCE = Path(__file__).parents[3] / "src"


def wait_until(condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    """Poll until the condition holds; fail the test when it does not in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)


class FakeServer:
    """Speaks docs/protocol.md; `faults` replace what it does at a path."""

    def __init__(self, port: int = 0, ssl_context=None) -> None:
        self.token = "rma_test"
        self.ping_s = 0.1
        self.revision = 0
        self.probes: list[dict] = []
        self.blocked: tuple[str, ...] = ()
        self.queries: list[dict] = []
        self.more: dict = {}
        self.known: set[str] = set()
        self.registrations: list[dict] = []
        self.records: list[dict] = []
        self.batches: list[dict] = []
        self.statuses: dict[str, dict] = {}
        self.status_posts: list[dict] = []
        self.answers: list[dict] = []
        self.goodbyes: list[dict] = []
        self.streams = 0
        self.polls = 0
        self.requests: list[tuple[str, str]] = []
        self.connections = 0
        self.faults: dict[str, Callable[[BaseHTTPRequestHandler], bool]] = {}
        self.changed = threading.Condition()
        self.is_stopping = False
        fake = self

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True

            def get_request(self):
                socket, peer = super().get_request()
                fake.connections += 1
                fake.sockets.append(socket)
                if ssl_context is not None:
                    socket.settimeout(5)
                return socket, peer

            def finish_request(self, request, client_address):
                if ssl_context is not None:
                    request = ssl_context.wrap_socket(request, server_side=True)
                    fake.sockets.append(request)
                super().finish_request(request, client_address)

            def handle_error(self, request, client_address):
                fake.errors += 1

        class Handler(_Handler):
            server_of_test = fake

        self.errors = 0
        self.sockets: list = []
        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.scheme = "http" if ssl_context is None else "https"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def push(self, probes: list[dict]) -> None:
        with self.changed:
            self.probes = probes
            self.revision += 1
            self.changed.notify_all()

    def ask(self, query: dict) -> None:
        with self.changed:
            self.queries.append(query)
            self.changed.notify_all()

    def stop(self) -> None:
        with self.changed:
            if self.is_stopping:
                return
            self.is_stopping = True
            self.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        for socket in self.sockets:
            try:
                socket.shutdown(2)
            except OSError:
                pass
            socket.close()
        self._thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_of_test: FakeServer
    timeout = 15

    def log_message(self, *args):
        pass

    def do_POST(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._serve()

    def do_GET(self):
        self.body = b""
        self._serve()

    def _serve(self):
        fake = self.server_of_test
        split = urlsplit(self.path)
        self.arguments = {k: v[0] for k, v in parse_qs(split.query).items()}
        name = split.path.rpartition("/")[2]
        fake.requests.append((self.command, self.path))
        if name in fake.faults and fake.faults[name](self):
            return
        if self.headers.get("Authorization") != f"Bearer {fake.token}":
            self.reply(401, {"error": "token-refused", "message": "unknown token"})
            return
        getattr(self, f"serve_{name}", self.serve_nothing)()

    def reply(self, status: int, value: object = None, **headers: str) -> None:
        data = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Remora-Protocol", "1")
        for key, text in headers.items():
            self.send_header(key.replace("_", "-"), text)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def serve_nothing(self):
        self.reply(404, {"error": "not-found", "message": "nothing here"})

    def is_known(self, instance: str) -> bool:
        if instance in self.server_of_test.known:
            return True
        self.reply(409, {"error": "unknown-instance", "message": "register first"})
        return False

    def serve_register(self):
        fake = self.server_of_test
        instance = json.loads(self.body)["instance"]
        fake.known.add(instance["id"])
        fake.registrations.append(instance)
        self.reply(
            200,
            {
                "instance": instance["id"],
                "revision": fake.revision,
                "ping_s": fake.ping_s,
            },
        )

    def serve_records(self):
        fake = self.server_of_test
        data = self.body
        if self.headers.get("Content-Encoding") == "deflate":
            data = zlib.decompress(data)
        batch = json.loads(data)
        if not self.is_known(batch["instance"]):
            return
        fake.batches.append(batch)
        fake.records.extend(batch["records"])
        self.reply(200, {"stored": len(batch["records"]), "duplicate": False})

    def serve_statuses(self):
        message = json.loads(self.body)
        if self.is_known(message["instance"]):
            self.server_of_test.status_posts.append(message)
            for status in message["statuses"]:
                self.server_of_test.statuses[status["probe"]] = status
            self.reply(204)

    def serve_answers(self):
        message = json.loads(self.body)
        if self.is_known(message["instance"]):
            self.server_of_test.answers.append(message)
            self.reply(204)

    def serve_goodbye(self):
        message = json.loads(self.body)
        if self.is_known(message["instance"]):
            self.server_of_test.goodbyes.append(message)
            self.server_of_test.known.discard(message["instance"])
            self.reply(204)

    def serve_poll(self):
        fake = self.server_of_test
        fake.polls += 1
        if not self.is_known(self.arguments["instance"]):
            return
        revision = int(self.arguments["revision"])
        with fake.changed:
            fake.changed.wait_for(
                lambda: fake.revision != revision or fake.is_stopping, 1.0
            )
            if fake.revision == revision:
                self.reply(204)
            else:
                self.reply(200, {"revision": fake.revision, "probes": fake.probes})

    def serve_stream(self):
        fake = self.server_of_test
        fake.streams += 1
        if not self.is_known(self.arguments["instance"]):
            return
        self.begin_stream()
        revision = int(self.arguments["revision"])
        while not fake.is_stopping:
            events = []
            with fake.changed:
                if fake.revision != revision:
                    revision = fake.revision
                    push = {
                        "revision": revision,
                        "probes": fake.probes,
                        "blocked": fake.blocked,
                        **fake.more,
                    }
                    events.append(f"event: push\ndata: {json.dumps(push)}\n\n")
                while fake.queries:
                    text = json.dumps(fake.queries.pop(0))
                    events.append(f"event: query\ndata: {text}\n\n")
            self.chunk("".join(events).encode() or b": ping\n\n")
            with fake.changed:
                if fake.revision == revision and not fake.queries:
                    fake.changed.wait(fake.ping_s)
        self.chunk(b"")
        self.close_connection = True

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Remora-Protocol", "1")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


@pytest.fixture
def make_server() -> Iterator[Callable[..., FakeServer]]:
    servers: list[FakeServer] = []

    def make(port: int = 0, ssl_context=None) -> FakeServer:
        server = FakeServer(port, ssl_context)
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def fake_server(make_server) -> FakeServer:
    return make_server()


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_until


class Heard(Diagnostics):
    """Diagnostics that keep their lines."""

    def __init__(self) -> None:
        super().__init__("off")
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """Runs a script in a fresh interpreter; returns what it prints."""

    def run_script(text: str, *options: str, **environment: str) -> str:
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(text))
        result = subprocess.run(
            [sys.executable, "-W", "error", *options, str(script)],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("REMORA_")},
                "PYTHONPATH": str(SOURCE),
                **environment,
            },
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout + result.stderr

    return run_script


SIGNED_ORDERS = """
import os, sys, time
import remora
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from remora.agent import agent
from remora.agent.orders import Orders
from remora.agent.request import protection
from remora.agent.runtime import originals
from remora.cli.signing import public_text, sign_all, sign_one_policy
from remora.protocol import Status, State, parse_probe
from remora.protocol.policy import parse_policy

def execute(statement):
    return statement

code = execute.__code__
key = Ed25519PrivateKey.generate()
os.environ["REMORA_PUBLIC_KEY"] = public_text(key)
options = {"records": "/dev/null", "log": "off"}

def sink(mode="block", **changes):
    protect = {"detector": "sql", "argument": "statement", "mode": mode}
    table = {"id": "p", "target": "__main__:execute", "protect": protect}
    return parse_probe(table | changes)

def signed(probe, valid_s=3600.0):
    time.sleep(0.000_002)  # numbers are microseconds
    return sign_all([probe], key, valid_s)[0]

def policy(*unsigned, valid_s=3600.0, target="__main__:*"):
    table = {"unsigned": [*unsigned], "target": target}
    return sign_one_policy(parse_policy(table), key, valid_s).to_json()

def reason():
    return remora.status()["probes"][0]["reason"]

def wall_clock(later_s):
    now = originals.time_ns() + int(later_s * 1e9)
    originals.time_ns = lambda: now
"""


@pytest.fixture
def obey(run) -> Callable[..., str]:
    """Runs a script of an app with a public key; the agent is not started yet."""
    return lambda text, **variables: run(
        SIGNED_ORDERS + textwrap.dedent(text), **variables
    )
