"""The ways that a notice can leave by: a webhook, and syslog."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import socket
import ssl
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import httpx
import msgspec

from remora.errors import ConfigError
from remora.server.config import read_syslog
from remora.server.domain import SECOND_NS, now_ns
from remora.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from remora.server.config import ServerSettings
    from remora.server.domain import Notice

ANSWER_S = 10.0
"""What a receiver may take to answer: they store and return, or they hang."""

SECRET_BYTES = 4096

_TOO_SLOW = f"it took longer than {ANSWER_S:g} s"


class Channel(Protocol):
    """One way; `to` names its other end, with nothing in it that is secret."""

    name: str
    to: str

    async def send(self, notice: Notice) -> str:
        """Why the notice did not arrive; empty where it did."""
        ...


def open_channels(settings: ServerSettings) -> list[Channel]:
    """The ways that the settings name. Raises ConfigError."""
    channels: list[Channel] = []
    if settings.notify_webhook:
        secret = settings.notify_secret
        key = b"" if secret is None else _read_secret(secret)
        channels.append(Webhook(settings.notify_webhook, key))
    if settings.notify_syslog:
        channels.append(Syslog(*read_syslog(settings.notify_syslog)))
    return channels


class Webhook:
    """Posts JSON. With a secret, the receiver can tell that it comes from us."""

    name = "webhook"

    def __init__(self, url: str, secret: bytes) -> None:
        parts = urlsplit(url)
        # The path of such an address is often all that guards it.
        self.to = f"{parts.scheme}://{parts.hostname}"
        self._url = url
        self._secret = secret
        # A proxy cannot reach this machine's loopback, whatever is set.
        self._is_local = parts.scheme == "http"
        # The system's authorities, as everywhere else; httpx brings its own.
        self._tls = ssl.create_default_context()

    async def send(self, notice: Notice) -> str:
        """Post the notice; anything but a status of 2xx is a failure."""
        body = msgspec.json.encode(notice.to_json())
        try:
            async with (
                asyncio.timeout(ANSWER_S),
                httpx.AsyncClient(
                    timeout=ANSWER_S, verify=self._tls, trust_env=not self._is_local
                ) as client,
                # The head is all that is read: a body may have no end.
                client.stream(
                    "POST", self._url, content=body, headers=self._headers(body)
                ) as answer,
            ):
                return "" if answer.is_success else f"it answered {answer.status_code}"
        except TimeoutError:
            return _TOO_SLOW
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return f"{type(error).__name__}: {str(error) or 'no answer'}"[:300]

    def _headers(self, body: bytes) -> dict[str, str]:
        moment = str(now_ns() // SECOND_NS)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"remora/{__version__}",
            "Remora-Timestamp": moment,
        }
        if self._secret:
            signed = moment.encode() + b"." + body
            digest = hmac.new(self._secret, signed, hashlib.sha256).hexdigest()
            headers["Remora-Signature"] = f"sha256={digest}"
        return headers


class Syslog:
    """Sends messages of RFC 5424, over UDP or with the octet counts of RFC 6587."""

    name = "syslog"

    def __init__(self, transport: str, host: str, port: int) -> None:
        self.to = f"{transport}://{host}:{port}"
        self._is_stream = transport == "tcp"
        self._address = host, port

    async def send(self, notice: Notice) -> str:
        """Send the notice; over UDP nobody says whether it arrived."""
        message = notice.syslog(socket.gethostname(), os.getpid())
        try:
            async with asyncio.timeout(ANSWER_S):
                if self._is_stream:
                    await self._send_counted(message)
                else:
                    await self._send_datagram(message)
        except TimeoutError:
            return _TOO_SLOW
        except OSError as error:
            return f"{type(error).__name__}: {error}"[:300]
        return ""

    async def _send_counted(self, message: bytes) -> None:
        _, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(b"%d %s" % (len(message), message))
            await writer.drain()
        finally:
            writer.close()
            await writer.wait_closed()

    async def _send_datagram(self, message: bytes) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=self._address
        )
        try:
            transport.sendto(message)
        finally:
            transport.close()


def _read_secret(path: Path) -> bytes:
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"notify_secret = {str(path)!r} cannot be read: {error.strerror}"
        ) from error
    if not 0 < len(secret) <= SECRET_BYTES:
        raise ConfigError(
            f"notify_secret = {str(path)!r} has {len(secret)} bytes: write 1 to "
            f"{SECRET_BYTES}"
        )
    return secret
