"""Probes and statuses in SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import msgspec

from remora.protocol import Status, parse_probe, parse_status
from remora.protocol.policy import Policy, parse_policy
from remora.server.domain import DuplicateProbeError, StoredProbe
from remora.server.store.access import insert_audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remora.server.domain import AuditEntry
    from remora.server.store.database import Database


class SqliteProbes:
    """The tables `probes`, `statuses` and `policies`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Statuses are written in the order in which they came, before and after a
        # change of their probe.
        self._turn = asyncio.Lock()
        self._arriving: _Arriving | None = None

    async def all(self) -> list[StoredProbe]:
        """Every probe, the oldest first."""

        def work(connection: sqlite3.Connection) -> list[StoredProbe]:
            rows = connection.execute(
                "SELECT source, sequence, created, created_by FROM probes "
                "ORDER BY created, id"
            )
            return [
                StoredProbe(parse_probe(msgspec.json.decode(source)), *rest)
                for source, *rest in rows
            ]

        return await self._database.read(work)

    async def add(self, stored: StoredProbe, entry: AuditEntry) -> None:
        """Keep a new probe. Raises DuplicateProbeError."""

        def work(connection: sqlite3.Connection) -> None:
            try:
                connection.execute("INSERT INTO probes VALUES (?, ?, ?, ?, ?)", row)
            except sqlite3.IntegrityError:
                raise DuplicateProbeError(
                    f"there is a probe {stored.probe.id!r} already: remove it, replace "
                    "it, or choose another id"
                ) from None
            insert_audit(connection, entry)

        row = _row(stored)
        await self._database.write(work)

    async def replace(self, stored: StoredProbe, entry: AuditEntry) -> None:
        """Put a probe in place of its earlier version, whose statuses go."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO probes VALUES (?, ?, ?, ?, ?)", row
            )
            connection.execute("DELETE FROM statuses WHERE probe = ?", (row[0],))
            insert_audit(connection, entry)

        row = _row(stored)
        async with self._turn:
            await self._database.write(work)

    async def remove(self, probe_id: str, entry: AuditEntry) -> None:
        """Take out a probe with its statuses; its records stay."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM probes WHERE id = ?", (probe_id,))
            connection.execute("DELETE FROM statuses WHERE probe = ?", (probe_id,))
            insert_audit(connection, entry)

        async with self._turn:
            await self._database.write(work)

    async def policies(self) -> list[Policy]:
        """Every policy, the one for all apps last."""

        def work(connection: sqlite3.Connection) -> list[Policy]:
            rows = connection.execute("SELECT body FROM policies ORDER BY app DESC")
            return [parse_policy(msgspec.json.decode(body)) for (body,) in rows]

        return await self._database.read(work)

    async def save_policy(self, policy: Policy, entry: AuditEntry) -> None:
        """Keep a policy in place of the earlier one of its app."""
        row = (policy.scope.app or "", msgspec.json.encode(policy.to_json()))

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO policies VALUES (?, ?)", row)
            insert_audit(connection, entry)

        await self._database.write(work)

    async def save_statuses(self, instance: str, statuses: Sequence[Status]) -> None:
        """Keep these, in place of the instance's earlier ones of the same probes.

        After a push a thousand instances report at once: what arrives while others are
        written is one transaction, and whoever sent it waits for that.
        """
        arriving = self._arriving
        if arriving is None:
            arriving = self._arriving = _Arriving()
            arriving.written = asyncio.create_task(self._write_arriving(arriving))
        arriving.rows += [
            (
                status.probe,
                instance,
                status.state.value,
                status.firings,
                msgspec.json.encode(status.to_json()),
            )
            for status in statuses
        ]
        assert arriving.written is not None
        # One that gives up must not take the others' along.
        await asyncio.shield(arriving.written)

    async def _write_arriving(self, arriving: _Arriving) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR REPLACE INTO statuses VALUES (?, ?, ?, ?, ?)", arriving.rows
            )

        async with self._turn:
            self._arriving = None
            await self._database.write(work)

    async def drop_statuses(self, instance: str, probes: Sequence[str]) -> None:
        """Forget what an instance said of these probes."""
        rows = [(probe, instance) for probe in probes]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "DELETE FROM statuses WHERE probe = ? AND instance = ?", rows
            )

        await self._database.write(work)

    async def statuses(self, probe_id: str) -> list[tuple[str, Status]]:
        """The statuses of a probe, each with its instance."""

        def work(connection: sqlite3.Connection) -> list[tuple[str, Status]]:
            rows = connection.execute(
                "SELECT instance, body FROM statuses WHERE probe = ? ORDER BY instance",
                (probe_id,),
            )
            return [
                (instance, parse_status(msgspec.json.decode(body)))
                for instance, body in rows
            ]

        return await self._database.read(work)

    async def states(self) -> list[tuple[str, str, str, int]]:
        """Probe, instance, state and firings of every status."""

        def work(connection: sqlite3.Connection) -> list[tuple[str, str, str, int]]:
            return connection.execute(
                "SELECT probe, instance, state, firings FROM statuses"
            ).fetchall()

        return await self._database.read(work)


class _Arriving:
    """Statuses that will be written together."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, int, bytes]] = []
        self.written: asyncio.Task[None] | None = None


def _row(stored: StoredProbe) -> tuple[str, bytes, int, int, str]:
    return (
        stored.probe.id,
        msgspec.json.encode(stored.probe.to_source()),
        stored.sequence,
        stored.created,
        stored.created_by,
    )
