"""Rules of protection in SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from remora.protocol.rules import parse_rule
from remora.server.domain import StoredRule
from remora.server.store.access import insert_audit

if TYPE_CHECKING:
    import sqlite3

    from remora.server.domain import AuditEntry
    from remora.server.store.database import Database


class SqliteRules:
    """The table `rules`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[StoredRule]:
        """Every rule, the oldest first."""

        def work(connection: sqlite3.Connection) -> list[StoredRule]:
            rows = connection.execute(
                "SELECT body, app, created, created_by, env FROM rules"
                " ORDER BY created, id"
            )
            return [
                StoredRule(parse_rule(msgspec.json.decode(body)), *rest)
                for body, *rest in rows
            ]

        return await self._database.read(work)

    async def save(self, stored: StoredRule, entry: AuditEntry) -> None:
        """Keep a rule, in place of an earlier one of its id."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO rules VALUES (?, ?, ?, ?, ?, ?)",
                (
                    stored.rule.id,
                    stored.app,
                    msgspec.json.encode(stored.rule.to_json()),
                    stored.created,
                    stored.created_by,
                    stored.env,
                ),
            )
            insert_audit(connection, entry)

        await self._database.write(work)

    async def remove(self, rule_id: str, entry: AuditEntry) -> None:
        """Take out a rule."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM rules WHERE id = ?", (rule_id,))
            insert_audit(connection, entry)

        await self._database.write(work)
