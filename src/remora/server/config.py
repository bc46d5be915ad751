"""Settings of the server, checked as a whole before anything is opened."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from remora.errors import ConfigError, ProbeError
from remora.protocol import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = 7878
"""Unassigned by IANA and unused by the common development servers."""

DEFAULT_KEEP_S = 7 * 86400.0
"""A week: last week's record is still there when somebody asks on Monday."""

DEFAULT_MAX_SIZE_BYTES = 2 * 10**9
"""About four million records of ordinary size; small beside any disk sold today."""

DEFAULT_KEEP_ATTACKS_S = 90 * 86400.0
"""A quarter: who asks what an account did mostly asks weeks later."""

ATTACKS_SHARE = 4
"""Attacks take at most this part of `max_size`, so that no attacker fills the store."""

DEFAULT_NOTIFY_EVERY_S = 300.0
"""Between two notices of one vulnerability: a scan is one event and not a thousand."""

SYSLOG_PORT = 514

DEFAULT_PING_S = 15.0
"""Below the 30 to 60 s after which proxies cut an idle connection."""


def default_data_directory() -> Path:
    """`$XDG_DATA_HOME/remora`, or `~/.local/share/remora` where that is not set."""
    home = os.environ.get("XDG_DATA_HOME", "")  # noqa: TID251 - the settings' home
    return (Path(home) if home else Path.home() / ".local" / "share") / "remora"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything `remora serve` can be told.

    `public_url` is the address under which others see the server, where that is not
    the address it binds. Raises ConfigError when the values do not fit together.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    data: Path = field(default_factory=default_data_directory)
    keep_s: float = DEFAULT_KEEP_S
    max_size_bytes: int = DEFAULT_MAX_SIZE_BYTES
    keep_attacks_s: float = DEFAULT_KEEP_ATTACKS_S
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    insecure: bool = False
    public_url: str = ""
    ping_s: float = DEFAULT_PING_S
    notify_webhook: str = ""
    notify_secret: Path | None = None
    notify_syslog: str = ""
    notify_every_s: float = DEFAULT_NOTIFY_EVERY_S

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port = {self.port} is none: write 0 to 65535")
        if self.ping_s <= 0 or self.keep_s <= 0 or self.max_size_bytes <= 0:
            raise ConfigError(
                f"ping = {self.ping_s:g} s, keep = {self.keep_s:g} s and max_size = "
                f"{self.max_size_bytes} bytes must all be above zero"
            )
        self._check_tls()
        self._check_notices()
        if self.public_url and not _is_url(self.public_url):
            raise ConfigError(
                f"public_url = {self.public_url!r} is no address: write "
                "https://HOST or http://HOST:PORT, with no path"
            )

    def _check_tls(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError(
                f"tls_cert = {_shown(self.tls_cert)} and tls_key = "
                f"{_shown(self.tls_key)} belong together: give both"
            )
        if self.client_ca is not None and self.tls_cert is None:
            raise ConfigError(
                f"client_ca = {_shown(self.client_ca)} needs TLS: give tls_cert and "
                "tls_key too"
            )
        for name in ("tls_cert", "tls_key", "client_ca", "notify_secret"):
            path: Path | None = getattr(self, name)
            if path is not None and not path.is_file():
                raise ConfigError(f"{name} = {_shown(path)} is no file that exists")
        if not (self.is_loopback or self.tls or self.insecure):
            raise ConfigError(
                f"host = {self.host!r} is reachable from other machines, and tokens "
                "would cross the network in clear text: give tls_cert and tls_key, or "
                "insecure where something else encrypts"
            )

    def _check_notices(self) -> None:
        url = urlsplit(self.notify_webhook)
        is_local = url.scheme == "http" and _is_loopback(url.hostname or "")
        if self.notify_webhook and not (
            url.hostname and (url.scheme == "https" or is_local)
        ):
            raise ConfigError(
                f"notify_webhook = {url.scheme}://{url.hostname} is no address for "
                "notices: write https://HOST/PATH; http:// only for this machine"
            )
        if self.notify_secret is not None and not self.notify_webhook:
            raise ConfigError(
                f"notify_secret = {_shown(self.notify_secret)} signs what goes to "
                "notify_webhook: give that too"
            )
        if self.notify_syslog:
            read_syslog(self.notify_syslog)

    @property
    def attacks_kept_s(self) -> float:
        """Attacks stay at least as long as other records."""
        return max(self.keep_attacks_s, self.keep_s)

    @property
    def tls(self) -> bool:
        """Whether this server itself speaks TLS."""
        return self.tls_cert is not None

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can connect."""
        return _is_loopback(self.host)

    @property
    def seen_over_tls(self) -> bool:
        """Whether browsers reach it by https: here, or at a proxy before it."""
        return self.tls or self.public_url.startswith("https://")


def read_settings(given: Mapping[str, object]) -> ServerSettings:
    """Settings from texts as a command line, an environment or a TOML table has them.

    Keys are the fields' names, with `keep` ("7d") and `max_size` ("2GB"); a value of
    None counts as not given. Raises ConfigError with the key and the remedy.
    """
    fields: dict[str, object] = {}
    for name, value in given.items():
        if name not in _READERS:
            raise ConfigError(
                f"{name!r} is no setting of the server; it has "
                + ", ".join(sorted(_READERS))
            )
        if value is not None:
            key, read = _READERS[name]
            try:
                fields[key] = read(value, name)
            except ProbeError as error:
                raise ConfigError(str(error)) from None
    return ServerSettings(**fields)  # pyright: ignore[reportArgumentType] - each reader makes its field's type


def read_syslog(text: str) -> tuple[str, str, int]:
    """Transport, host and port of `udp://HOST[:PORT]`. Raises ConfigError."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port or SYSLOG_PORT
    except ValueError:
        host, port, parts = "", 0, urlsplit("")
    if parts.scheme not in {"udp", "tcp"} or not host or parts.path not in {"", "/"}:
        raise ConfigError(
            f"notify_syslog = {text!r} is no address: write udp://HOST:PORT or "
            "tcp://HOST:PORT"
        )
    return parts.scheme, host, port


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(path: Path | None) -> str:
    return "(not given)" if path is None else repr(str(path))


def _is_url(text: str) -> bool:
    parts = urlsplit(text)
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and parts.path in {"", "/"}
        and not parts.query
    )


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 500:
        raise ConfigError(f"{name} = {value!r} is no text of 1 to 500 characters")
    return value


def _path(value: object, name: str) -> Path:
    return value if isinstance(value, Path) else Path(_text(value, name)).expanduser()


def _port(value: object, name: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ConfigError(f"{name} = {value!r} is no port: write 0 to 65535")


def _flag(value: object, name: str) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "0": False,
        "false": False,
        "no": False,
    }
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ConfigError(f"{name} = {value!r} is neither true nor false")


_READERS = {
    "host": ("host", _text),
    "port": ("port", _port),
    "data": ("data", _path),
    "keep": ("keep_s", parse_duration),
    "max_size": ("max_size_bytes", parse_size),
    "keep_attacks": ("keep_attacks_s", parse_duration),
    "tls_cert": ("tls_cert", _path),
    "tls_key": ("tls_key", _path),
    "client_ca": ("client_ca", _path),
    "insecure": ("insecure", _flag),
    "public_url": ("public_url", _text),
    "ping": ("ping_s", parse_duration),
    "notify_webhook": ("notify_webhook", _text),
    "notify_secret": ("notify_secret", _path),
    "notify_syslog": ("notify_syslog", _text),
    "notify_every": ("notify_every_s", parse_duration),
}
