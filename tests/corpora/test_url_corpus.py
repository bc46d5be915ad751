"""URLs judged by the server that a request on loopback really reaches."""

import http.server
import threading
import urllib.error
import urllib.request

import pytest

from remora.detection import Finding, Input, Inputs, url

HOSTS = [
    "127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1",
    "localhost",
    "LOCALHOST", "127.0.0.1.", "0", "127.9.9.9",
]  # fmt: skip


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"inside")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def port():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    other = http.server.ThreadingHTTPServer(("127.9.9.9", server.server_port), Answer)
    threads = [
        threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.05})
        for each in (server, other)
    ]
    for thread in threads:
        thread.start()
    yield server.server_port
    for each, thread in zip((server, other), threads, strict=True):
        each.shutdown()
        each.server_close()
        thread.join(20)


def judged(argument, text, **settings):
    return url.judge(argument, Inputs([Input(text, "query", "x")]), **settings)


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_reaches_this_machine_is_found(port, host):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    address = f"http://{host}:{port}/"
    try:
        with opener.open(address, timeout=20) as answer:
            reached = answer.read() == b"inside"
    except urllib.error.URLError:
        reached = False  # a resolver that reads fewer forms
    if host in {"0", "127.0.0.1", "localhost"}:
        assert reached
    assert isinstance(judged(address, host), Finding)
    assert isinstance(judged(address, address), Finding)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("http://{x}/", "169.254.169.254"),
        ("http://{x}/", "[::ffff:10.0.0.1]"),
        ("http://{x}/", "[::1]"),
        ("http://{x}/", "metadata.google.internal"),
        ("http://{x}/", "\u2460\u2461\u2466.0.0.1"),
        ("https://api.example.com{x}", "@evil.example/"),
        ("https://api.example.com{x}", ".evil.example/"),
        ("https://{x}.example.com/", "evil.example/"),
        ("{x}", "file:///etc/passwd"),
        ("{x}", "gopher://example.com/_x"),
        ("{x}", "http://good.example@evil.example/"),
        ("{x}", "http://evil.example\\@good.example/"),
    ],
)
def test_an_input_that_decides_where_to_is_found(template, text):
    assert isinstance(judged(template.replace("{x}", text), text), Finding)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{x}", "https://example.com/hook?mail=a@b.example"),
        ("https://api.example.com/items/{x}", "127.0.0.1"),
        ("https://api.example.com/?next={x}", "http://127.0.0.1/"),
        ("https://api.example.com{x}", "/v1/items"),
        ("https://{x}.example.com/", "shop"),
        ("https://api.example.com:{x}/", "8443"),
        ("{x}", "http://8.8.8.8/"),
        ("http://127.0.0.1:5000/{x}", "items/7"),
        ("http://{x}.shop.internal/", "orders"),
    ],
)
def test_an_input_that_stays_in_its_part_is_passed(template, text):
    assert judged(template.replace("{x}", text), text) is None


@pytest.mark.parametrize("text", ["10", "0", "5:80", "10.0", "internal", "db"])
def test_an_input_that_the_app_s_own_address_holds_is_passed(text):
    for address in ("http://10.0.0.5:8000/", "http://db.internal:8000/"):
        assert judged(address, text) is None
    for host in ("10.0.0.5", "db.internal"):
        assert url.judge_host(host, Inputs([Input(text, "query", "x")])) is None


def test_names_are_judged_by_the_addresses_that_they_resolved_to():
    address = "http://rebind.example/"
    assert judged(address, address, addresses=["93.184.216.34"]) is None
    assert isinstance(judged(address, address, addresses=["10.0.0.9"]), Finding)


def test_what_is_allowed_may_be_chosen():
    address = "http://10.1.2.3/"
    assert isinstance(judged(address, address), Finding)
    for allowed in (["10.1.0.0/16"], ["10.1.2.3"]):
        assert judged(address, address, allowed=allowed) is None
    name = "http://a.corp.internal/"
    assert judged(name, name, allowed=["*.corp.internal"]) is None
