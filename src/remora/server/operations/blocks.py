"""Blocks: added, taken out and expired, each with its entry in the audit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from remora.server.domain import (
    BLOCKS_LIMIT,
    AuditEntry,
    Block,
    BlockIndex,
    TooManyBlocksError,
    UnknownBlockError,
    make_block,
    now_ns,
    read_actor,
)
from remora.server.operations.probes import EXPIRY

if TYPE_CHECKING:
    from remora.server.operations.instances import Instances
    from remora.server.store import Store


class Blocks:
    """The blocks, held in memory and written through to the store."""

    def __init__(self, store: Store, instances: Instances) -> None:
        self._store = store
        self._instances = instances
        self._blocks: dict[tuple[str, str], Block] = {}
        self._index = BlockIndex(())
        # One change at a time: what is pushed follows the order of what is stored.
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read what the store has."""
        self._blocks = {each.key: each for each in await self._store.blocks.all()}
        self._index = BlockIndex(self.all())
        # The probes, which come next, are pushed together with these.
        self._instances.know_blocks(self.all())

    def all(self) -> list[Block]:
        """Every block, the oldest first."""
        return list(self._blocks.values())

    def of(self, app: str, actor: str) -> Block | None:
        """What blocks an actor in an app: by its name, or by a network around it."""
        return self._index.find(app, actor)

    async def add(
        self, actor: str, *, app: str, reason: str, expires: str, who: str
    ) -> Block:
        """Block somebody, or put other words to a block that is.

        Raises WireError, ProbeError, TooManyBlocksError.
        """
        async with self._changing:
            block = make_block(
                actor, app=app, reason=reason, expires=expires, now=now_ns(), who=who
            )
            old = self._blocks.get(block.key)
            if old is None and len(self._blocks) >= BLOCKS_LIMIT:
                raise TooManyBlocksError(
                    f"there are {BLOCKS_LIMIT} blocks, the most that are kept: take "
                    "some out, or block networks"
                )
            entry = AuditEntry(
                block.created,
                who,
                "block-add",
                block.actor,
                old=None if old is None else old.to_json(),
                new=block.to_json(),
            )
            await self._store.blocks.save(block, entry)
            self._blocks[block.key] = block
            await self._push()
        return block

    async def remove(self, actor: str, *, app: str, who: str) -> None:
        """Let somebody in again. Raises WireError, UnknownBlockError."""
        async with self._changing:
            key = app, read_actor(actor)
            block = self._blocks.get(key)
            if block is None:
                where = f"in {app[:60]!r}" if app else "in every app"
                raise UnknownBlockError(
                    f"{key[1]!r} is not blocked {where}: list the blocks, and name "
                    "the actor and the app as they stand there"
                )
            await self._take_out(block, who)

    async def expire(self) -> None:
        """Take out the blocks whose time has come."""
        now = now_ns()
        for block in self.all():
            if 0 < block.expires_at <= now:
                async with self._changing:
                    if self._blocks.get(block.key) is block:
                        await self._take_out(block, EXPIRY)

    async def _take_out(self, block: Block, who: str) -> None:
        action = "block-expire" if who == EXPIRY else "block-remove"
        entry = AuditEntry(now_ns(), who, action, block.actor, old=block.to_json())
        await self._store.blocks.remove(block, entry)
        del self._blocks[block.key]
        await self._push()

    async def _push(self) -> None:
        self._index = BlockIndex(self.all())
        await self._instances.block(self.all(), await self._store.next_sequence())
