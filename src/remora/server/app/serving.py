"""A server process: the listening socket, TLS, and an orderly end."""

from __future__ import annotations

import signal
import socket
import ssl
from typing import TYPE_CHECKING

import uvicorn

from remora.errors import ConfigError
from remora.server.app.application import create_app
from remora.server.app.directory import DataPaths, data_paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from remora.server.config import ServerSettings
    from remora.server.operations import Operations

DRAIN_S = 5
"""Time for requests under way when the server is to stop; ingest takes milliseconds."""

KEEP_ALIVE_S = 75
"""An agent that sends every few seconds keeps its connection."""

PEER_LOST_MS = 45_000
"""Three pings unanswered: the machine at the other end has gone without a word."""


def serve(
    settings: ServerSettings,
    on_ready: Callable[[str, DataPaths], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way and return.

    `on_ready` is called with the address and the files once requests are answered.
    Raises ConfigError where the address or the data directory cannot be used.
    """
    _check_certificates(settings)
    with _listen(settings) as listener:
        app = create_app(settings)
        port = listener.getsockname()[1]
        paths = data_paths(settings.data)

        def ready() -> None:
            if on_ready is not None:
                on_ready(address(settings, port), paths)

        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="on",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
            ssl_ca_certs=None
            if settings.client_ca is None
            else str(settings.client_ca),
            ssl_cert_reqs=ssl.CERT_NONE
            if settings.client_ca is None
            else ssl.CERT_REQUIRED,
        )
        _Process(config, app.state.operations, ready).run(sockets=[listener])


def address(settings: ServerSettings, port: int) -> str:
    """The URL under which a server on this machine can be reached."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    scheme = "https" if settings.tls else "http"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - the reverse of binding
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


class _Process(uvicorn.Server):
    """Uvicorn, but it ends streams when it is told to stop, and then returns.

    On its own it would wait for the streams, which never end, and afterwards raise
    the signal again, so that an orderly stop looked like a death.
    """

    def __init__(
        self, config: uvicorn.Config, operations: Operations, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._operations = operations
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._operations.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        del frame
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def _check_certificates(settings: ServerSettings) -> None:
    """Say what is wrong before anything is opened; uvicorn reads them again."""
    if settings.tls_cert is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # The empty password keeps an encrypted key from asking on the terminal.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
        if settings.client_ca is not None:
            context.load_verify_locations(settings.client_ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"tls_cert = {str(settings.tls_cert)!r}, tls_key = "
            f"{str(settings.tls_key)!r} and client_ca = {str(settings.client_ca)!r} "
            f"cannot be used together: {error}; give certificates and an unencrypted "
            "key as PEM"
        ) from error


def _listen(settings: ServerSettings) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            settings.host,
            settings.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        family, kind, protocol, _, name = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"host = {settings.host!r} is no address: {error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit these from the socket they were accepted on.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PEER_LOST_MS
            )
        listener.bind(name)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
            "choose another port, or stop what uses this one"
        ) from error
    return listener
