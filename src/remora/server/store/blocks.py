"""Blocks in SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.server.domain import Block
from remora.server.store.access import insert_audit

if TYPE_CHECKING:
    import sqlite3

    from remora.server.domain import AuditEntry
    from remora.server.store.database import Database


class SqliteBlocks:
    """The table `blocks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[Block]:
        """Every block, the oldest first."""

        def work(connection: sqlite3.Connection) -> list[Block]:
            rows = connection.execute(
                "SELECT app, actor, reason, created, created_by, expires_at "
                "FROM blocks ORDER BY created, app, actor"
            )
            return [Block(*row) for row in rows]

        return await self._database.read(work)

    async def save(self, block: Block, entry: AuditEntry) -> None:
        """Keep a block, in place of an earlier one of the same actor and app."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?)",
                (
                    block.app,
                    block.actor,
                    block.reason,
                    block.created,
                    block.created_by,
                    block.expires_at,
                ),
            )
            insert_audit(connection, entry)

        await self._database.write(work)

    async def remove(self, block: Block, entry: AuditEntry) -> None:
        """Take out a block."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM blocks WHERE app = ? AND actor = ?", block.key
            )
            insert_audit(connection, entry)

        await self._database.write(work)
