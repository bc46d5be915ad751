"""The tables of the SQLite store, as numbered migrations.

A migration that has been released is never edited: a change is a further one. The
number of those applied stands in `PRAGMA user_version`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.errors import ConfigError

if TYPE_CHECKING:
    import sqlite3

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE meta (
            key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE instances (
            id TEXT PRIMARY KEY, body BLOB NOT NULL, first_seen INTEGER NOT NULL,
            last_seen INTEGER NOT NULL, left TEXT, revision INTEGER NOT NULL,
            wanted TEXT NOT NULL, master_id TEXT NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE probes (
            id TEXT PRIMARY KEY, source BLOB NOT NULL, sequence INTEGER NOT NULL,
            created INTEGER NOT NULL, created_by TEXT NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE statuses (
            probe TEXT NOT NULL, instance TEXT NOT NULL, state TEXT NOT NULL,
            firings INTEGER NOT NULL, body BLOB NOT NULL,
            PRIMARY KEY (probe, instance)) WITHOUT ROWID""",
        # No key of SQLite's is given out twice with AUTOINCREMENT, not even after
        # the newest rows were pruned: readers resume after the last id they saw.
        """CREATE TABLE records (
            id INTEGER PRIMARY KEY AUTOINCREMENT, stored INTEGER NOT NULL,
            instance TEXT NOT NULL, probe TEXT NOT NULL, kind TEXT NOT NULL,
            time INTEGER NOT NULL, site TEXT NOT NULL, user TEXT, request TEXT,
            body BLOB NOT NULL)""",
        "CREATE INDEX records_by_probe ON records (probe, id)",
        "CREATE INDEX records_by_instance ON records (instance, id)",
        "CREATE INDEX records_by_user ON records (user, id) WHERE user IS NOT NULL",
        """CREATE TABLE tallies (
            probe TEXT PRIMARY KEY, records INTEGER NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE batches (
            id TEXT PRIMARY KEY, stored INTEGER NOT NULL) WITHOUT ROWID""",
        "CREATE INDEX batches_by_age ON batches (stored)",
        """CREATE TABLE drops (
            instance TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
            PRIMARY KEY (instance, reason)) WITHOUT ROWID""",
        """CREATE TABLE tokens (
            id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL,
            digest BLOB NOT NULL UNIQUE, created INTEGER NOT NULL,
            created_by TEXT NOT NULL, app TEXT NOT NULL, access TEXT NOT NULL)
            WITHOUT ROWID""",
        """CREATE TABLE sessions (
            digest BLOB PRIMARY KEY, token TEXT NOT NULL, expires_at INTEGER NOT NULL)
            WITHOUT ROWID""",
        """CREATE TABLE audit (
            id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL,
            who TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,
            old BLOB NOT NULL, new BLOB NOT NULL)""",
        # Revisions of a store made anew must not meet those that agents remember
        # of the old one: they start at the time of day.
        "INSERT INTO meta SELECT 'sequence', strftime('%s', 'now')",
    ),
    (
        """CREATE TABLE policies (
            app TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID""",
        # Narrow rows to group by; what they tell is read for those that are shown.
        """CREATE TABLE attacks (
            id INTEGER PRIMARY KEY, stored INTEGER NOT NULL, time INTEGER NOT NULL,
            instance TEXT NOT NULL, app TEXT NOT NULL, env TEXT NOT NULL,
            detector TEXT NOT NULL, vulnerability TEXT NOT NULL, actor TEXT NOT NULL,
            blocked INTEGER NOT NULL, method TEXT NOT NULL, route TEXT NOT NULL,
            size INTEGER NOT NULL)""",
        "CREATE INDEX attacks_by_vulnerability ON attacks (vulnerability, id)",
        "CREATE INDEX attacks_by_actor ON attacks (actor, id)",
        # All that the list of vulnerabilities groups: an open page asks every 2 s.
        """CREATE INDEX attacks_in_groups ON attacks (
            vulnerability, actor, app, env, detector, blocked, time)""",
        """CREATE TABLE attack_bodies (
            id INTEGER PRIMARY KEY, body BLOB NOT NULL)""",
        """CREATE TABLE blocks (
            app TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL,
            created INTEGER NOT NULL, created_by TEXT NOT NULL,
            expires_at INTEGER NOT NULL, PRIMARY KEY (app, actor)) WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE rules (
            id TEXT PRIMARY KEY, app TEXT NOT NULL, body BLOB NOT NULL,
            created INTEGER NOT NULL, created_by TEXT NOT NULL) WITHOUT ROWID""",
        "ALTER TABLE attacks ADD COLUMN excepted INTEGER NOT NULL DEFAULT 0",
        "DROP INDEX attacks_in_groups",
        """CREATE INDEX attacks_in_groups ON attacks (
            vulnerability, actor, app, env, detector, blocked, excepted, time)""",
    ),
    ("ALTER TABLE rules ADD COLUMN env TEXT NOT NULL DEFAULT ''",),
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this version. Raises ConfigError if they are newer."""
    (applied,) = connection.execute("PRAGMA user_version").fetchone()
    if applied > len(MIGRATIONS):
        raise ConfigError(
            f"the store has version {applied}, this server knows {len(MIGRATIONS)}: "
            "start a newer remora, or give it another data directory"
        )
    for number, statements in enumerate(MIGRATIONS[applied:], applied + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
