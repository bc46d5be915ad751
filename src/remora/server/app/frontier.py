"""The outermost layer of the application: what comes in, and every error that goes out.

This is the one place where an error becomes an answer, and the one broad except of
the server's requests.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from remora.errors import RemoraError
from remora.server.auth import PROTOCOL, Perimeter
from remora.server.domain import (
    BusyError,
    NoSuchAddressError,
    ProtocolVersionError,
    http_status,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from remora.server.config import ServerSettings
    from remora.server.operations import Counters

_LOG = logging.getLogger("remora.server")

RETRY_S = 5
"""What a 503 asks for: a restart takes a second or two."""


class Frontier:
    """Checks Host and Origin, marks answers to agents, and answers errors."""

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, counters: Counters
    ) -> None:
        self._app = app
        self._perimeter = Perimeter(settings)
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _mark(scope, MutableHeaders(scope=message))
            await send(message)

        try:
            self._perimeter.check(scope["method"], Headers(scope=scope))
            await self._app(scope, receive, send_marked)
        except ClientDisconnect:
            self._counters.errors["client-disconnect"] += 1
        except Exception as error:
            response = self._refusal(error, scope)
            if started:
                # Half an answer cannot be taken back: the connection is cut.
                raise
            await response(scope, receive, send_marked)

    def _refusal(self, error: Exception, scope: Scope) -> Response:
        if isinstance(error, RemoraError):
            self._counters.errors[error.slug] += 1
            return error_answer(error)
        self._counters.errors["internal-error"] += 1
        _LOG.error(
            "%s %s failed: this is a fault of the server",
            scope["method"],
            scope["path"],
            exc_info=error,
        )
        return _json(
            500,
            "internal-error",
            "the server failed at this request, and its log says why: please report it",
        )


def error_answer(error: RemoraError) -> Response:
    """The answer of docs/protocol.md to a request that is refused."""
    response = _json(http_status(error), error.slug, str(error), error)
    if isinstance(error, BusyError):
        response.headers["Retry-After"] = str(RETRY_S)
    return response


async def raise_unknown_address(request: Request, error: Exception) -> Response:
    """Starlette's own refusals (no such path, no such method) in our words."""
    del error
    raise NoSuchAddressError(
        f"there is nothing for {request.method} {request.url.path[:200]!r}: "
        "docs/protocol.md lists the addresses"
    )


def _mark(scope: Scope, headers: MutableHeaders) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    if scope["path"].startswith("/agent/"):
        headers["Remora-Protocol"] = str(PROTOCOL)


def _json(
    status: int, slug: str, message: str, error: RemoraError | None = None
) -> Response:
    body: dict[str, object] = {"error": slug, "message": message}
    if isinstance(error, ProtocolVersionError):
        body["supported"] = [PROTOCOL]
    return Response(msgspec.json.encode(body), status, media_type="application/json")
