"""TLS between two memory buffers, by `_ssl` and not by the module `ssl`.

Importing `ssl` costs 40 ms of CPU in the app's process and makes a later
`gevent.monkey.patch_all()` warn or recurse. A client context of `_ssl` checks
certificate and host name by default, in OpenSSL. `_ssl` has no public types, so what we
use of it is written down here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from remora.errors import ConfigError
from remora.values import frozen

if TYPE_CHECKING:
    from _ssl import MemoryBIO
    from collections.abc import Callable

    from remora.agent.reporting.address import Address

_CERT_REQUIRED = 2


@frozen
class TlsFiles:
    """Paths in PEM: authorities (empty: the system's), own certificate, its key."""

    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""


class TlsChannel(Protocol):
    """What we use of `_ssl._SSLSocket`, which has no public type."""

    def do_handshake(self) -> None:
        """Begin or continue the handshake."""
        ...

    def read(self, size: int, /) -> bytes:
        """Deciphered bytes; empty at the end."""
        ...

    def write(self, data: bytes, /) -> int:
        """Encipher bytes."""
        ...


class TlsContext(Protocol):
    """What we use of `_ssl._SSLContext`, which has no public type."""

    check_hostname: bool
    verify_mode: int

    def load_verify_locations(self, cafile: str) -> None:
        """Trust these authorities."""
        ...

    def set_default_verify_paths(self) -> None:
        """Trust the system's authorities."""
        ...

    def load_cert_chain(
        self, certfile: str, keyfile: str | None, password: Callable[[], str], /
    ) -> None:
        """Present this certificate."""
        ...

    def _wrap_bio(
        self,
        incoming: MemoryBIO,
        outgoing: MemoryBIO,
        *,
        server_side: bool,
        server_hostname: str,
    ) -> TlsChannel: ...


class Tls:
    """One connection's TLS: a pure transformation between two buffers."""

    __slots__ = ("channel", "incoming", "outgoing", "server")

    def __init__(
        self,
        incoming: MemoryBIO,
        outgoing: MemoryBIO,
        context: TlsContext,
        server: Address,
    ) -> None:
        self.incoming = incoming
        self.outgoing = outgoing
        self.server = server
        self.channel = context._wrap_bio(  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the C module's name for it
            incoming, outgoing, server_side=False, server_hostname=server.host
        )


def make_tls_context(files: TlsFiles) -> TlsContext:
    """Make a client context that checks certificate and name. Raises ConfigError."""
    import _ssl

    made: object = _ssl._SSLContext(_ssl.PROTOCOL_TLS_CLIENT)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - see the top
    context = cast("TlsContext", made)
    assert context.check_hostname
    assert context.verify_mode == _CERT_REQUIRED
    name, path = "ca_file", files.ca_file
    try:
        if files.ca_file:
            context.load_verify_locations(cafile=files.ca_file)
        else:
            context.set_default_verify_paths()
        name, path = "client_cert", files.client_cert
        if files.client_cert:
            # Without a callback OpenSSL would ask for a password on the terminal.
            context.load_cert_chain(
                files.client_cert, files.client_key or None, lambda: ""
            )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{name} = {path!r} cannot be used: {error}; give a readable PEM file"
        ) from None
    return context


def explain_tls(error: OSError, server: Address) -> str:
    """Say what failed and, for a certificate, what to do."""
    verify = getattr(error, "verify_message", "")
    if verify:
        return (
            f"the certificate of {server} is not trusted: {verify}; give its authority "
            "as ca_file (REMORA_CA_FILE)"
        )
    reason = getattr(error, "reason", None)
    if reason is None:
        return "the connection was closed by the server"
    return f"no TLS connection to {server}: {reason}"
