"""A small fake of the operator endpoints, and commands run against it."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from remora.__main__ import main

TOKEN = "rmo_" + "t" * 43
INSTANCE = {
    "id": "3fa2b1c0" + "0" * 24,
    "app": "shop",
    "env": "prod",
    "version": "4.2",
    "host": "web-1",
    "pid": 4711,
    "parent_pid": 1,
    "started": 1_700_000_000_000_000_000,
    "python": "3.12.1",
    "agent": "0.1.0",
    "role": "serving",
    "note": "",
    "state": "connected",
    "probes": 1,
}


class FakeServer(ThreadingHTTPServer):
    """What the fake knows, and what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FakeHandler)
        self.asked: list[tuple[str, str, object]] = []
        self.instances: list[dict] = [dict(INSTANCE)]
        self.probes: dict[str, dict] = {}
        self.state = "installed"
        self.reason = ""
        self.records: queue.Queue = queue.Queue()
        self.streams: list[dict] = []
        self.answers: dict[str, object] = {}
        self.forced: tuple[int, str, str] | None = None
        self.deaf = 0
        self.more: dict = {}
        self.absences: dict = {}
        self.kept: list[dict] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def entry(self, probe_id: str) -> dict:
        return {
            "probe": self.probes[probe_id],
            "created": 1_700_000_000_000_000_000,
            "created_by": "alice",
            "expires_at": 1_700_003_600_000_000_000,
            "instances": {self.state: 1},
            "firings": 3,
            "records": 2,
        }

    def status(self, probe_id: str) -> dict:
        return {
            "probe": probe_id,
            "state": self.state,
            "reason": self.reason,
            "sites": [
                {
                    "site": "shop.billing:charge",
                    "kind": "function",
                    "mechanism": "codeswap",
                    "why": "",
                    "file": "/srv/shop/billing.py",
                    "line": 12,
                }
            ],
            "site_count": 1,
            "firings": 3,
            "suppressed": 1,
            "errors": 0,
            "dropped": 0,
            "last_error": "",
            **self.more,
        }


class FakeHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeServer

    def answer(self, status: int, body: object = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: int, slug: str, message: str) -> None:
        self.answer(status, {"error": slug, "message": message})

    def take(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        parts = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        self.server.asked.append((self.command, parts.path, body or query))
        if self.server.forced is not None:
            self.refuse(*self.server.forced)
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.refuse(401, "token-refused", "this token is not known")
        else:
            self.route(parts.path.removeprefix("/api/v1/"), query, body)

    do_GET = do_POST = do_PUT = do_DELETE = take

    def route(self, path: str, query: dict, body: dict | None) -> None:
        name, _, rest = path.partition("/")
        if path == "records/stream":
            self.stream(query)
        elif path == "records":
            end = int(query.get("before", len(self.server.kept)))
            found = self.server.kept[:end][::-1][: int(query["limit"])]
            more = {"next": found[-1]["id"]} if found else {}
            self.answer(200, {"records": found, **more})
        elif f"{self.command} {path}" in self.server.answers:
            self.answer(200, self.server.answers[f"{self.command} {path}"])
        elif path == "instances":
            self.answer(200, {"instances": self.server.instances})
        elif path == "points":
            point = {
                "target": "shop.billing:charge",
                "kind": "function",
                "file": "/srv/shop/billing.py",
                "line": 12,
                "note": "",
            }
            self.answer(200, {"points": [point], "instance": "x", "more": 4})
        elif path == "tokens" and body:
            self.answer(201, {"id": "t2", "token": "rma_" + "n" * 43, **body})
        elif path == "tokens":
            token = {"id": "t1", "kind": "agent", "name": "ci", "app": "shop"}
            self.answer(200, {"tokens": [token | {"created": 0}]})
        elif name == "tokens":
            self.answer(204)
        else:
            self.probes(rest, body)

    def probes(self, rest: str, body: dict | None) -> None:
        known = self.server.probes
        if body is not None:
            source = body["probe"]
            if self.command == "POST" and source["id"] in known:
                message = (
                    f"there is a probe {source['id']!r} already: choose another id"
                )
                self.refuse(409, "duplicate-probe", message)
                return
            known[source["id"]] = source
            self.answer(201, {"probe": source, "instances": len(self.server.instances)})
        elif not rest:
            listed = [self.server.entry(i) for i in known]
            self.answer(200, {"probes": listed, "kept": self.server.kept})
        elif rest not in known:
            self.refuse(404, "unknown-probe", f"there is no probe {rest!r}")
        elif self.command == "DELETE":
            del known[rest]
            self.answer(204)
        else:
            answer = self.server.entry(rest)
            statuses = [
                {"instance": instance, "status": self.server.status(rest)}
                for instance in self.server.instances
            ]
            self.answer(200, {**answer, "statuses": statuses, **self.server.absences})

    def stream(self, query: dict) -> None:
        self.server.streams.append(query)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                record = self.server.records.get(timeout=0.2)
            except queue.Empty:
                self.wfile.write(b": ping\n\n")
                continue
            if record is None:
                self.close_connection = True
                return
            data = json.dumps(record, ensure_ascii=False)
            event = f"event: record\nid: {record['id']}\ndata: {data}\n\n"
            self.wfile.write(event.encode("utf-8", "surrogatepass"))

    def log_message(self, *arguments) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


@pytest.fixture
def server(tmp_path):
    """The fake, serving; ended with the test."""
    server = FakeServer()
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    yield server
    server.records.put(None)
    server.shutdown()
    server.server_close()
    thread.join(5)


@dataclass
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str
    lines: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = self.out.splitlines()


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Runs a command in this process, in an environment without settings."""
    for name in [name for name in os.environ if name.startswith("REMORA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()

    def run(*argv: str) -> Ran:
        try:
            status = main(argv)
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capsys.readouterr()
        return Ran(status, out, err)

    yield run
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def operator(command, server, monkeypatch):
    """Runs a command that knows the fake and its token."""
    monkeypatch.setenv("REMORA_TOKEN", TOKEN)
    monkeypatch.setenv("REMORA_SERVER", server.url)
    return command
