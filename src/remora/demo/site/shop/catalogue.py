"""The goods: listing, search and single products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

SEARCH_LIMIT = 50
"""Products on one page: more than the shop has, fewer than a browser minds."""


@dataclass(frozen=True)
class Product:
    """A thing for sale; the price is in cents."""

    id: int
    name: str
    kind: str
    description: str
    cents: int


def find_product(connection: sqlite3.Connection, product_id: int) -> Product | None:
    """The product with that number, if there is one."""
    row = connection.execute(
        "SELECT * FROM product WHERE id = ?", (product_id,)
    ).fetchone()
    return None if row is None else _product(row)


def search(connection: sqlite3.Connection, words: str = "") -> list[Product]:
    """Products whose name, kind or description has `words`; all for no words."""
    escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = connection.execute(
        "SELECT * FROM product"
        " WHERE name || ' ' || kind || ' ' || description LIKE ? ESCAPE '\\'"
        " ORDER BY kind, name LIMIT ?",
        (f"%{escaped}%", SEARCH_LIMIT),
    )
    return [_product(row) for row in rows]


def _product(row: sqlite3.Row) -> Product:
    return Product(
        row["id"], row["name"], row["kind"], row["description"], row["cents"]
    )
