"""Carts: what an account means to buy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shop.catalogue import Product, find_product

if TYPE_CHECKING:
    import sqlite3

    from shop.accounts import Account

QUANTITY_LIMIT = 99
"""Pieces of one product in a cart; more is a typing mistake."""


class CartError(Exception):
    """The cart cannot take what was asked for."""


@dataclass(frozen=True)
class Line:
    """A product in the cart and how many of it."""

    product: Product
    quantity: int

    @property
    def cents(self) -> int:
        """What the line costs."""
        return self.product.cents * self.quantity


class Cart:
    """The cart of one account, kept in the store."""

    def __init__(self, connection: sqlite3.Connection, account: Account) -> None:
        self.connection = connection
        self.account = account

    def add(self, product_id: int, quantity: int = 1) -> None:
        """Put some more of a product in. Raises CartError."""
        if not 1 <= quantity <= QUANTITY_LIMIT:
            raise CartError(f"{quantity} is no number from 1 to {QUANTITY_LIMIT}")
        if find_product(self.connection, product_id) is None:
            raise CartError(f"there is no product {product_id}")
        self.connection.execute(
            "INSERT INTO cart_line (account_id, product_id, quantity) VALUES (?, ?, ?)"
            " ON CONFLICT (account_id, product_id)"
            " DO UPDATE SET quantity = min(quantity + excluded.quantity, ?)",
            (self.account.id, product_id, quantity, QUANTITY_LIMIT),
        )

    def lines(self) -> list[Line]:
        """What is in it."""
        rows = self.connection.execute(
            "SELECT product.*, cart_line.quantity FROM cart_line"
            " JOIN product ON product.id = cart_line.product_id"
            " WHERE cart_line.account_id = ? ORDER BY product.name",
            (self.account.id,),
        )
        return [
            Line(
                Product(
                    row["id"],
                    row["name"],
                    row["kind"],
                    row["description"],
                    row["cents"],
                ),
                row["quantity"],
            )
            for row in rows
        ]

    def total(self) -> int:
        """What it costs, in cents."""
        return sum(line.cents for line in self.lines())

    def clear(self) -> None:
        """Take everything out."""
        self.connection.execute(
            "DELETE FROM cart_line WHERE account_id = ?", (self.account.id,)
        )
