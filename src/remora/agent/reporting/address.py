"""Where the server is, and the way there: address, proxy, exceptions from the proxy.

Not covered: proxies that are reached by https, networks in NO_PROXY (10.0.0.0/8), and
proxy scripts.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

from remora.errors import ConfigError
from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:(?P<user>[^/@\s]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
    r"(?::(?P<port>\d{1,5}))?"
    r"(?P<path>/[^\s?#]*)?\Z"
)
_PORTS = {"http": 80, "https": 443}


@frozen
class Address:
    """A parsed http or https address. `user` is `name:password` where it was given."""

    scheme: str
    host: str
    port: int
    path: str = ""
    user: str = ""

    @property
    def authority(self) -> str:
        """Host and port for a `Host` header: the port only where it is unusual."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def endpoint(self) -> str:
        """Host and port, always both."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


@frozen
class Route:
    """The server's address, and the proxy that leads there or None."""

    server: Address
    proxy: Address | None = None

    def proxy_headers(self) -> list[tuple[str, str]]:
        """What the proxy wants to know of us."""
        if self.proxy is None or not self.proxy.user:
            return []
        coded = binascii.b2a_base64(self.proxy.user.encode(), newline=False)
        return [("Proxy-Authorization", f"Basic {coded.decode()}")]


def parse_address(text: str, setting: str = "server") -> Address:
    """Read an address. Raises ConfigError."""
    match = _URL.match(text.strip())
    port = int(match["port"]) if match is not None and match["port"] else 0
    if match is None or port > 65535:
        raise ConfigError(
            f"{setting} = {_without_user(text)!r} is no address: write "
            "http://HOST:PORT or https://HOST"
        )
    return Address(
        scheme=match["scheme"],
        host=match["host"].strip("[]"),
        port=port or _PORTS[match["scheme"]],
        path=(match["path"] or "").rstrip("/"),
        user=_unquote(match["user"] or ""),
    )


def choose_route(server: str, environment: Mapping[str, str]) -> Route:
    """The way to the server by HTTPS_PROXY, HTTP_PROXY and NO_PROXY."""
    address = parse_address(server)
    name = f"{address.scheme}_proxy"
    text = environment.get(name) or ""
    # A CGI program gets the client's header `Proxy` as HTTP_PROXY ("httpoxy").
    if not text and not (name == "http_proxy" and "REQUEST_METHOD" in environment):
        text = environment.get(name.upper()) or ""
    if not text or _is_excepted(address, environment):
        return Route(address)
    proxy = parse_address(text if "://" in text else f"http://{text}", name.upper())
    if proxy.scheme != "http":
        raise ConfigError(
            f"{name.upper()} = {_without_user(text)!r} is an https proxy, which is not "
            "supported: write http://HOST:PORT, or add the server to NO_PROXY"
        )
    return Route(address, proxy)


def _is_excepted(address: Address, environment: Mapping[str, str]) -> bool:
    text = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    host = address.host.lower()
    for entry in text.lower().split(","):
        name, _, port = entry.strip().rpartition(":")
        if not (name and port.isdigit() and "]" not in port and ":" not in name):
            name, port = entry.strip(), ""
        name = name.strip("[]").lstrip(".")
        if not name or (port and int(port) != address.port):
            continue
        if name in {"*", host} or host.endswith(f".{name}"):
            return True
    return False


def _unquote(text: str) -> str:
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), text)


def _without_user(text: str) -> str:
    """An address for a message: a proxy's password does not belong in a log."""
    return re.sub(r"//[^/@]*@", "//", text)
