"""Every way in which a server cannot be asked is one sentence with value and remedy."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from remora.cli.client import OperatorClient
from remora.errors import ServerUnreachableError


def sentence(ran) -> str:
    assert ran.status == 1
    assert ran.out == ""
    assert ran.err.startswith("remora: error: ")
    assert ran.err.count("\n") == 1
    return ran.err


def test_no_server_names_the_address_and_how_to_start_one(command, monkeypatch):
    monkeypatch.setenv("REMORA_TOKEN", "rmo_x")
    said = sentence(command("ps", "--server", "http://127.0.0.1:9"))
    assert "no server answers at http://127.0.0.1:9" in said
    assert "`remora serve` or set --server" in said


@pytest.mark.parametrize("option", ["--wait", "--tail"])
def test_a_probe_that_never_left_is_not_taken_back(command, monkeypatch, option):
    monkeypatch.setenv("REMORA_TOKEN", "rmo_x")
    monkeypatch.setenv("REMORA_SERVER", "http://127.0.0.1:9")
    sentence(command("probe", "add", "a:b", "--log", "x", option))


def test_no_token_says_where_it_was_looked_for(command, tmp_path):
    said = sentence(command("ps"))
    assert str(tmp_path / "data" / "remora" / "operator.token") in said
    assert "REMORA_TOKEN" in said


def test_the_token_of_this_machines_server_is_found(command, server, tmp_path):
    folder = tmp_path / "data" / "remora"
    folder.mkdir(parents=True)
    (folder / "operator.token").write_text("rmo_" + "t" * 43 + "\n")
    assert command("ps", "--server", server.url).status == 0


def test_an_agents_token_is_refused_before_any_request(operator, server, monkeypatch):
    monkeypatch.setenv("REMORA_TOKEN", "rma_x")
    said = sentence(operator("ps"))
    assert "REMORA_TOKEN is an agent token" in said
    assert "needs an operator token" in said
    assert server.asked == []


def test_an_unknown_token_says_which_kind_is_needed(operator, monkeypatch):
    monkeypatch.setenv("REMORA_TOKEN", "rmo_other")
    said = sentence(operator("ps"))
    assert "this token is not known" in said
    assert "valid operator token" in said


def test_a_read_only_token_says_that_full_access_is_needed(operator, server):
    server.forced = (403, "token-refused", "this token may only read")
    said = sentence(operator("token", "revoke", "x"))
    assert "operator token with full access" in said


@pytest.mark.parametrize("address", ["shop:7878", "ftp://x", "//x"])
def test_an_address_that_is_none_is_refused(operator, address):
    assert f"--server = {address!r} is no address" in sentence(
        operator("ps", "--server", address)
    )


def test_a_token_file_that_is_missing_is_named(command, monkeypatch):
    monkeypatch.setenv("REMORA_TOKEN_FILE", "/nowhere/token")
    assert "'/nowhere/token' cannot be read" in sentence(command("ps"))


def test_a_ca_file_that_is_missing_is_named(operator):
    assert "ca_file = '/nowhere' is no file" in sentence(
        operator("ps", "--ca-file", "/nowhere")
    )


def answer_once(listener, reply):
    peer, _ = listener.accept()
    with peer:
        peer.recv(65536)
        peer.sendall(reply)


@pytest.mark.parametrize(
    "reply", [b"", b"\x15\x03\x01\x00\x02\x02\x28", b"SSH-2.0\r\n"]
)
def test_what_speaks_no_http_is_no_remora_server(command, monkeypatch, reply):
    monkeypatch.setenv("REMORA_TOKEN", "rmo_x")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(
            target=answer_once, args=(listener, reply), daemon=True
        )
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        said = sentence(command("ps", "--server", url))
        thread.join(10)
    assert f"{url} broke off" in said
    assert "https://" in said


def test_a_certificate_of_a_stranger_asks_for_the_authority():
    error = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")

    def fail(request):
        raise error

    transport = httpx.MockTransport(fail)
    with OperatorClient("https://x", "rmo_x", transport=transport) as client:
        with pytest.raises(ServerUnreachableError, match="--ca-file"):
            client.whoami()


class Stranger(BaseHTTPRequestHandler):
    body = b"<html>"
    status = 200

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (404, b"not here"),
        (200, b"[1]"),
        (404, b'{"detail": "Not Found"}'),
        (302, b""),
        (500, b"\xff"),
    ],
)
def test_a_server_that_is_no_remora_is_recognised(command, monkeypatch, status, body):
    monkeypatch.setenv("REMORA_TOKEN", "rmo_x")
    handler = type("Handler", (Stranger,), {"status": status, "body": body})
    with HTTPServer(("127.0.0.1", 0), handler) as stranger:
        thread = threading.Thread(target=stranger.handle_request, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{stranger.server_port}"
        said = sentence(command("ps", "--server", url))
        thread.join(10)
    assert f"{url} is no remora server" in said


def test_an_answer_of_other_types_breaks_nothing(operator, server):
    server.instances[:] = [{"app": 5, "pid": None, "started": "x", "note": [1]}, 7]
    assert operator("ps").status == 0
    server.instances.clear()
    server.probes["x"] = {"id": 3, "target": None, "scope": [], "snapshot": {}}
    assert operator("probe", "list").status == 0
    assert operator("probe", "show", "x").status == 0


def test_a_loopback_server_is_asked_without_a_proxy(operator, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert operator("ps").status == 0


def test_config_names_the_source_of_everything_and_hides_the_token(operator, server):
    ran = operator("config", "--json")
    operator_rows = {row["name"]: row for row in json.loads(ran.out)["operator"]}
    assert operator_rows["server"]["source"] == "REMORA_SERVER"
    assert operator_rows["token"]["value"] == "(set)"
    assert operator_rows["token"]["source"] == "REMORA_TOKEN"
    assert "rmo_" not in ran.out
    assert server.asked == []
