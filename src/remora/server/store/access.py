"""Tokens, sessions and the audit table in SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from remora.server.domain import Access, AuditEntry, Session, Token, TokenKind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from remora.server.store.database import Database


class SqliteAccess:
    """The tables `tokens`, `sessions` and `audit`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tokens(self) -> list[Token]:
        """Every token, the oldest first."""

        def work(connection: sqlite3.Connection) -> list[Token]:
            rows = connection.execute(
                "SELECT id, kind, name, digest, created, created_by, app, access "
                "FROM tokens ORDER BY created, id"
            )
            return [_token(row) for row in rows]

        return await self._database.read(work)

    async def add_token(self, token: Token, entry: AuditEntry) -> None:
        """Keep a new token."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    token.id,
                    token.kind.value,
                    token.name,
                    token.digest,
                    token.created,
                    token.created_by,
                    token.app,
                    token.access.value,
                ),
            )
            insert_audit(connection, entry)

        await self._database.write(work)

    async def remove_token(self, token_id: str, entry: AuditEntry) -> None:
        """Remove a token and the sessions opened with it."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM tokens WHERE id = ?", (token_id,))
            connection.execute("DELETE FROM sessions WHERE token = ?", (token_id,))
            insert_audit(connection, entry)

        await self._database.write(work)

    async def sessions(self) -> list[Session]:
        """Every session, expired ones too."""

        def work(connection: sqlite3.Connection) -> list[Session]:
            rows = connection.execute("SELECT digest, token, expires_at FROM sessions")
            return [Session(*row) for row in rows]

        return await self._database.read(work)

    async def add_session(self, session: Session) -> None:
        """Keep a new session."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO sessions VALUES (?, ?, ?)",
                (session.digest, session.token_id, session.expires_at),
            )

        await self._database.write(work)

    async def remove_sessions(self, digests: Sequence[bytes]) -> None:
        """Remove these sessions."""

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "DELETE FROM sessions WHERE digest = ?",
                [(digest,) for digest in digests],
            )

        await self._database.write(work)

    async def audit(self, limit: int) -> list[AuditEntry]:
        """The newest changes, newest first."""

        def work(connection: sqlite3.Connection) -> list[AuditEntry]:
            rows = connection.execute(
                "SELECT time, who, action, subject, old, new FROM audit "
                "ORDER BY id DESC LIMIT ?",
                (limit,),
            )
            return [
                AuditEntry(
                    time,
                    who,
                    action,
                    subject,
                    msgspec.json.decode(old),
                    msgspec.json.decode(new),
                )
                for time, who, action, subject, old, new in rows
            ]

        return await self._database.read(work)


def _token(row: tuple[str, str, str, bytes, int, str, str, str]) -> Token:
    identifier, kind, name, digest, created, created_by, app, access = row
    return Token(
        id=identifier,
        kind=TokenKind(kind),
        name=name,
        digest=digest,
        created=created,
        created_by=created_by,
        app=app,
        access=Access(access),
    )


def insert_audit(connection: sqlite3.Connection, entry: AuditEntry) -> None:
    """Write an entry in the transaction of the change that it tells of."""
    connection.execute(
        "INSERT INTO audit (time, who, action, subject, old, new) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            entry.time,
            entry.who,
            entry.action,
            entry.subject,
            msgspec.json.encode(entry.old),
            msgspec.json.encode(entry.new),
        ),
    )
