"""A real server process: pushes, restarts, refusals, and its end."""

import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from http.client import HTTPConnection
from pathlib import Path

import pytest

START = """
import json, sys
from pathlib import Path
from remora.server import read_settings, serve

def ready(url, paths):
    print(json.dumps({"url": url, "database": str(paths.database)}), flush=True)

serve(read_settings(json.loads(sys.argv[1])), ready)
"""
WITHIN_S = 20
PROBE = {"id": "p", "target": "shop.cart:add", "log": "added"}


class Server:
    """A server in a process of its own, on a port that the system chose."""

    def __init__(self, data: Path, **settings):
        self.data = data
        given = {"data": str(data), "port": 0, **settings}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", START, json.dumps(given)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        line = self.process.stdout.readline()
        if not line:
            said = self.process.stderr.read()
            self.kill()
            raise AssertionError(said)
        self.url = json.loads(line)["url"]
        self.port = int(self.url.rsplit(":", 1)[1])

    def token(self, kind):
        return (self.data / f"{kind}.token").read_text().strip()

    def headers(self, kind):
        marks = {"Authorization": f"Bearer {self.token(kind)}", "Remora-Protocol": "1"}
        return {**marks, "Content-Type": "application/json"}

    def call(self, method, path, body=None, *, kind="operator", headers=None):
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path,
            data,
            {**self.headers(kind), **(headers or {})},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=WITHIN_S) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def register(self, number=1, **changes):
        status, answer = self.call(
            "POST",
            "/agent/v1/register",
            {"instance": instance(number, **changes)},
            kind="agent",
        )
        assert status == 200
        return answer

    def stop(self, sent=signal.SIGTERM):
        self.process.send_signal(sent)
        try:
            status = self.process.wait(WITHIN_S)
            assert self.process.stderr.read() == ""
            return status
        finally:
            self.kill()

    def metric(self, name):
        request = urllib.request.Request(self.url + "/metrics")
        with urllib.request.urlopen(request, timeout=WITHIN_S) as response:
            lines = response.read().decode().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name))

    def kill(self):
        self.process.kill()
        self.process.wait(WITHIN_S)
        self.process.stdout.close()
        self.process.stderr.close()


class Stream:
    """An open stream of events, read by a thread into a queue."""

    def __init__(self, server, path, kind):
        self.events = queue.Queue()
        self.ended_with = ""
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._connection.request("GET", path, headers=server.headers(kind))
        self.response = self._connection.getresponse()
        assert self.response.status == 200
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        name = ""
        for raw in self.response:
            line = raw.decode().rstrip("\n")
            if line.startswith(":"):
                self.ended_with = line
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                self.events.put((name, json.loads(line[6:]), time.monotonic()))

    def next(self, timeout_s=WITHIN_S):
        return self.events.get(timeout=timeout_s)

    def ended(self):
        self._thread.join(WITHIN_S)
        return not self._thread.is_alive()

    def close(self):
        # The file of the response keeps the socket open: shut it down underneath.
        if self._connection.sock is not None:
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(WITHIN_S)
        self.response.close()
        self._connection.close()


def instance(number=1, **changes):
    return {
        "id": f"{number:032x}",
        "app": "shop",
        "env": "prod",
        "version": "1",
        "host": "web-1",
        "pid": number,
        "parent_pid": 1,
        "started": 1,
        "python": "3.11.7",
        "agent": "0.1",
        **changes,
    }


def batch(number=1, instance_number=1, **changes):
    record = {"kind": "log", "time": 1, "probe": "p", "site": "shop.cart:add"}
    return {
        "batch": f"{number:032x}",
        "instance": f"{instance_number:032x}",
        "sent": 1,
        "records": [{**record, "message": f"message {number}"}],
        "drops": {},
        **changes,
    }


@pytest.fixture
def server(tmp_path):
    running = Server(tmp_path / "data")
    yield running
    running.kill()


@pytest.fixture
def open_stream():
    streams = []

    def open_one(server, number=1, revision=0):
        path = f"/agent/v1/stream?instance={number:032x}&revision={revision}"
        streams.append(Stream(server, path, "agent"))
        return streams[-1]

    yield open_one
    for stream in streams:
        stream.close()


def test_probe_reaches_an_open_stream_within_a_second(server, open_stream):
    server.register()
    stream = open_stream(server)
    assert stream.next()[1]["probes"] == []
    sent = time.monotonic()
    assert server.call("POST", "/api/v1/probes", {"probe": PROBE})[0] == 201
    name, push, arrived = stream.next()
    assert name == "push"
    assert [probe["id"] for probe in push["probes"]] == ["p"]
    assert arrived - sent < 1
    assert server.call("DELETE", "/api/v1/probes/p")[0] == 204
    assert stream.next(1)[1]["probes"] == []


def test_probe_of_another_app_is_never_pushed(server, open_stream):
    server.register(1)
    server.register(2, app="blog")
    shop, blog = open_stream(server, 1), open_stream(server, 2)
    shop.next(), blog.next()
    for probe_id, app in (("for-blog", "blog"), ("for-shop", "shop")):
        probe = {**PROBE, "id": probe_id, "scope": {"app": app}}
        assert server.call("POST", "/api/v1/probes", {"probe": probe})[0] == 201
    assert [probe["id"] for probe in shop.next()[1]["probes"]] == ["for-shop"]
    assert [probe["id"] for probe in blog.next()[1]["probes"]] == ["for-blog"]
    assert shop.events.empty()
    assert blog.events.empty()


def test_hundred_streams_are_pushed_to_within_a_second_and_drained(server, open_stream):
    streams = []
    for number in range(1, 101):
        server.register(number)
        streams.append(open_stream(server, number))
    for stream in streams:
        stream.next()
    sent = time.monotonic()
    assert server.call("POST", "/api/v1/probes", {"probe": PROBE})[0] == 201
    latest = max(stream.next()[2] for stream in streams)
    # The budget is a second; this machine may be busy with a hundred reading threads.
    assert latest - sent < 2
    asked = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - asked < 8
    assert all(stream.ended() for stream in streams)
    assert {stream.ended_with for stream in streams} == {": the server is stopping"}


def test_restart_keeps_probes_revisions_and_tokens(tmp_path, open_stream):
    first = Server(tmp_path / "data")
    try:
        first.register()
        first.call("POST", "/api/v1/probes", {"probe": PROBE})
        push = open_stream(first).next()[1]
        assert first.stop() == 0
    finally:
        first.kill()
    second = Server(tmp_path / "data")
    try:
        stream = open_stream(second, revision=push["revision"])
        other = {**PROBE, "id": "q"}
        assert second.call("POST", "/api/v1/probes", {"probe": other})[0] == 201
        changed = stream.next()[1]
        assert [probe["id"] for probe in changed["probes"]] == ["p", "q"]
        assert changed["revision"] > push["revision"]
    finally:
        second.kill()


def test_second_server_on_the_same_directory_is_refused(server):
    with pytest.raises(AssertionError, match="another server uses"):
        Server(server.data)


def test_taken_port_is_refused_with_the_remedy(server, tmp_path):
    with pytest.raises(AssertionError, match="choose another port"):
        Server(tmp_path / "other", port=server.port)


def test_wrong_tokens_are_told_apart(server):
    refused = {"Authorization": "Bearer rmo_wrong"}
    assert server.call("GET", "/api/v1/probes", headers=refused)[0] == 401
    assert server.call("GET", "/api/v1/probes", kind="agent")[0] == 403
    body = {"instance": instance()}
    assert server.call("POST", "/agent/v1/register", body)[0] == 403
    status, answer = server.call(
        "POST", "/agent/v1/register", body, kind="agent", headers=refused
    )
    assert (status, answer["error"]) == (401, "token-refused")


def test_batch_that_comes_again_is_stored_once(server):
    server.register()
    answers = [
        server.call("POST", "/agent/v1/records", batch(), kind="agent")
        for _ in range(2)
    ]
    assert answers[0] == (200, {"stored": 1, "duplicate": False})
    assert answers[1] == (200, {"stored": 0, "duplicate": True})
    _, found = server.call("GET", "/api/v1/records")
    assert len(found["records"]) == 1


def test_bombs_are_refused_and_the_server_goes_on(server):
    server.register()
    packed = zlib.compress(b" " * (200 * 2**20), 9)
    for body, headers, status in (
        (packed, {"Content-Encoding": "deflate"}, 413),
        (b"[" * 1_000_000, {}, 400),
        (b"x" * (9 * 2**20), {}, 413),
        (b'"\\"\\"' * 1_000_000, {}, 400),
        (b"\x00", {"Content-Encoding": "deflate"}, 400),
        (b"{}", {"Content-Encoding": "br"}, 400),
    ):
        got = server.call(
            "POST", "/agent/v1/records", body, kind="agent", headers=headers
        )
        assert got[0] == status
    assert server.call("GET", "/readyz")[0] == 200


def test_operator_sees_records_as_they_arrive(server):
    server.register()
    stream = Stream(server, "/api/v1/records/stream?probe=p", "operator")
    try:
        for number, probe in ((1, "other"), (2, "p")):
            body = batch(number)
            body["records"][0]["probe"] = probe
            server.call("POST", "/agent/v1/records", body, kind="agent")
        name, record, _ = stream.next(2)
        assert (name, record["message"]) == ("record", "message 2")
        assert stream.events.empty()
    finally:
        stream.close()


def test_points_are_asked_of_a_connected_instance(server, open_stream):
    server.register()
    stream = open_stream(server)
    stream.next()
    got = []
    asking = threading.Thread(
        target=lambda: got.append(
            server.call("POST", "/api/v1/points", {"pattern": "shop.**:*"})
        )
    )
    asking.start()
    name, query, _ = stream.next()
    assert (name, query["pattern"]) == ("query", "shop.**:*")
    answer = {"points": [{"target": "shop.cart:add"}], "more": 3}
    body = {"instance": f"{1:032x}", "query": query["query"], "answer": answer}
    assert server.call("POST", "/agent/v1/answers", body, kind="agent")[0] == 204
    asking.join(WITHIN_S)
    assert got == [(200, {**answer, "instance": f"{1:032x}"})]


def test_question_that_is_open_does_not_hold_up_the_end(server, open_stream):
    server.register()
    stream = open_stream(server)
    stream.next()
    got = []
    asking = threading.Thread(
        target=lambda: got.append(
            server.call("POST", "/api/v1/points", {"pattern": "shop:*"})
        )
    )
    asking.start()
    assert stream.next()[0] == "query"
    asked = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - asked < 3
    asking.join(WITHIN_S)
    assert [(status, answer["error"]) for status, answer in got] == [
        (503, "server-busy")
    ]


def test_newer_stream_of_an_instance_ends_the_older(server, open_stream):
    server.register()
    older = open_stream(server)
    older.next()
    newer = open_stream(server)
    assert newer.next()[1]["probes"] == []
    assert older.ended()
    assert server.call("POST", "/api/v1/probes", {"probe": PROBE})[0] == 201
    assert len(newer.next()[1]["probes"]) == 1


def test_stream_whose_reader_left_is_let_go(server):
    server.register()
    agent = Stream(server, f"/agent/v1/stream?instance={1:032x}&revision=0", "agent")
    operator = Stream(server, "/api/v1/records/stream", "operator")
    agent.next()
    assert server.metric("remora_connections ") == 1
    agent.close()
    operator.close()
    deadline = time.monotonic() + WITHIN_S
    while server.metric("remora_connections ") + server.metric("remora_watchers "):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert server.stop() == 0


def test_deleted_token_ends_its_streams(tmp_path):
    server = Server(tmp_path / "data", ping="100ms")
    try:
        server.register()
        stream = Stream(
            server, f"/agent/v1/stream?instance={1:032x}&revision=0", "agent"
        )
        stream.next()
        _, listed = server.call("GET", "/api/v1/tokens")
        (token,) = [each for each in listed["tokens"] if each["kind"] == "agent"]
        assert server.call("DELETE", f"/api/v1/tokens/{token['id']}")[0] == 204
        assert stream.ended()
        assert stream.ended_with == ": ping"
        stream.close()
    finally:
        server.kill()


def test_expired_probe_is_taken_out_and_pushed(server, open_stream):
    server.register()
    stream = open_stream(server)
    stream.next()
    probe = {**PROBE, "limit": {"expires": "300ms"}}
    server.call("POST", "/api/v1/probes", {"probe": probe})
    assert len(stream.next()[1]["probes"]) == 1
    assert stream.next(3)[1]["probes"] == []
    _, audit = server.call("GET", "/api/v1/audit?limit=1")
    assert audit["entries"][0]["who"] == "expiry"
    assert audit["entries"][0]["action"] == "probe-expire"


def test_batch_under_way_at_sigterm_is_stored_and_acknowledged(server):
    server.register()
    body = json.dumps(batch()).encode()
    lines = [
        "POST /agent/v1/records HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in server.headers("agent").items()),
    ]
    with socket.create_connection(("127.0.0.1", server.port), WITHIN_S) as sending:
        sending.sendall("\r\n".join([*lines, "", ""]).encode() + body[:10])
        # Answered only after the server has read the half of the body sent before.
        assert server.call("GET", "/healthz")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline and _listens(server.port):
            time.sleep(0.02)
        sending.sendall(body[10:])
        with sending.makefile("rb") as answer:
            assert b" 200 " in answer.readline()
            assert b'"stored":1' in answer.read()
    assert server.process.wait(WITHIN_S) == 0


def _listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_interrupt_stops_as_orderly_as_sigterm(server):
    assert server.stop(signal.SIGINT) == 0


def test_certificate_that_cannot_be_used_is_refused_before_anything_is_opened(
    tmp_path,
):
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("no certificate")
    with pytest.raises(AssertionError, match="an unencrypted key as PEM"):
        Server(
            tmp_path / "data",
            tls_cert=str(tmp_path / "cert.pem"),
            tls_key=str(tmp_path / "key.pem"),
        )
    assert not (tmp_path / "data").exists()


def test_tls_with_a_client_certificate(tmp_path):
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    server = Server(
        tmp_path / "data",
        tls_cert=str(tmp_path / "cert.pem"),
        tls_key=str(tmp_path / "key.pem"),
        client_ca=str(tmp_path / "ca.pem"),
    )
    try:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            urllib.request.urlopen(
                server.url + "/healthz", timeout=WITHIN_S, context=context
            )
        context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        with urllib.request.urlopen(
            server.url + "/healthz", timeout=WITHIN_S, context=context
        ) as response:
            assert response.status == 200
        assert server.stop() == 0
    finally:
        server.kill()
