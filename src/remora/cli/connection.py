"""Which server the operator's commands ask, and with which token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from remora.cli.places import DEFAULT_SERVER, data_folder
from remora.errors import ConfigError, TokenRefusedError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from remora.cli.client import OperatorClient


@dataclass(frozen=True, slots=True)
class Connection:
    """A server and a token, each with where it comes from.

    `token` is empty where none was found; `token_source` then says where one was
    looked for.
    """

    server: str
    server_source: str
    token: str
    token_source: str
    ca_file: str


def find_connection(arguments: Namespace, environ: Mapping[str, str]) -> Connection:
    """Read server and token. Raises ConfigError for what cannot be used."""
    if given := arguments.server:
        server, source = str(given), "--server"
    elif given := environ.get("REMORA_SERVER"):
        server, source = given, "REMORA_SERVER"
    else:
        server, source = DEFAULT_SERVER, "default"
    if not server.startswith(("http://", "https://")):
        raise ConfigError(
            f"{source} = {server!r} is no address: write http://HOST:PORT or "
            "https://HOST"
        )
    token, token_source = _find_token(environ)
    ca_file = arguments.ca_file or environ.get("REMORA_CA_FILE", "")
    if ca_file and not Path(ca_file).is_file():
        raise ConfigError(
            f"ca_file = {ca_file!r} is no file: give one with certificates in PEM"
        )
    return Connection(server.rstrip("/"), source, token, token_source, ca_file)


def _find_token(environ: Mapping[str, str]) -> tuple[str, str]:
    if token := environ.get("REMORA_TOKEN"):
        return token.strip(), "REMORA_TOKEN"
    if path := environ.get("REMORA_TOKEN_FILE"):
        return _read_token(Path(path)), path
    path = data_folder(environ) / "operator.token"
    if not path.is_file():
        return "", f"none in REMORA_TOKEN, REMORA_TOKEN_FILE or {path}"
    return _read_token(path), str(path)


def _read_token(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the token file {str(path)!r} cannot be read: {error}"
        ) from (error)


def open_client(arguments: Namespace, environ: Mapping[str, str]) -> OperatorClient:
    """A client of the server that was asked for. Raises before any request."""
    from remora.cli.client import OperatorClient

    connection = find_connection(arguments, environ)
    if not connection.token:
        raise TokenRefusedError(
            f"no operator token ({connection.token_source}): set REMORA_TOKEN or "
            "REMORA_TOKEN_FILE; `remora serve` writes one at its first start"
        )
    if connection.token.startswith("rma_"):
        raise TokenRefusedError(
            f"the token from {connection.token_source} is an agent token (rma_…): this "
            "command needs an operator token (rmo_…)"
        )
    return OperatorClient(
        connection.server, connection.token, ca_file=connection.ca_file
    )
