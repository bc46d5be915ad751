"""The store in one SQLite file, the default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.server.store.access import SqliteAccess
from remora.server.store.attacks import SqliteAttacks
from remora.server.store.blocks import SqliteBlocks
from remora.server.store.database import Database
from remora.server.store.instances import SqliteInstances
from remora.server.store.probes import SqliteProbes
from remora.server.store.records import SqliteRecords, used_bytes
from remora.server.store.rules import SqliteRules

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


class SqliteStore:
    """All tables of one file. Raises ConfigError where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self.instances = SqliteInstances(self._database)
        self.probes = SqliteProbes(self._database)
        self.records = SqliteRecords(self._database)
        self.attacks = SqliteAttacks(self._database)
        self.blocks = SqliteBlocks(self._database)
        self.rules = SqliteRules(self._database)
        self.access = SqliteAccess(self._database)

    async def next_sequence(self) -> int:
        """A number above all it ever gave out."""

        def work(connection: sqlite3.Connection) -> int:
            (number,) = connection.execute(
                "UPDATE meta SET value = value + 1 WHERE key = 'sequence' "
                "RETURNING value"
            ).fetchone()
            return number

        return await self._database.write(work)

    async def sizes(self) -> dict[str, int]:
        """Bytes in use, records and attacks kept."""

        def work(connection: sqlite3.Connection) -> dict[str, int]:
            (last,) = connection.execute("SELECT max(id) FROM records").fetchone()
            (first,) = connection.execute("SELECT min(id) FROM records").fetchone()
            # Ids have no gaps: rows come in order and leave from the old end.
            kept = 0 if last is None else last - first + 1
            (attacks,) = connection.execute("SELECT count(*) FROM attacks").fetchone()
            return {
                "bytes": used_bytes(connection),
                "records": kept,
                "attacks": attacks,
            }

        return await self._database.read(work)

    def close(self) -> None:
        """Finish what is under way and close."""
        self._database.close()
