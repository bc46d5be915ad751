"""TLS with an authority of our own, client certificates, and proxies."""

import select
import socket
import ssl
import threading

import pytest

from remora.agent.reporting import Client, Payload, ServerSettings, TlsFiles, Worker
from remora.agent.reporting.tls import make_tls_context
from remora.errors import ConfigError, RemoraError, ServerUnreachableError

trustme = pytest.importorskip("trustme")


class Caller:
    """A task that makes one request and keeps what came of it."""

    def __init__(self, client):
        self.client = client
        self.answer = self.error = None

    def routines(self):
        return (self.run,)

    def run(self):
        try:
            self.answer = yield from self.client.request(
                "POST", "/agent/v1/register", Payload.of(REGISTRATION)
            )
        except RemoraError as error:
            self.error = error

    def hurry(self, is_urgent):
        pass

    @property
    def is_settled(self):
        return self.answer is not None or self.error is not None

    def end(self):
        pass

    def close(self):
        self.client.close()

    def after_fork_in_child(self):
        pass


REGISTRATION = {"instance": {"id": "0" * 32, "command": "x" * 200_000}}


@pytest.fixture
def ask(heard):
    def call(url, environment=(), **files):
        settings = ServerSettings(url, "rma_test", dict(environment), TlsFiles(**files))
        caller = Caller(Client(settings, heard))
        worker = Worker(heard)
        worker.add(caller)
        worker.start()
        try:
            assert worker.flush(10)
        finally:
            worker.close(0.1)
        return caller

    return call


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


def server_context(authority, name="127.0.0.1", *, wants_client=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    if wants_client:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


def test_a_given_authority_is_trusted(make_server, authority, ca_file, ask):
    server = make_server(ssl_context=server_context(authority))
    caller = ask(server.url, ca_file=ca_file)
    assert caller.error is None
    assert caller.answer.status == 200
    assert len(server.registrations[0]["command"]) == 200_000


def test_another_authority_is_not(make_server, authority, ask):
    server = make_server(ssl_context=server_context(authority))
    caller = ask(server.url)
    assert isinstance(caller.error, ServerUnreachableError)
    assert "is not trusted" in str(caller.error)
    assert "ca_file" in str(caller.error)


def test_a_certificate_of_another_host_is_not_trusted(
    make_server, authority, ca_file, ask
):
    server = make_server(ssl_context=server_context(authority, "other.example"))
    caller = ask(server.url, ca_file=ca_file)
    assert "not trusted" in str(caller.error)
    assert "mismatch" in str(caller.error)


def test_a_client_certificate_is_shown(make_server, authority, ca_file, ask, tmp_path):
    context = server_context(authority, wants_client=True)
    server = make_server(ssl_context=context)
    assert ask(server.url, ca_file=ca_file).error is not None
    mine = authority.issue_cert("agent.example")
    mine.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    mine.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    caller = ask(
        server.url,
        ca_file=ca_file,
        client_cert=str(tmp_path / "cert.pem"),
        client_key=str(tmp_path / "key.pem"),
    )
    assert caller.error is None
    assert server.registrations


def test_https_to_a_plain_server_is_a_sentence(make_server, ask):
    caller = ask(make_server().url.replace("http:", "https:"))
    assert "no TLS connection" in str(caller.error)


@pytest.mark.parametrize("name", ["ca_file", "client_cert"])
def test_a_file_that_is_no_certificate_is_named(name, tmp_path):
    (tmp_path / "x.pem").write_text("nothing")
    for path in (str(tmp_path / "x.pem"), "/nowhere.pem"):
        with pytest.raises(ConfigError, match=f"{name} = '{path}'"):
            make_tls_context(TlsFiles(**{name: path}))


class Proxy:
    """Passes CONNECT and plain requests on, or refuses."""

    def __init__(self, refuses=False):
        self.refuses = refuses
        self.heads = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client:
            data = b""
            while b"\r\n\r\n" not in data:
                piece = client.recv(65536)
                if not piece:
                    return
                data += piece
            self.heads.append(data.partition(b"\r\n\r\n")[0].decode())
            if self.refuses:
                client.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
                return
            method, target, _ = self.heads[-1].splitlines()[0].split()
            place = target.removeprefix("http://").partition("/")[0]
            host, _, port = place.rpartition(":")
            with socket.create_connection((host, int(port)), 5) as server:
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    server.sendall(data)
                self._relay(client, server)

    def _relay(self, client, server):
        while True:
            ready, _, _ = select.select([client, server], [], [], 10)
            for end in ready:
                piece = end.recv(65536)
                if not piece:
                    return
                (server if end is client else client).sendall(piece)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def make_proxy():
    proxies = []

    def make(**options):
        proxies.append(Proxy(**options))
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()


def test_https_goes_through_a_tunnel_of_the_proxy(
    make_server, make_proxy, authority, ca_file, ask
):
    server = make_server(ssl_context=server_context(authority))
    proxy = make_proxy()
    environment = {"HTTPS_PROXY": f"http://me:secret@127.0.0.1:{proxy.port}"}
    caller = ask(server.url, environment, ca_file=ca_file)
    assert caller.error is None
    assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1")
    assert "Proxy-Authorization: Basic bWU6c2VjcmV0" in proxy.heads[0]
    assert "Bearer" not in proxy.heads[0]


def test_http_goes_through_the_proxy_with_the_whole_address(
    make_server, make_proxy, ask
):
    server, proxy = make_server(), make_proxy()
    caller = ask(server.url, {"http_proxy": f"127.0.0.1:{proxy.port}"})
    assert caller.error is None
    assert proxy.heads[0].startswith(f"POST {server.url}/agent/v1/register")
    assert ask(
        server.url,
        {"http_proxy": f"127.0.0.1:{proxy.port}", "no_proxy": "127.0.0.1"},
    ).answer
    assert len(proxy.heads) == 1


def test_a_proxy_that_refuses_is_named(make_server, make_proxy, authority, ask):
    server = make_server(ssl_context=server_context(authority))
    proxy = make_proxy(refuses=True)
    caller = ask(server.url, {"https_proxy": f"127.0.0.1:{proxy.port}"})
    assert f"proxy http://127.0.0.1:{proxy.port} refuses" in str(caller.error)
    assert "status 403" in str(caller.error)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "connection refused"),
        ("http://name.invalid", "was not resolved"),
        ("https://127.0.0.1:1", "connection refused"),
    ],
)
def test_each_failure_has_a_sentence(url, words, ask):
    caller = ask(url)
    assert isinstance(caller.error, ServerUnreachableError)
    assert words in str(caller.error)


GEVENT = """
import sys
early = sys.argv[3] == "early"
if not early:
    from gevent import monkey; monkey.patch_all()
from remora.agent.diagnostics import Diagnostics
from remora.agent.reporting import Client, Payload, ServerSettings, TlsFiles, Worker
import json
lines = []
class Log(Diagnostics):
    def say(self, message): lines.append(message)
done = []
class Task:
    is_settled = property(lambda self: bool(done))
    def routines(self): return (self.run,)
    def run(self):
        settings = ServerSettings(sys.argv[1], "rma_test", {}, TlsFiles(sys.argv[2]))
        answer = yield from Client(settings, Log("off")).request(
            "POST", "/agent/v1/register", Payload.of({"instance": {"id": "x"}}))
        done.append(answer.status)
    def hurry(self, urgent): pass
    def end(self): pass
    def close(self): pass
worker = Worker(Log("off"))
worker.add(Task())
if early:
    assert worker.flush(10), lines
    from gevent import monkey; monkey.patch_all()
    import ssl
    ssl.create_default_context()
else:
    import gevent, time
    ticks = []
    def tick():
        while not done:
            ticks.append(1); time.sleep(0.001)
    ticking = gevent.spawn(tick)
    worker.start()
    ticking.join(10)
    assert ticks
assert done == [200], (done, lines)
worker.close(0.1)
"""


@pytest.mark.parametrize("when", ["early", "late"])
def test_gevent_does_not_matter(when, make_server, authority, ca_file, tmp_path):
    import subprocess
    import sys
    from pathlib import Path

    pytest.importorskip("gevent")
    server = make_server(ssl_context=server_context(authority))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", GEVENT, server.url, ca_file, when],
        env={"PYTHONPATH": str(Path(__file__).parents[4] / "src")},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
