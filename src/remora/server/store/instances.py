"""Instances and drops in SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from remora.protocol import parse_instance
from remora.server.domain import KnownInstance

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from remora.server.store.database import Database

_COLUMNS = "body, first_seen, last_seen, left, revision, wanted, master_id"


class SqliteInstances:
    """The tables `instances` and `drops`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[KnownInstance]:
        """Every instance, the longest known first."""

        def work(connection: sqlite3.Connection) -> list[KnownInstance]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM instances ORDER BY first_seen"  # noqa: S608 - a constant
            )
            return [_known(row) for row in rows]

        return await self._database.read(work)

    async def save(self, known: Sequence[KnownInstance]) -> None:
        """Keep these, in place of older rows of the same ids."""
        rows = [
            (
                entry.instance.id,
                msgspec.json.encode(entry.instance.to_json()),
                entry.first_seen,
                entry.last_seen,
                entry.left,
                entry.revision,
                entry.wanted,
                entry.master_id,
            )
            for entry in known
        ]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                f"INSERT OR REPLACE INTO instances (id, {_COLUMNS}) "  # noqa: S608 - a constant
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

        await self._database.write(work)

    async def forget(self, ids: Sequence[str]) -> None:
        """Remove these with their statuses and drops; their records stay."""

        def work(connection: sqlite3.Connection) -> None:
            rows = [(identifier,) for identifier in ids]
            connection.executemany("DELETE FROM instances WHERE id = ?", rows)
            connection.executemany("DELETE FROM statuses WHERE instance = ?", rows)
            connection.executemany("DELETE FROM drops WHERE instance = ?", rows)

        await self._database.write(work)

    async def drops(self) -> dict[str, dict[str, int]]:
        """Dropped records by instance and reason."""

        def work(connection: sqlite3.Connection) -> dict[str, dict[str, int]]:
            found: dict[str, dict[str, int]] = {}
            rows = connection.execute("SELECT instance, reason, count FROM drops")
            for instance, reason, count in rows:
                found.setdefault(instance, {})[reason] = count
            return found

        return await self._database.read(work)


def _known(row: tuple[bytes, int, int, str | None, int, str, str]) -> KnownInstance:
    body, first_seen, last_seen, left, revision, wanted, master_id = row
    return KnownInstance(
        instance=parse_instance(msgspec.json.decode(body)),
        first_seen=first_seen,
        last_seen=last_seen,
        left=left,
        revision=revision,
        wanted=wanted,
        master_id=master_id,
    )
