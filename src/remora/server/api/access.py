"""The operators' endpoints for tokens, the audit table and themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from remora.errors import WireError
from remora.server.api.answers import answer, no_content, number_parameter
from remora.server.api.bodies import read_message
from remora.server.api.messages import TokenMessage
from remora.server.auth import PROTOCOL
from remora.server.domain import Access, TokenKind
from remora.version import __version__

if TYPE_CHECKING:
    from starlette.requests import Request

    from remora.server.operations import Operations

AUDIT_PAGE = 100
"""Entries of an answer, where the request does not say."""

AUDIT_HIGHEST = 1000
"""Entries of an answer at most."""


class AccessApi:
    """Tokens, audit, whoami. Each method is one line of docs/protocol.md's table."""

    def __init__(self, operations: Operations) -> None:
        self._guard = operations.guard
        self._credentials = operations.credentials
        self._audit = operations.store.access.audit

    def routes(self) -> list[Route]:
        """The paths and methods."""
        return [
            Route("/api/v1/tokens", self.listing, methods=["GET"]),
            Route("/api/v1/tokens", self.add, methods=["POST"]),
            Route("/api/v1/tokens/{id}", self.remove, methods=["DELETE"]),
            Route("/api/v1/audit", self.audit, methods=["GET"]),
            Route("/api/v1/whoami", self.whoami, methods=["GET"]),
        ]

    async def listing(self, request: Request) -> Response:
        """Every token, without its text."""
        self._guard.operator(request)
        tokens = [token.to_json() for token in self._credentials.tokens]
        return answer({"tokens": tokens})

    async def add(self, request: Request) -> Response:
        """Make a token, and show it this once."""
        caller = self._guard.operator(request)
        message = await read_message(request, TokenMessage)
        kind = TokenKind(message.kind)
        if message.app and kind is not TokenKind.AGENT:
            raise WireError(
                f"app = {message.app!r} binds agents' tokens only: leave it out, or "
                "make a token of kind 'agent'"
            )
        token, text = await self._credentials.add(
            kind,
            message.name,
            caller.name,
            app=message.app,
            access=Access(message.access),
        )
        return answer({**token.to_json(), "token": text}, 201)

    async def remove(self, request: Request) -> Response:
        """Make a token worthless at once."""
        caller = self._guard.operator(request)
        await self._credentials.remove(request.path_params["id"], caller.name)
        return no_content()

    async def audit(self, request: Request) -> Response:
        """The newest changes."""
        self._guard.operator(request)
        limit = number_parameter(request, "limit", AUDIT_PAGE, highest=AUDIT_HIGHEST)
        entries = await self._audit(limit or AUDIT_PAGE)
        return answer({"entries": [entry.to_json() for entry in entries]})

    async def whoami(self, request: Request) -> Response:
        """Who the caller is to this server."""
        caller = self._guard.operator(request)
        return answer(
            {
                "name": caller.name,
                "kind": caller.token.kind.value,
                "access": caller.token.access.value,
                "version": __version__,
                "protocol": PROTOCOL,
            }
        )
