"""Live records: shown as they come, and the probe of `--tail` taken away at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from remora.boot import BOOT_FOLDER
from remora.errors import TokenRefusedError

TOKEN = "rmo_" + "t" * 43
SOURCE = str(Path(BOOT_FOLDER).parents[2])
ADD = ("probe", "add", "shop.billing:charge", "--id", "c", "--log", "x", "--tail")
RECORD = {
    "kind": "log",
    "time": 1_700_000_000_123_000_000,
    "probe": "c",
    "site": "shop.billing:charge",
    "instance": "3fa2b1c0" + "0" * 24,
}


def record(number: int, message: str, **more: object) -> dict:
    return {**RECORD, "id": number, "message": message, **more}


def wait_until(condition, what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


@pytest.fixture
def start(server, tmp_path):
    """Starts a command as a process of its own; killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(*argv: str, **more) -> subprocess.Popen[str]:
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": SOURCE,
            "REMORA_TOKEN": TOKEN,
            "REMORA_SERVER": server.url,
            "TZ": "UTC",
            "PYTHONUTF8": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "remora", *argv],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate(timeout=30)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_probe_is_taken_away_whatever_ends_the_tail(server, start, ending):
    process = start(*ADD)
    wait_until(lambda: server.streams, "the stream")
    server.records.put(record(1, "charged 12"))
    lines = [process.stdout.readline() for _ in range(3)]
    assert lines[2] == "22:13:20.123  shop 4711  c  charged 12\n"
    process.send_signal(ending)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "removed c\n", "")
    assert server.probes == {}


def test_records_of_the_time_before_the_stream_are_asked_for(server, start):
    start(*ADD)
    wait_until(lambda: server.streams, "the stream")
    assert server.streams[0] == {"probe": "c", "after": "0"}


def test_the_probe_is_taken_away_when_the_reader_of_the_pipe_goes(server, start):
    process = start(*ADD)
    wait_until(lambda: server.streams, "the stream")
    process.stdout.close()
    process.stdout = None
    server.records.put(record(1, "x" * 100))
    wait_until(lambda: not server.probes, "the removal")
    process.wait(timeout=30)


def test_a_broken_stream_is_taken_up_after_the_last_record(server, start):
    process = start("tail", "--json")
    wait_until(lambda: server.streams, "the stream")
    server.records.put(record(7, "one"))
    server.records.put(None)
    wait_until(lambda: len(server.streams) > 1, "the second stream")
    assert server.streams[1] == {"after": "7"}
    server.records.put(record(8, "two\u2028and \x85 more"))
    shown = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert [entry["id"] for entry in shown] == [7, 8]
    assert shown[1]["message"] == "two\u2028and \x85 more"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.count("trying again") == 1


def test_other_probes_records_are_left_out(server, start):
    server.probes.update({"a": {"id": "a"}, "b": {"id": "b"}})
    process = start("tail", "a", "b", "--json")
    wait_until(lambda: server.streams, "the stream")
    for number, probe in enumerate(("a", "other", "b")):
        server.records.put(record(number, "m", probe=probe))
    shown = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert [entry["probe"] for entry in shown] == ["a", "b"]


def test_a_tail_ends_when_its_probe_is_gone(server, start):
    process = start(*ADD)
    wait_until(lambda: server.streams, "the stream")
    server.probes.clear()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "c: expired or removed\n")
    assert out.endswith("c is gone already\n")


def test_tailing_an_unknown_probe_is_refused(operator):
    ran = operator("tail", "nope")
    assert (ran.status, ran.err) == (1, "remora: error: there is no probe 'nope'\n")


def test_a_terminal_gets_an_aggregate_that_refreshes_in_place(server, start):
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    environ_width = {"COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-m", "remora", "tail"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": SOURCE,
            "REMORA_TOKEN": TOKEN,
            "REMORA_SERVER": server.url,
            "TERM": "xterm-256color",
            "PYTHONUTF8": "1",
            **environ_width,
        },
        stdout=follower,
        stderr=follower,
        stdin=subprocess.DEVNULL,
    )
    os.close(follower)
    try:
        wait_until(lambda: server.streams, "the stream")
        for number in (1, 2):
            row = {"key": ["[red]free\x1b[5m"], "count": 20 + number}
            aggregate = record(number, "", kind="aggregate", by=["plan"], rows=[row])
            server.records.put(aggregate)
        seen = b""
        deadline = time.monotonic() + 20
        while b"43" not in seen and time.monotonic() < deadline:
            seen += os.read(leader, 65536)
        text = seen.decode("utf-8", "replace")
        assert "[red]free\\x1b[5m" in text
        assert "43" in text
        assert "\x1b[5m" not in text
    finally:
        process.terminate()
        process.wait(timeout=30)
        os.close(leader)


def test_a_stream_cut_off_and_a_server_that_is_still_starting_heal():
    import httpx

    from remora.cli.client import OperatorClient

    class Cut(httpx.SyncByteStream):
        def __iter__(self):
            yield b'event: record\nid: 5\ndata: {"id": 5}\n\n'
            raise httpx.RemoteProtocolError("incomplete chunked read")

    def stream(body):
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, stream=body)

    busy = {"error": "server-busy", "message": "the server is stopping"}
    answers = iter([stream(Cut()), httpx.Response(503, json=busy), stream(Cut()), None])
    asked: list[str] = []

    def answer(request):
        asked.append(request.url.params.get("after"))
        return next(answers) or httpx.Response(
            401, json={"error": "token-refused", "message": "gone"}
        )

    breaks: list[str] = []
    records: list[object] = []
    with OperatorClient(
        "http://127.0.0.1:1", TOKEN, transport=httpx.MockTransport(answer)
    ) as client:
        with pytest.raises(TokenRefusedError):
            for entry in client.stream_records({}, on_break=breaks.append):
                records.append(entry)
    assert [entry["id"] for entry in records if entry] == [5, 5]
    assert asked == [None, "5", "5", "5"]
    assert len(breaks) == 2


def test_a_server_that_stays_away_ends_the_tail_with_a_sentence(monkeypatch):
    import httpx

    from remora.cli import client as module
    from remora.errors import ServerUnreachableError

    answers = iter([httpx.Response(200, headers={"content-type": "text/event-stream"})])

    def answer(request):
        try:
            return next(answers)
        except StopIteration:
            raise httpx.ConnectError("refused") from None

    monkeypatch.setattr(module, "RECONNECT_S", 0.1)
    transport = httpx.MockTransport(answer)
    breaks: list[str] = []
    with module.OperatorClient(
        "http://127.0.0.1:1", TOKEN, transport=transport
    ) as client:
        with pytest.raises(ServerUnreachableError, match="did not come back"):
            list(client.stream_records({}, on_break=breaks.append))
    assert breaks == ["the server ended the stream"]
