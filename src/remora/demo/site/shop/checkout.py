"""Buying: the cart becomes a purchase.

`charge` is imported by name, as most code does. Whoever wants to see its calls has to
reach this reference too, and it was taken when the worker started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shop.billing import Receipt, charge

if TYPE_CHECKING:
    import sqlite3

    from shop.accounts import Account
    from shop.cart import Cart


def place_order(cart: Cart) -> Receipt:
    """Charge what is in the cart, write it down, empty the cart."""
    receipt = charge(cart.total(), cart.account)
    cart.connection.execute(
        "INSERT INTO purchase (account_id, cents, fee, reference) VALUES (?, ?, ?, ?)",
        (cart.account.id, receipt.amount, receipt.fee, receipt.reference),
    )
    cart.clear()
    return receipt


def purchases(
    connection: sqlite3.Connection, account: Account
) -> list[tuple[str, int, int]]:
    """The last ten purchases: reference, amount and fee."""
    rows = connection.execute(
        "SELECT reference, cents, fee FROM purchase WHERE account_id = ?"
        " ORDER BY id DESC LIMIT 10",
        (account.id,),
    )
    return [(row["reference"], row["cents"], row["fee"]) for row in rows]
