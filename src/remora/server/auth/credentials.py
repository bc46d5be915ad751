"""The tokens and sessions that are valid now, and the first ones ever made.

They are held in memory, because every request asks for one, and written through to
the store.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from remora.errors import ConfigError
from remora.server.domain import (
    PREFIXES,
    Access,
    AuditEntry,
    Caller,
    Session,
    Token,
    TokenForbiddenError,
    TokenKind,
    TokenMissingError,
    UnknownTokenError,
    new_token_id,
    new_token_text,
    now_ns,
    same_digest,
    to_ns,
    token_digest,
)

if TYPE_CHECKING:
    from pathlib import Path

    from remora.server.store import AccessStore

SESSION_S = 12 * 3600.0
"""A working day: whoever logs in in the morning is not asked again."""

FIRST_START = "first start"


class Credentials:
    """Who may come in: nobody before `load`."""

    def __init__(self, store: AccessStore) -> None:
        self._store = store
        self._tokens: dict[bytes, Token] = {}
        self._sessions: dict[bytes, Session] = {}

    async def load(self) -> None:
        """Read what the store has."""
        self._tokens = {token.digest: token for token in await self._store.tokens()}
        self._sessions = {each.digest: each for each in await self._store.sessions()}

    @property
    def tokens(self) -> list[Token]:
        """Every token, the oldest first."""
        return sorted(self._tokens.values(), key=lambda token: token.created)

    async def make_first(self, directory: Path) -> None:
        """Make the first two tokens and write them to files; once in a store's life."""
        if self._tokens:
            return
        made = [_make(kind, kind.value, FIRST_START) for kind in TokenKind]
        # The files come first: a token in the store whose text is lost locks all out.
        for token, text in made:
            _write_secret(directory / f"{token.name}.token", text)
        for token, _ in made:
            await self._keep(token)

    async def add(
        self,
        kind: TokenKind,
        name: str,
        who: str,
        *,
        app: str = "",
        access: Access = Access.FULL,
    ) -> tuple[Token, str]:
        """Make a token; its text exists only in what this returns."""
        token, text = _make(kind, name, who)
        token = replace(token, app=app, access=access)
        await self._keep(token)
        return token, text

    async def remove(self, token_id: str, who: str) -> None:
        """Make a token worthless at once. Raises UnknownTokenError."""
        token = self._by_id(token_id)
        if token is None:
            raise UnknownTokenError(f"there is no token {token_id!r}: list the tokens")
        del self._tokens[token.digest]
        for session in list(self._sessions.values()):
            if session.token_id == token_id:
                del self._sessions[session.digest]
        entry = AuditEntry(now_ns(), who, "token-remove", token_id, old=token.to_json())
        await self._store.remove_token(token_id, entry)

    def by_token(self, text: str) -> Caller | None:
        """Who presents the token `text`, or None when it is not known."""
        digest = token_digest(text)
        token = self._tokens.get(digest)
        if token is None or not same_digest(token.digest, digest):
            return None
        return Caller(token)

    def by_session(self, session_id: str) -> Caller | None:
        """Who has logged in as `session_id`, or None."""
        session = self._sessions.get(token_digest(session_id))
        if session is None or session.expires_at <= now_ns():
            return None
        token = self._by_id(session.token_id)
        return None if token is None else Caller(token, by_cookie=True)

    def is_valid(self, caller: Caller) -> bool:
        """Whether the token of a caller who came in earlier still exists."""
        return caller.token.digest in self._tokens

    async def log_in(self, text: str) -> str:
        """Open a session with an operator's token; its id belongs into a cookie."""
        caller = self.by_token(text.strip())
        if caller is None:
            raise TokenMissingError(
                "the server does not know this token: take the one in operator.token "
                "in its data directory"
            )
        if caller.token.kind is not TokenKind.OPERATOR:
            raise TokenForbiddenError(
                f"{caller.name!r} is an agent's token: log in with an operator's, "
                f"which starts with {PREFIXES['operator']}"
            )
        session_id = secrets.token_urlsafe(32)
        expires_at = now_ns() + to_ns(SESSION_S)
        session = Session(token_digest(session_id), caller.token.id, expires_at)
        await self._store.add_session(session)
        self._sessions[session.digest] = session
        return session_id

    async def log_out(self, session_id: str) -> None:
        """End a session, if there is one."""
        digest = token_digest(session_id)
        if self._sessions.pop(digest, None) is not None:
            await self._store.remove_sessions([digest])

    async def forget_expired(self) -> None:
        """Remove the sessions whose time has passed."""
        now = now_ns()
        expired = [
            session.digest
            for session in self._sessions.values()
            if session.expires_at <= now
        ]
        for digest in expired:
            del self._sessions[digest]
        if expired:
            await self._store.remove_sessions(expired)

    async def _keep(self, token: Token) -> None:
        entry = AuditEntry(
            token.created, token.created_by, "token-add", token.id, new=token.to_json()
        )
        await self._store.add_token(token, entry)
        self._tokens[token.digest] = token

    def _by_id(self, token_id: str) -> Token | None:
        return next(
            (token for token in self._tokens.values() if token.id == token_id), None
        )


def _make(kind: TokenKind, name: str, who: str) -> tuple[Token, str]:
    text = new_token_text(kind)
    token = Token(
        id=new_token_id(),
        kind=kind,
        name=name,
        digest=token_digest(text),
        created=now_ns(),
        created_by=who,
    )
    return token, text


def _write_secret(path: Path, text: str) -> None:
    """Readable by the owner alone from its first byte on."""
    try:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
    except OSError as error:
        raise ConfigError(f"the token file {str(path)!r}: {error}") from error
