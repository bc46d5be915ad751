"""How an agent gets to its server: certificates, tunnels and tokens."""

import select
import socket
import ssl
import threading

import httpx
import pytest
import trustme

ELSEWHERE = "remora.test"
"""A name that nobody resolves: only the proxy knows the way."""


class Proxy:
    """Answers CONNECT with a tunnel to one port of this machine."""

    def __init__(self, port):
        self.asked = []
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        self._sockets = []

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._tunnel, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _tunnel(self, client):
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            self._sockets += [client, server]
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.asked.append(head.split(b"\r\n")[0].decode())
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            ends = {client: server, server: client}
            try:
                while True:
                    for end in select.select(list(ends), [], [], 60)[0]:
                        data = end.recv(65536)
                        if not data:
                            return
                        ends[end].sendall(data)
            except OSError:
                return

    def close(self):
        for end in [self._listener, *self._sockets]:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def authority(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
def ca_file(authority, tmp_path):
    return tmp_path / "ca.pem"


@pytest.fixture
def certificate(authority, tmp_path):
    """Writes a certificate for some names; returns its two files."""

    def issue(name, *names):
        made = authority.issue_cert(*names)
        chain, key = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(str(key))
        return chain, key

    return issue


@pytest.fixture
def client_files(certificate):
    return certificate("client", "agent@example.org")


@pytest.fixture
def tls_server(make_server, certificate, ca_file):
    """A server that speaks TLS and wants to see a certificate."""
    chain, key = certificate("server", "127.0.0.1", ELSEWHERE)
    return make_server(
        *("--tls-cert", chain, "--tls-key", key, "--client-ca", ca_file),
        scheme="https",
    ).start()


@pytest.fixture
def tls_operator(tls_server, make_operator, ca_file, client_files):
    context = ssl.create_default_context(cafile=str(ca_file))
    context.load_cert_chain(*map(str, client_files))
    return make_operator(tls_server, verify=context)


@pytest.fixture
def tls_options(tls_server, ca_file, client_files):
    chain, key = client_files

    def options(app, **settings):
        files = {"ca_file": ca_file, "client_cert": chain, "client_key": key}
        return tls_server.options(app, **files, **settings)

    return options


@pytest.fixture
def proxy(tls_server):
    made = Proxy(tls_server.port)
    yield made
    made.close()


def test_an_agent_shows_its_certificate_and_trusts_the_given_authority(
    tls_operator, tls_options, start_child
):
    child = start_child(tls_options("shop"), "def work(): pass")
    tls_operator.connected("shop")
    tls_operator.add(id="p", target="__main__:work", log="worked")
    tls_operator.reached("p", "installed")
    child.ask("work()")
    assert len(tls_operator.arrived("p")) == 1


def test_without_the_authority_the_app_runs_and_one_line_tells(
    tls_server, start_child, until
):
    child = start_child(tls_server.options("shop"))
    until(child.process.said, "the agent to say why")
    assert child.ask("1 + 1") == 2
    assert "ca_file" in child.process.said() or "CA_FILE" in child.process.said()


def test_without_its_certificate_an_agent_is_not_let_in(
    tls_server, tls_operator, start_child, until, ca_file
):
    child = start_child(tls_server.options("shop", ca_file=ca_file))
    until(child.process.said, "the agent to say why")
    assert child.ask("1 + 1") == 2
    assert tls_operator.instances(app="shop") == []


def test_the_way_leads_through_a_proxy_where_one_is_set(
    tls_server, tls_operator, tls_options, start_child, proxy
):
    elsewhere = f"https://{ELSEWHERE}:{tls_server.port}"
    child = start_child(
        tls_options("shop", server=elsewhere),
        "def work(): pass",
        HTTPS_PROXY=proxy.url,
        NO_PROXY="127.0.0.1,localhost",
    )
    tls_operator.connected("shop")
    tls_operator.add(id="p", target="__main__:work", log="worked")
    tls_operator.reached("p", "installed")
    child.ask("work()")
    tls_operator.arrived("p")
    assert set(proxy.asked) == {f"CONNECT {ELSEWHERE}:{tls_server.port} HTTP/1.1"}


def test_what_no_proxy_names_is_reached_directly(
    tls_operator, tls_options, start_child, proxy
):
    start_child(
        tls_options("shop"), HTTPS_PROXY=proxy.url, NO_PROXY="example.org,127.0.0.1"
    )
    tls_operator.connected("shop")
    assert proxy.asked == []


def test_with_a_wrong_token_the_app_serves_and_one_sentence_tells(
    server, serve_site, tmp_path, until
):
    token_file = tmp_path / "wrong.token"
    token_file.write_text("rma_" + "x" * 43)
    site = serve_site(server.options("shop", token_file=token_file), workers=1)
    until(site.process.said, "the agent to say why")
    answer = httpx.get(f"{site.url}/price/4", trust_env=False)
    assert answer.json() == 8
    (line,) = site.process.said().splitlines()
    assert line.startswith(f"remora[{site.pids()[0]}]: ")
    assert "token" in line
    assert token_file.read_text() not in line


def test_an_agents_token_is_refused_where_an_operators_is_needed(
    server, remora_command
):
    shown = remora_command(
        "ps", REMORA_SERVER=server.url, REMORA_TOKEN=server.token("agent")
    )
    assert shown.returncode == 1
    assert "operator" in shown.stderr
    assert shown.stderr.count("\n") == 1
