"""Records and batches in SQLite."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from remora.server.domain import StoredRecord
from remora.server.store.attacks import insert_attacks

if TYPE_CHECKING:
    import sqlite3

    from remora.server.domain import Batch, RecordFilter
    from remora.server.store.database import Database

PRUNE_ROWS = 2000
"""Rows removed in one transaction: some milliseconds, so that ingest hardly waits."""

PRUNE_PAUSE_S = 0.02
"""Between two of these, for the writes that have queued meanwhile."""


class SqliteRecords:
    """The tables `records`, `tallies` and `batches`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ingest(self, batch: Batch, now: int) -> bool:
        """Store a batch; False if it had been stored before and nothing was done."""

        def work(connection: sqlite3.Connection) -> bool:
            fresh = connection.execute(
                "INSERT OR IGNORE INTO batches VALUES (?, ?)", (batch.id, now)
            )
            if fresh.rowcount == 0:
                return False
            connection.executemany(
                "INSERT INTO records (stored, instance, probe, kind, time, site, user, "
                "request, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            if batch.attacks:
                insert_attacks(connection, batch, now)
            connection.executemany(
                "INSERT INTO tallies VALUES (?, ?) ON CONFLICT (probe) "
                "DO UPDATE SET records = records + excluded.records",
                tallies,
            )
            connection.executemany(
                "INSERT INTO drops VALUES (?, ?, ?) ON CONFLICT (instance, reason) "
                "DO UPDATE SET count = count + excluded.count",
                drops,
            )
            return True

        rows = [
            (
                now,
                batch.instance,
                record.probe,
                record.kind,
                record.time,
                record.site,
                record.user,
                record.request,
                record.body,
            )
            for record in batch.records
        ]
        tallies = list(Counter(record.probe for record in batch.records).items())
        drops = [(batch.instance, *drop) for drop in batch.drops.items() if drop[1]]
        return await self._database.write(work)

    async def find(self, wanted: RecordFilter) -> list[StoredRecord]:
        """The records that are asked for, at most `wanted.limit` of them."""
        clauses = ["1"]
        values: list[object] = []
        for column in ("probe", "instance", "kind"):
            if text := getattr(wanted, column):
                clauses.append(f"{column} = ?")
                values.append(text)
        if wanted.after is not None:
            clauses.append("id > ?")
            values.append(wanted.after)
        if wanted.before is not None:
            clauses.append("id < ?")
            values.append(wanted.before)
        order = "DESC" if wanted.after is None else "ASC"

        def work(connection: sqlite3.Connection) -> list[StoredRecord]:
            rows = connection.execute(
                "SELECT id, instance, probe, body FROM records "  # noqa: S608 - clauses above
                f"WHERE {' AND '.join(clauses)} ORDER BY id {order} LIMIT ?",
                (*values, wanted.limit),
            )
            return [StoredRecord(*row) for row in rows]

        return await self._database.read(work)

    async def counts(self) -> dict[str, int]:
        """Records that ever arrived, by probe."""

        def work(connection: sqlite3.Connection) -> dict[str, int]:
            return dict(connection.execute("SELECT probe, records FROM tallies"))

        return await self._database.read(work)

    async def prune(self, before: int, max_size_bytes: int) -> int:
        """Remove what came before that time, then the oldest above that size."""
        removed = 0
        while count := await self._database.write(
            lambda connection: _remove_before(connection, before)
        ):
            removed += count
            await self._give_back_pages()
        while await self._database.read(used_bytes) > max_size_bytes:
            count = await self._database.write(_remove_oldest)
            if not count:
                break
            removed += count
            await self._give_back_pages()
        return removed

    async def prune_batches(self, before: int) -> None:
        """Forget the ids of batches that came before that time."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM batches WHERE stored < ?", (before,))

        await self._database.write(work)

    async def _give_back_pages(self) -> None:
        def work(connection: sqlite3.Connection) -> None:
            # A step of this pragma frees one page; executescript steps to its end.
            connection.executescript("PRAGMA incremental_vacuum(2000)")

        await self._database.maintain(work)
        await asyncio.sleep(PRUNE_PAUSE_S)


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold something.

    The pragmas alone would answer from what this connection read last; a table in the
    same statement makes them see what others have written since.
    """
    (size,) = connection.execute(
        "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, "
        "pragma_freelist_count, pragma_page_size, (SELECT count(*) FROM meta)"
    ).fetchone()
    return size


def _remove_before(connection: sqlite3.Connection, before: int) -> int:
    """Ids grow with the time of arrival, so the first rows are the oldest."""
    return connection.execute(
        "DELETE FROM records WHERE stored < ? AND id IN "
        "(SELECT id FROM records ORDER BY id LIMIT ?)",
        (before, PRUNE_ROWS),
    ).rowcount


def _remove_oldest(connection: sqlite3.Connection) -> int:
    return connection.execute(
        "DELETE FROM records WHERE id IN (SELECT id FROM records ORDER BY id LIMIT ?)",
        (PRUNE_ROWS,),
    ).rowcount
