"""Accounts of customers, and what their plan gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True)
class Account:
    """A customer; `plan` is `free` or `pro`."""

    id: int
    name: str
    plan: str


def find_account(connection: sqlite3.Connection, name: str) -> Account | None:
    """The account of that name, if there is one."""
    row = connection.execute(
        "SELECT id, name, plan FROM account WHERE name = ?", (name,)
    ).fetchone()
    return None if row is None else Account(row["id"], row["name"], row["plan"])


def all_accounts(connection: sqlite3.Connection) -> list[Account]:
    """Every account, by name."""
    rows = connection.execute("SELECT id, name, plan FROM account ORDER BY name")
    return [Account(row["id"], row["name"], row["plan"]) for row in rows]
