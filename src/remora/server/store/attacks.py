"""Attacks in SQLite: written with their records, grouped when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from remora.server.domain import Account, StoredAttack, Touched, Vulnerability

if TYPE_CHECKING:
    import sqlite3

    from remora.server.domain import AttackFilter, Batch
    from remora.server.store.database import Database

PRUNE_ROWS = 2000
"""Rows removed in one transaction, as for records."""

TOUCHED_ROUTES = 100
"""Routes listed of an account, those of attacks first."""

TOUCHED_RECORDS = 2000
"""Records of a user in which routes are looked for, the newest."""

_STORED = (
    "SELECT a.id, a.instance, a.app, a.env, a.vulnerability, b.body "
    "FROM attacks a JOIN attack_bodies b ON b.id = a.id"
)


class SqliteAttacks:
    """The tables `attacks` and `attack_bodies`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, wanted: AttackFilter) -> list[StoredAttack]:
        """The attacks that are asked for, newest first."""
        condition, values = _condition(wanted)

        def work(connection: sqlite3.Connection) -> list[StoredAttack]:
            rows = connection.execute(
                f"{_STORED} WHERE {condition} ORDER BY a.id DESC LIMIT ?",
                (*values, wanted.limit),
            )
            return [StoredAttack(*row) for row in rows]

        return await self._database.read(work)

    async def get(self, attack_id: int) -> StoredAttack | None:
        """One attack, where it is kept."""

        def work(connection: sqlite3.Connection) -> StoredAttack | None:
            rows = connection.execute(f"{_STORED} WHERE a.id = ?", (attack_id,))
            row = rows.fetchone()
            return None if row is None else StoredAttack(*row)

        return await self._database.read(work)

    async def vulnerabilities(self, wanted: AttackFilter) -> list[Vulnerability]:
        """The same attacks by vulnerability, the one attacked last first."""
        condition, values = _condition(wanted)

        def work(connection: sqlite3.Connection) -> list[Vulnerability]:
            rows = connection.execute(
                "SELECT a.vulnerability, a.detector, count(*), sum(a.blocked), "  # noqa: S608 - the condition has no text of others
                "sum(a.excepted), count(DISTINCT a.actor), min(a.time), max(a.time), "
                "max(a.id) "
                f"FROM attacks a WHERE {condition} GROUP BY a.vulnerability "
                "ORDER BY max(a.id) DESC LIMIT ?",
                (*values, wanted.limit),
            ).fetchall()
            return [_vulnerability(connection, row) for row in rows]

        return await self._database.read(work)

    async def accounts(self, wanted: AttackFilter) -> list[Account]:
        """The same attacks by app and actor, who attacked last first."""
        condition, values = _condition(wanted)

        def work(connection: sqlite3.Connection) -> list[Account]:
            rows = connection.execute(
                "SELECT a.app, a.actor, count(*), sum(a.blocked), sum(a.excepted), "  # noqa: S608 - the condition has no text of others
                "group_concat(DISTINCT a.detector), min(a.time), max(a.time) "
                f"FROM attacks a WHERE {condition} GROUP BY a.app, a.actor "
                "ORDER BY max(a.id) DESC LIMIT ?",
                (*values, wanted.limit),
            )
            return [
                Account(app, actor, attacks, blocked, excepted, _split(names), *span)
                for app, actor, attacks, blocked, excepted, names, *span in rows
            ]

        return await self._database.read(work)

    async def touched(self, app: str, actor: str) -> list[Touched]:
        """The routes of an account: in its attacks, and in records of its user."""

        def work(connection: sqlite3.Connection) -> list[Touched]:
            attacked = connection.execute(
                "SELECT method, route, count(*) FROM attacks "
                "WHERE app = ? AND actor = ? GROUP BY method, route "
                "ORDER BY count(*) DESC LIMIT ?",
                (app, actor, TOUCHED_ROUTES),
            ).fetchall()
            used = _routes_of_user(connection, app, actor)
            found = [
                Touched(method, route, attacks, used.pop((method, route), 0))
                for method, route, attacks in attacked
            ]
            others = sorted(used.items(), key=lambda each: -each[1])
            found += [Touched(*key, records=count) for key, count in others]
            return found[:TOUCHED_ROUTES]

        return await self._database.read(work)

    async def prune(self, before: int, max_size_bytes: int) -> int:
        """Remove what came before that time, then the oldest above that size."""
        removed = 0
        while count := await self._database.write(
            lambda connection: _remove_before(connection, before)
        ):
            removed += count
        while await self._database.read(_size) > max_size_bytes:
            count = await self._database.write(_remove_oldest)
            if not count:
                break
            removed += count
        return removed


def insert_attacks(connection: sqlite3.Connection, batch: Batch, now: int) -> None:
    """Keep the attacks of a batch whose records were inserted last.

    Their ids are those of the records: in one transaction these follow each other.
    """
    (last,) = connection.execute("SELECT max(id) FROM records").fetchone()
    first = last - len(batch.records) + 1
    for position, record, attack in batch.attacks:
        connection.execute(
            "INSERT INTO attacks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                first + position,
                now,
                # A clock that is ahead would make an attack the newest for ever.
                min(record.time, now),
                batch.instance,
                batch.app,
                batch.env,
                attack.detector,
                attack.vulnerability(batch.app),
                attack.actor,
                attack.blocked,
                attack.method,
                attack.route,
                len(record.body),
                attack.excepted,
            ),
        )
        connection.execute(
            "INSERT INTO attack_bodies VALUES (?, ?)", (first + position, record.body)
        )


def _condition(wanted: AttackFilter) -> tuple[str, list[object]]:
    clauses = ["1"]
    values: list[object] = []
    for column in ("app", "env", "detector", "actor", "vulnerability"):
        if text := getattr(wanted, column):
            clauses.append(f"a.{column} = ?")
            values.append(text)
    if wanted.since:
        clauses.append("a.time >= ?")
        values.append(wanted.since)
    if wanted.before is not None:
        clauses.append("a.id < ?")
        values.append(wanted.before)
    return " AND ".join(clauses), values


def _vulnerability(
    connection: sqlite3.Connection,
    row: tuple[str, str, int, int, int, int, int, int, int],
) -> Vulnerability:
    name, detector, attacks, blocked, excepted, actors, first, last, newest = row
    return Vulnerability(
        id=name,
        detector=detector,
        attacks=attacks,
        blocked=blocked,
        excepted=excepted,
        actors=actors,
        first=first,
        last=last,
        newest=_one(connection, newest),
    )


def _one(connection: sqlite3.Connection, attack_id: int) -> StoredAttack:
    (row,) = connection.execute(f"{_STORED} WHERE a.id = ?", (attack_id,))
    return StoredAttack(*row)


def _split(detectors: str) -> tuple[str, ...]:
    """The names that SQLite joined with commas, which are in none of them."""
    return tuple(sorted(detectors.split(",")))


def _routes_of_user(
    connection: sqlite3.Connection, app: str, actor: str
) -> dict[tuple[str, str], int]:
    """How often a user's other records tell of each route; none for addresses."""
    kind, _, user = actor.partition(":")
    if kind != "user":
        return {}
    rows = connection.execute(
        "SELECT r.body FROM records r JOIN instances i ON i.id = r.instance "
        "WHERE r.user = ? AND r.kind != 'attack' "
        "AND json_extract(CAST(i.body AS TEXT), '$.app') = ? "
        "ORDER BY r.id DESC LIMIT ?",
        (user, app, TOUCHED_RECORDS),
    )
    used: dict[tuple[str, str], int] = {}
    for (body,) in rows:
        request = msgspec.json.decode(body).get("request")
        if not isinstance(request, dict):
            continue
        route = request.get("route") or request.get("path")
        key = (str(request.get("method") or ""), str(route or ""))
        if key[1]:
            used[key] = used.get(key, 0) + 1
    return used


def _remove_before(connection: sqlite3.Connection, before: int) -> int:
    return _remove(connection, "WHERE stored < ?", before)


def _remove_oldest(connection: sqlite3.Connection) -> int:
    return _remove(connection, "WHERE ?", 1)


def _remove(connection: sqlite3.Connection, condition: str, value: int) -> int:
    """Ids grow with the time of arrival, so the first rows are the oldest."""
    ids = connection.execute(
        f"SELECT id FROM attacks {condition} ORDER BY id LIMIT ?",  # noqa: S608 - one of the two above
        (value, PRUNE_ROWS),
    ).fetchall()
    connection.executemany("DELETE FROM attacks WHERE id = ?", ids)
    connection.executemany("DELETE FROM attack_bodies WHERE id = ?", ids)
    return len(ids)


def _size(connection: sqlite3.Connection) -> int:
    (size,) = connection.execute("SELECT total(size) FROM attacks").fetchone()
    return int(size)
