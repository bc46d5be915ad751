"""The pack of URL sinks on real clients: the server inside is never asked."""

import asyncio
import ftplib
import gc
import http.client
import http.server
import imaplib
import smtplib
import socket
import ssl
import threading
import urllib.request
import xmlrpc.client

import aiohttp
import anyio
import httpx
import pytest
import websockets
import yarl

# Libraries leave a socket to the collector when a call of theirs ends by an exception.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)


@pytest.fixture(autouse=True)
def collected():
    """Here, and not in a test of another module."""
    yield
    gc.collect()


INSIDE, ALLOWED = "127.0.0.2", "127.0.0.1"


class Answer(http.server.BaseHTTPRequestHandler):
    """Counts who asks; the server of the outside leads on to the one inside."""

    def do_GET(self):
        self.server.asked += 1
        if self.path == "/on":
            self.send_response(302)
            self.send_header("Location", f"http://{INSIDE}:{self.server.inner}/")
            self.send_header("Content-Length", "0")
        else:
            self.send_response(200)
            self.send_header("Content-Length", "6")
        self.end_headers()
        if self.path != "/on":
            self.wfile.write(b"inside")

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def servers():
    made = [
        http.server.ThreadingHTTPServer((host, 0), Answer) for host in (ALLOWED, INSIDE)
    ]
    threads = [
        threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.02})
        for each in made
    ]
    for thread in threads:
        thread.start()
    yield made
    for each, thread in zip(made, threads, strict=True):
        each.shutdown()
        each.server_close()
        thread.join(20)


@pytest.fixture
def outside(servers):
    servers[0].inner = servers[1].server_port
    servers[0].asked = 0
    return servers[0]


@pytest.fixture
def inside(servers):
    servers[1].asked = 0
    return servers[1]


def by_urllib(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()


def by_own_opener(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url), timeout=20) as answer:
        return answer.read()


def by_requests(url):
    return pytest.importorskip("requests").get(url, timeout=20).text


def by_requests_session(url):
    with pytest.importorskip("requests").Session() as session:
        return session.request("POST", url, timeout=20).text


def by_urllib3(url):
    return pytest.importorskip("urllib3").PoolManager().request("GET", url).data


def by_httpx(url):
    return httpx.get(url, follow_redirects=True).text


def by_httpx_url(url):
    with httpx.Client(follow_redirects=True) as client:
        return client.get(httpx.URL(url)).text


async def by_httpx_async(url):
    async with httpx.AsyncClient(follow_redirects=True) as client:
        return (await client.get(url)).text


async def by_aiohttp(url):
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.text()


async def by_aiohttp_url(url):
    async with aiohttp.ClientSession() as session:
        return await (await session.get(yarl.URL(url))).text()


def by_built_httpx_request(url):
    with httpx.Client() as client:
        return client.send(httpx.Request("GET", url)).text


def by_httpx_stream(url):
    with httpx.stream("GET", url) as answer:
        return answer.read()


def by_httpx_base(url):
    with httpx.Client(base_url=url) as client:
        return client.get("/x").text


def by_httpx_proxy(url):
    return httpx.get("http://public.example/", proxy=url).text


def by_requests_proxy(url):
    requests = pytest.importorskip("requests")
    return requests.get("http://public.example/", proxies={"http": url}, timeout=20)


def by_urllib3_pool(url):
    urllib3 = pytest.importorskip("urllib3")
    return urllib3.connection_from_url(url).request("GET", "/", retries=False).data


async def by_aiohttp_base(url):
    async with aiohttp.ClientSession(base_url=url) as session:
        return await (await session.get("/x")).text()


async def by_aiohttp_socket(url):
    async with aiohttp.ClientSession() as session:
        await session.ws_connect(url)


async def by_websockets(url):
    async with websockets.connect(url.replace("http", "ws")):
        pass


def by_xmlrpc(url):
    xmlrpc.client.ServerProxy(url).anything()


FOLLOWING = [
    by_urllib, by_own_opener, by_requests, by_requests_session, by_urllib3, by_httpx,
    by_httpx_url, by_httpx_async, by_aiohttp, by_aiohttp_url,
]  # fmt: skip
CLIENTS = [
    *FOLLOWING, by_built_httpx_request, by_httpx_stream, by_httpx_base, by_httpx_proxy,
    by_requests_proxy, by_urllib3_pool, by_aiohttp_base, by_aiohttp_socket,
    by_websockets, by_xmlrpc,
]  # fmt: skip


def at_once(client):
    """The call of a client, in a loop of its own where it is a coroutine's."""
    if not asyncio.iscoroutinefunction(client):
        return client
    return lambda url: asyncio.run(client(url))


def name_of(function):
    return function.__name__


@pytest.mark.parametrize("client", CLIENTS, ids=name_of)
def test_no_client_is_led_inside(client, guard, is_stopped, inside):
    guard("url")
    call, url = at_once(client), f"http://{INSIDE}:{inside.server_port}/"
    assert is_stopped(call, url)
    assert inside.asked == 0
    other = url.replace(INSIDE, "public.example")
    assert not is_stopped(lambda _: call(url), "127", back=other)
    assert inside.asked == 1


@pytest.mark.parametrize("client", FOLLOWING, ids=name_of)
def test_the_app_s_own_address_and_the_site_s_are_no_attack(
    client, guard, serving, inside
):
    """The port is another, or it is what a browser says of where it comes from."""
    guard("url")
    port = inside.server_port
    request = serving("10", back=f"http://{INSIDE}:{port + 1}/cart", q="0")
    request.source["HTTP_REFERER"] = f"http://{INSIDE}:{port}/cart"
    assert at_once(client)(f"http://{INSIDE}:{port}/") in {"inside", b"inside"}
    assert not request.condemned


@pytest.mark.parametrize("client", FOLLOWING, ids=name_of)
def test_a_chosen_host_leads_no_client_inside(
    client, guard, is_stopped, serving, inside, outside
):
    guard("url", allowed=[ALLOWED])
    call, url = at_once(client), f"http://{ALLOWED}:{outside.server_port}/on"
    assert is_stopped(call, url)
    assert (outside.asked, inside.asked) == (1, 0)
    # the very same where the app has chosen the host
    serving("nothing")
    assert call(url) in {"inside", b"inside"}


def with_socket(host, port):
    with socket.socket() as made:
        made.settimeout(20)
        made.connect((host, port))


def with_error_number(host, port):
    with socket.socket() as made:
        made.settimeout(20)
        assert made.connect_ex((host, port)) == 0


def with_datagram(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"x", (host, port))


def with_datagram_and_flags(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"x", 0, (host, port))


def with_message(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendmsg([b"x"], [], 0, (host, port))


def with_http_client(host, port):
    connection = http.client.HTTPConnection(host, port, timeout=20)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    finally:
        connection.close()


def with_tunnel(host, port):
    connection = http.client.HTTPConnection(host, port, timeout=20)
    connection.set_tunnel("public.example", 80)
    try:
        connection.connect()
    finally:
        connection.close()


async def with_streams(host, port):
    _, writer = await asyncio.open_connection(host, port)
    writer.close()


async def with_loop(host, port):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
    transport.close()


async def with_own_socket(host, port):
    with socket.socket() as made:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (host, port))


async def with_datagrams(host, port):
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(host, port)
    )
    transport.close()


async def with_anyio(host, port):
    async with await anyio.connect_tcp(host, port):
        pass


def with_created(host, port):
    socket.create_connection((host, port), 20).close()


def with_certificate(host, port):
    ssl.get_server_certificate((host, port), timeout=20)


CONNECTING = [
    with_socket, with_error_number, with_datagram, with_datagram_and_flags,
    with_message, with_http_client, with_tunnel, with_streams, with_loop,
    with_own_socket, with_datagrams, with_anyio, with_created, with_certificate,
    lambda host, port: socket.getaddrinfo(host, port),
    lambda host, port: socket.gethostbyname(host),
    lambda host, port: ftplib.FTP().connect(host, port, timeout=20),
    lambda host, port: smtplib.SMTP(timeout=20).connect(host, port),
    lambda host, port: imaplib.IMAP4(host, port, timeout=20),
]  # fmt: skip


@pytest.mark.parametrize("connect", CONNECTING, ids=name_of)
def test_a_host_of_the_request_is_not_connected_to(connect, guard, is_stopped, inside):
    guard("url")

    def call(host):
        made = connect(host, inside.server_port)
        return asyncio.run(made) if asyncio.iscoroutine(made) else made

    assert is_stopped(call, INSIDE)
    assert inside.asked == 0
    if connect in CONNECTING[:5]:
        # what stands in it by chance
        assert not is_stopped(lambda _: call(INSIDE), "27")


def test_a_name_that_came_to_lead_inside_is_found_where_it_is_looked_up(
    guard, is_stopped, inside, monkeypatch
):
    answer = (2, 1, 6, "", (INSIDE, inside.server_port))
    monkeypatch.setattr(socket._socket, "getaddrinfo", lambda *_, **__: [answer])
    guard("url")
    name = "rebound.example"
    assert is_stopped(by_urllib, f"http://{name}:{inside.server_port}/")
    assert is_stopped(lambda host: with_created(host, inside.server_port), name)
    url = f"http://{name}:{inside.server_port}/"
    assert is_stopped(by_built_httpx_request, url)
    assert not is_stopped(lambda _: by_built_httpx_request(url), "rebound")
    assert inside.asked == 1


@pytest.mark.parametrize("host", ["0", "0.0.0.0", "[::ffff:7f00:2]", "127.2"])
def test_short_ways_to_write_this_machine_are_found_in_a_template(
    host, guard, is_stopped, inside
):
    guard("url")
    assert is_stopped(
        lambda text: by_urllib(f"http://{text}:{inside.server_port}/"), host
    )
