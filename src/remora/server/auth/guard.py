"""Who is behind a request, and whether they may do what it asks.

An `Authorization` header always wins over a cookie: a program says who it is, and a
page of another site cannot make a browser send that header unasked.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from remora.server.domain import (
    PREFIXES,
    Caller,
    CsrfRefusedError,
    ProtocolVersionError,
    TokenForbiddenError,
    TokenKind,
    TokenMissingError,
    same_digest,
)

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

    from remora.server.auth.credentials import Credentials
    from remora.server.config import ServerSettings

PROTOCOL = 1
"""The version of docs/protocol.md that this server speaks."""

CSRF_HEADER = "X-CSRF-Token"

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class Guard:
    """Answers who a caller is, or raises the error that the caller is to see."""

    def __init__(self, settings: ServerSettings, credentials: Credentials) -> None:
        self._settings = settings
        self._credentials = credentials
        # Browsers accept a __Host- cookie only over TLS, and never from a subdomain.
        prefix = "__Host-" if settings.seen_over_tls else ""
        self._cookie = f"{prefix}remora_session"

    def agent(self, request: HTTPConnection) -> Caller:
        """The agent that sends `request`, in a version of the wire that we speak."""
        version = request.headers.get("Remora-Protocol", "")
        if version != str(PROTOCOL):
            raise ProtocolVersionError(
                f"the agent speaks version {version[:20]!r} of the wire, this server "
                f"speaks {PROTOCOL}: bring the older of the two up to date"
            )
        caller = self._by_bearer(request)
        if caller is None:
            raise TokenMissingError(
                "the request carries no token: set REMORA_TOKEN or REMORA_TOKEN_FILE "
                "to an agent's token"
            )
        if caller.token.kind is not TokenKind.AGENT:
            raise TokenForbiddenError(
                f"{caller.name!r} is an operator's token: agents need one that starts "
                f"with {PREFIXES['agent']}"
            )
        return caller

    def operator(self, request: Request) -> Caller:
        """The operator that sends `request`; a change needs full access.

        A change by cookie needs the CSRF token in the header; pages whose forms send
        it in a field call `reader` and `check_csrf`.
        """
        caller = self.reader(request)
        if request.method not in _SAFE_METHODS:
            self.check_write(caller)
            if caller.by_cookie:
                self.check_csrf(request, request.headers.get(CSRF_HEADER, ""))
        return caller

    def reader(self, request: HTTPConnection) -> Caller:
        """The operator that sends `request`, with no look at what it does."""
        caller = self._by_bearer(request)
        if caller is None and (session_id := self.session_id(request)):
            caller = self._credentials.by_session(session_id)
        if caller is None:
            raise TokenMissingError(
                "the request carries no operator's token: take the one in "
                "operator.token in the server's data directory"
            )
        if caller.token.kind is not TokenKind.OPERATOR:
            raise TokenForbiddenError(
                f"{caller.name!r} is an agent's token: this needs an operator's, which "
                f"starts with {PREFIXES['operator']}"
            )
        return caller

    def monitor(self, request: HTTPConnection) -> None:
        """Admit whoever may see health and metrics: all on a loopback server."""
        if not self._settings.is_loopback:
            self.reader(request)

    def check_write(self, caller: Caller) -> None:
        """Refuse a caller who may only look."""
        if not caller.may_write:
            raise TokenForbiddenError(
                f"{caller.name!r} may only look: a change needs an operator's token "
                "with access = 'full'"
            )

    def session_id(self, request: HTTPConnection) -> str:
        """The id in the session's cookie, or an empty text."""
        return request.cookies.get(self._cookie, "")

    def csrf_token(self, request: HTTPConnection) -> str:
        """What a page of this session puts into its forms."""
        return _csrf_token(self.session_id(request))

    def check_csrf(self, request: HTTPConnection, value: str) -> None:
        """Refuse a change by cookie that no page of ours has asked for."""
        expected = self.csrf_token(request).encode()
        if not same_digest(expected, value.encode(errors="replace")):
            raise CsrfRefusedError(
                "the page that sent this belongs to another session: load it again"
            )

    def set_session(self, response: Response, session_id: str) -> None:
        """Give the browser its cookie; an empty id takes it back."""
        response.set_cookie(
            self._cookie,
            session_id,
            max_age=None if session_id else 0,
            path="/",
            secure=self._settings.seen_over_tls,
            httponly=True,
            samesite="strict",
        )

    def _by_bearer(self, request: HTTPConnection) -> Caller | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        scheme, _, text = header.partition(" ")
        caller = self._credentials.by_token(text.strip())
        if scheme.lower() != "bearer" or caller is None:
            raise TokenMissingError(
                f"the server does not know the token {text.strip()[:8]!r}…: it was "
                "deleted, belongs to another server, or was cut when copied"
            )
        return caller


def _csrf_token(session_id: str) -> str:
    """Known to nobody who does not know the session, which it does not give away."""
    return hashlib.sha256(f"csrf {session_id}".encode()).hexdigest()
