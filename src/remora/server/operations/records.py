"""Records: taken in once each, found again, and shown as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.server.domain import RecordFilter, detector_label, now_ns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from remora.server.domain import Batch, StoredRecord
    from remora.server.operations.counters import Counters
    from remora.server.operations.hub import Hub
    from remora.server.operations.notices import Notifier
    from remora.server.store import RecordStore

FOLLOW_ROWS = 200
"""Records read in one go for a watcher: a screenful, and no long answer to build."""


class Records:
    """The way of records into the store and out of it."""

    def __init__(
        self, store: RecordStore, hub: Hub, counters: Counters, notifier: Notifier
    ) -> None:
        self._store = store
        self._hub = hub
        self._counters = counters
        self._notifier = notifier

    async def ingest(self, batch: Batch) -> bool:
        """Store a batch and wake its watchers; False if it was stored before."""
        if not await self._store.ingest(batch, now_ns()):
            self._counters.duplicate_batches += 1
            return False
        self._counters.batches += 1
        self._counters.records += len(batch.records)
        self._counters.drops.update(batch.drops)
        if batch.records:
            probes = {record.probe for record in batch.records}
            self._hub.records_arrived(batch.instance, probes)
        if batch.attacks:
            for _, _, attack in batch.attacks:
                label = detector_label(attack.detector)
                if attack.excepted:
                    self._counters.excepted[label] += 1
                else:
                    self._counters.attacks[label, attack.blocked] += 1
            self._notifier.tell(batch)
        return True

    async def find(self, wanted: RecordFilter) -> list[StoredRecord]:
        """The records that are asked for."""
        return await self._store.find(wanted)

    async def last_id(self) -> int:
        """The id of the newest record, 0 where there is none."""
        newest = await self._store.find(RecordFilter(limit=1))
        return newest[0].id if newest else 0

    async def follow(
        self, probe: str, instance: str, after: int, ping_s: float
    ) -> AsyncGenerator[list[StoredRecord]]:
        """Records above the id `after` as they arrive; an empty list every `ping_s`.

        It ends when the server stops. A slow reader falls behind and misses nothing:
        the store is its queue.
        """
        with self._hub.watching(probe, instance) as watcher:
            while not self._hub.closing:
                found = await self._store.find(
                    RecordFilter(probe, instance, after=after, limit=FOLLOW_ROWS)
                )
                if found:
                    after = found[-1].id
                    yield found
                if len(found) < FOLLOW_ROWS and not await watcher.wait(ping_s):
                    yield []
