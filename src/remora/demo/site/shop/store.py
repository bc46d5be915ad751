"""The shop's data: accounts, products, carts and orders in one SQLite file."""

from __future__ import annotations

import secrets
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS account (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, plan TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS product (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL,
  description TEXT NOT NULL, cents INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS cart_line (
  account_id INTEGER NOT NULL REFERENCES account (id),
  product_id INTEGER NOT NULL REFERENCES product (id),
  quantity INTEGER NOT NULL,
  PRIMARY KEY (account_id, product_id)
);
CREATE TABLE IF NOT EXISTS purchase (
  id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES account (id),
  cents INTEGER NOT NULL, fee INTEGER NOT NULL, reference TEXT NOT NULL UNIQUE,
  placed TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
"""

_ACCOUNTS = (
    ("alice", "pro"),
    ("bob", "free"),
    ("carol", "free"),
    ("dora", "pro"),
    ("emil", "free"),
)

_PRODUCTS = (
    ("Hand line", "fishing", "Forty metres, cork frame. Nothing to break.", 890),
    ("Bamboo rod", "fishing", "Split cane, two pieces, made to be mended.", 12900),
    ("Tide table", "paper", "One harbour, one year, printed on waxed paper.", 450),
    ("Chart of the sound", "paper", "Depths in fathoms, wrecks in red.", 2400),
    ("Log book", "paper", "Two hundred pages that survive being dropped.", 1850),
    ("Brass lantern", "deck", "Burns eight hours on a cup of oil.", 7600),
    ("Wool jersey", "clothes", "Knitted dense enough to turn rain.", 9800),
    ("Oilskin", "clothes", "Yellow. You will be seen.", 18900),
    ("Deck boots", "clothes", "They come off when they fill.", 8450),
    ("Sextant", "deck", "In its box, with last century's error noted inside.", 34900),
    ("Bosun's whistle", "deck", "Louder than it looks.", 1200),
    ("Ship's biscuit", "galley", "A dozen. Best before: undecided.", 650),
)


def connect(path: Path) -> sqlite3.Connection:
    """Open the shop's file for one request."""
    connection = sqlite3.connect(path, timeout=5, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def create(path: Path) -> None:
    """Make the tables and put goods on the shelves, once for all workers."""
    connection = connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_SCHEMA)
        connection.execute("BEGIN IMMEDIATE")
        (filled,) = connection.execute("SELECT count(*) FROM product").fetchone()
        if not filled:
            _fill(connection)
        connection.execute("COMMIT")
    finally:
        connection.close()


def cookie_key(path: Path) -> str:
    """The key that signs cookies, the same in every worker."""
    connection = connect(path)
    try:
        row = connection.execute(
            "SELECT value FROM setting WHERE name = 'cookie_key'"
        ).fetchone()
    finally:
        connection.close()
    return str(row["value"])


def _fill(connection: sqlite3.Connection) -> None:
    connection.executemany("INSERT INTO account (name, plan) VALUES (?, ?)", _ACCOUNTS)
    connection.executemany(
        "INSERT INTO product (name, kind, description, cents) VALUES (?, ?, ?, ?)",
        _PRODUCTS,
    )
    connection.execute(
        "INSERT INTO setting (name, value) VALUES ('cookie_key', ?)",
        (secrets.token_hex(32),),
    )
