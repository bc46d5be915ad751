"""Attacks as operators look at them: single ones, by vulnerability, by account."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from remora.server.domain import AttackFilter, UnknownAttackError

if TYPE_CHECKING:
    from remora.server.domain import (
        Account,
        Block,
        StoredAttack,
        Touched,
        Vulnerability,
    )
    from remora.server.operations.blocks import Blocks
    from remora.server.store import AttackStore

ACCOUNT_ATTACKS = 50
"""Attacks shown of one account or vulnerability before one asks for more."""


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """All that is known of an account that attacked an app."""

    account: Account
    block: Block | None
    touched: list[Touched]
    vulnerabilities: list[Vulnerability]
    attacks: list[StoredAttack]

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Operator endpoints."""
        return {
            **self.account.to_json(),
            "block": None if self.block is None else self.block.to_json(),
            "routes": [each.to_json() for each in self.touched],
            "vulnerabilities": [each.to_json() for each in self.vulnerabilities],
            "newest": [each.to_json() for each in self.attacks],
        }


class Attacks:
    """The way of attacks out of the store."""

    def __init__(self, store: AttackStore, blocks: Blocks) -> None:
        self._store = store
        self._blocks = blocks

    async def find(self, wanted: AttackFilter) -> list[StoredAttack]:
        """The attacks that are asked for, newest first."""
        return await self._store.find(wanted)

    async def get(self, attack_id: int) -> StoredAttack:
        """One attack. Raises UnknownAttackError."""
        found = await self._store.get(attack_id)
        if found is None:
            raise UnknownAttackError(
                f"there is no attack {attack_id}: it was removed by age or size, or "
                "never was; list the attacks"
            )
        return found

    async def vulnerabilities(self, wanted: AttackFilter) -> list[Vulnerability]:
        """The attacks that are asked for, by vulnerability."""
        return await self._store.vulnerabilities(wanted)

    async def vulnerability(self, identifier: str) -> Vulnerability:
        """One vulnerability. Raises UnknownAttackError."""
        wanted = AttackFilter(vulnerability=identifier)
        found = await self._store.vulnerabilities(wanted) if identifier else []
        if not found:
            raise UnknownAttackError(
                f"there is no vulnerability {identifier[:60]!r}: its attacks were "
                "removed by age or size, or never were; list the attacks"
            )
        return found[0]

    async def accounts(self, wanted: AttackFilter) -> list[Account]:
        """The attacks that are asked for, by app and actor."""
        return await self._store.accounts(wanted)

    async def account(self, app: str, actor: str) -> KnownAccount:
        """One account; with no app, the one that attacked last of that name.

        Raises UnknownAttackError.
        """
        wanted = AttackFilter(app=app, actor=actor, limit=ACCOUNT_ATTACKS)
        found = await self._store.accounts(wanted) if actor else []
        if not found:
            where = f" in {app[:60]!r}" if app else ""
            raise UnknownAttackError(
                f"no attack of {actor[:100]!r} is known{where}: list the users"
            )
        account = found[0]
        wanted = replace(wanted, app=account.app)
        return KnownAccount(
            account,
            self._blocks.of(account.app, actor),
            await self._store.touched(account.app, actor),
            await self._store.vulnerabilities(wanted),
            await self._store.find(wanted),
        )
