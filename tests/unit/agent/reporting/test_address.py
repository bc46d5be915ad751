import pytest

from remora.agent.reporting.address import choose_route, parse_address
from remora.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "endpoint", "shown"),
    [
        ("http://localhost", "localhost:80", "http://localhost"),
        ("https://remora.internal/", "remora.internal:443", "https://remora.internal"),
        ("http://10.0.0.1:8400/x/", "10.0.0.1:8400", "http://10.0.0.1:8400/x"),
        ("https://[::1]:8443", "[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_addresses(text, endpoint, shown):
    address = parse_address(text)
    assert address.endpoint == endpoint
    assert str(address) == shown


@pytest.mark.parametrize(
    "text", ["", "ftp://x", "http://", "http://x:99999", "http://a b", "http://x?y"]
)
def test_no_addresses(text):
    with pytest.raises(ConfigError, match="write http"):
        parse_address(text)


def test_the_password_of_a_proxy_is_not_in_the_message():
    with pytest.raises(ConfigError) as caught:
        choose_route("http://x", {"http_proxy": "https://me:secret@proxy:1"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("server", "environment", "proxy"),
    [
        ("https://s", {}, None),
        ("https://s", {"HTTPS_PROXY": "http://p:3128"}, "p:3128"),
        ("https://s", {"https_proxy": "p:3128"}, "p:3128"),
        ("https://s", {"HTTP_PROXY": "http://p:3128"}, None),
        ("http://s", {"HTTP_PROXY": "http://p:3128"}, "p:3128"),
        ("http://s", {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None),
        ("https://s", {"HTTPS_PROXY": "p:1", "NO_PROXY": "*"}, None),
        ("https://a.in", {"HTTPS_PROXY": "p:1", "NO_PROXY": "x, .in"}, None),
        ("https://a.in", {"HTTPS_PROXY": "p:1", "NO_PROXY": "in"}, None),
        ("https://ain", {"HTTPS_PROXY": "p:1", "NO_PROXY": "in"}, "p:1"),
        ("https://s:8443", {"HTTPS_PROXY": "p:1", "no_proxy": "s:443"}, "p:1"),
        ("https://s:443", {"HTTPS_PROXY": "p:1", "no_proxy": "s:443"}, None),
        ("https://[::1]", {"HTTPS_PROXY": "p:1", "no_proxy": "::1"}, None),
    ],
)
def test_the_way_there(server, environment, proxy):
    route = choose_route(server, environment)
    assert (route.proxy.endpoint if route.proxy else None) == proxy


def test_a_proxy_is_told_who_we_are():
    route = choose_route("http://s", {"http_proxy": "http://me:p%40ss@proxy:1"})
    assert route.proxy_headers() == [("Proxy-Authorization", "Basic bWU6cEBzcw==")]
