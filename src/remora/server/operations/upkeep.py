"""What the server does on its own: expiry, pruning, writing down who was seen."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from remora.server.config import ATTACKS_SHARE
from remora.server.domain import now_ns, to_ns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from remora.server.operations.operations import Operations

_LOG = logging.getLogger("remora.server")

EXPIRY_EVERY_S = 0.5
"""So that a probe is taken out within a second of its time."""

FLUSH_EVERY_S = 5.0
"""What a crash may lose of the times at which instances were last seen."""

PRUNE_EVERY_S = 60.0
"""A minute of ingest is far below the least sensible size of a store."""

BATCH_IDS_S = 86400.0
"""Agents give up a batch long before a day has passed."""


@asynccontextmanager
async def upkeep(operations: Operations) -> AsyncGenerator[None]:
    """Keep house during this block."""
    tasks = [
        asyncio.create_task(
            _every(EXPIRY_EVERY_S, operations.probes.expire, operations)
        ),
        asyncio.create_task(
            _every(EXPIRY_EVERY_S, operations.blocks.expire, operations)
        ),
        asyncio.create_task(
            _every(EXPIRY_EVERY_S, operations.rules.expire, operations)
        ),
        asyncio.create_task(
            _every(FLUSH_EVERY_S, operations.instances.flush, operations)
        ),
        asyncio.create_task(
            _every(PRUNE_EVERY_S, lambda: prune(operations), operations)
        ),
        asyncio.create_task(operations.notifier.run()),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await operations.instances.flush()


async def prune(operations: Operations) -> None:
    """Remove what is older than the settings allow, or too much."""
    settings, store = operations.settings, operations.store
    now = now_ns()
    oldest = max(0, now - to_ns(settings.keep_s))
    operations.counters.pruned += await store.records.prune(
        oldest, settings.max_size_bytes
    )
    operations.counters.pruned += await store.attacks.prune(
        max(0, now - to_ns(settings.attacks_kept_s)),
        settings.max_size_bytes // ATTACKS_SHARE,
    )
    await store.records.prune_batches(now - to_ns(BATCH_IDS_S))
    await operations.instances.forget(oldest)
    await operations.credentials.forget_expired()


async def _every(
    seconds: float, work: Callable[[], Awaitable[None]], operations: Operations
) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception:  # noqa: BLE001 - the boundary of background work
            operations.counters.errors["background"] += 1
            _LOG.exception("background work failed; it is tried again")
