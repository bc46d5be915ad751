"""Money: fees and charges. Amounts are in cents."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shop.accounts import Account

FEE_PERCENT = {"free": 3, "pro": 0}
"""What the shop keeps of a sale, by plan: this is what a pro pays for."""


class BillingError(Exception):
    """The account cannot be charged."""


@dataclass(frozen=True)
class Receipt:
    """A charge that went through."""

    reference: str
    amount: int
    fee: int


def fee_for(amount: int, plan: str) -> int:
    """The fee on a sale, rounded up to a whole cent."""
    return -(-amount * FEE_PERCENT[plan] // 100)


def charge(amount: int, account: Account) -> Receipt:
    """Take `amount` and the fee from the account. Raises BillingError."""
    if amount <= 0:
        raise BillingError(f"an amount of {amount} cents cannot be charged")
    return Receipt(
        reference=f"{account.id}-{secrets.token_hex(8)}",
        amount=amount,
        fee=fee_for(amount, account.plan),
    )
