"""One SQLite file: a single writer, some readers, each in threads of their own.

SQLite lets one connection write at a time. A queue before one thread keeps that order
without locked-database errors, and the event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from remora.errors import ConfigError
from remora.server.domain import BusyError
from remora.server.store.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

Result = TypeVar("Result")

READERS = 3
"""Threads that read: one slow question of an operator leaves two for the others."""

WAL_LIMIT_BYTES = 64 * 2**20
"""What the write-ahead log is cut back to after a burst."""


class Database:
    """The connections to one file. Work is a function of a connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = _open_writer(path)
        self._reading = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._write_threads = ThreadPoolExecutor(1, "remora-store-writer")
        self._read_threads = ThreadPoolExecutor(
            READERS, "remora-store-reader", initializer=self._open_reader
        )

    async def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run `work` in a transaction: all of it is kept, or nothing."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._write_threads, self._in_write, work)

    async def read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run `work` on a connection that cannot change anything."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._read_threads, self._in_read, work)

    async def maintain(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run `work` on the writer outside a transaction, for pragmas."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._write_threads, work, self._writer)

    def close(self) -> None:
        """Finish what is queued and close all connections."""
        self._write_threads.shutdown()
        self._read_threads.shutdown()
        for reader in self._readers:
            reader.close()
        self._writer.close()

    def _in_write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        with _translated(self.path), transaction(self._writer):
            return work(self._writer)

    def _in_read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        with _translated(self.path):
            return work(self._reading.connection)

    def _open_reader(self) -> None:
        connection = _connect(self.path)
        connection.execute("PRAGMA query_only = ON")
        self._reading.connection = connection
        self._readers.append(connection)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Commit at the end of the block, or undo all of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # On a full disk SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _translated(path: Path) -> Generator[None]:
    """A full disk or a damaged file is no fault of the request: it may come again."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise BusyError(
            f"the store {str(path)!r} did not do its work: {error}; see to its disk"
        ) from error


def _open_writer(path: Path) -> sqlite3.Connection:
    try:
        # The file holds what apps report: nobody else on the machine may read it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = _connect(path)
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(
            f"the store {str(path)!r} cannot be opened: {error}; give a data directory "
            "that can be written, or move the damaged file away"
        ) from error
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    # Has an effect only before the first table, and before WAL is chosen.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
    migrate(connection)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=10.0, isolation_level=None, check_same_thread=False
    )
