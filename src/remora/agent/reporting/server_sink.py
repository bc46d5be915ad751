"""Batches go to the server, each until it is acknowledged or refused for good."""

from __future__ import annotations

import zlib
from collections import deque
from typing import TYPE_CHECKING

from remora.agent.reporting.answer import Payload
from remora.agent.reporting.backoff import Backoff
from remora.agent.reporting.queue import LIMIT_BYTES
from remora.agent.reporting.waiting import NEVER, Routine, Wait
from remora.errors import (
    ConfigError,
    RequestRefusedError,
    ServerUnreachableError,
    TokenRefusedError,
    WireError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.agent.reporting.answer import Answer
    from remora.agent.reporting.batch import Batch
    from remora.agent.reporting.client import Client
    from remora.agent.reporting.drops import Drops

PATH = "/agent/v1/records"

TRIES_WHEN_REFUSED = 3
"""A refusal (4xx) may be a server in the middle of an update; a third one is meant."""

PIECE_BYTES = 32 * 2**10
"""Compressed at a time: about 0.3 ms, in which zlib lets the app's threads run."""

WAITING_RECORDS = 1_000
"""One batch in flight and one behind it: the rest waits in the queue, as tuples."""

_COMPRESSION_LEVEL = 1
_RETRY_STATUSES = frozenset({408, 425, 429})


class ServerSink:
    """Sends batches to the server in order, one at a time.

    `instance` gives the id under which this process is registered, or None while it is
    not; `on_unknown` is told when the server does not know that id (any more).
    `limit_records` bounds what may wait here, besides LIMIT_BYTES.
    """

    def __init__(
        self,
        client: Client,
        drops: Drops,
        instance: Callable[[], str | None],
        on_unknown: Callable[[], None],
    ) -> None:
        self._client = client
        self._drops = drops
        self._instance = instance
        self._on_unknown = on_unknown
        self.limit_records = WAITING_RECORDS
        self._batches: deque[Batch] = deque()
        self._waiting_records = 0
        self._waiting_bytes = 0
        self.delivered = 0

    @property
    def has_room(self) -> bool:
        """Whether another batch may be given."""
        return (
            self._waiting_records < self.limit_records
            and self._waiting_bytes < LIMIT_BYTES
        )

    @property
    def is_empty(self) -> bool:
        """Whether everything was delivered or given up."""
        return not self._batches

    def give(self, batch: Batch) -> None:
        """Take a batch over."""
        self._batches.append(batch)
        self._waiting_records += len(batch.records)
        self._waiting_bytes += batch.size

    def abandon(self) -> int:
        """Give up everything; how many records that were."""
        lost = self._waiting_records
        self._batches.clear()
        self._waiting_records = 0
        self._waiting_bytes = 0
        return lost

    def after_fork_in_child(self) -> None:
        """The parent has the same batches and sends them."""
        self.abandon()
        self.delivered = 0

    def run(self) -> Routine[None]:
        """Deliver, for ever."""
        while True:
            yield Wait(until=NEVER, ready=self._can_deliver)
            yield from self._deliver(self._batches[0])
            done = self._batches.popleft()
            self._waiting_records -= len(done.records)
            self._waiting_bytes -= done.size

    def _can_deliver(self) -> bool:
        return bool(self._batches) and self._instance() is not None

    def _deliver(self, batch: Batch) -> Routine[None]:
        backoff = Backoff()
        refusals = 0
        payload: Payload | None = None
        packed_for = ""
        while True:
            yield Wait(until=NEVER, ready=lambda: self._instance() is not None)
            instance = self._instance() or ""
            if payload is None or packed_for != instance:
                payload = yield from pack(batch, instance)
                packed_for = instance
            answer = yield from self._post(payload)
            if answer is not None and answer.status < 300:
                self.delivered += len(batch.records)
                return
            if answer is not None and answer.status == 409:
                self._on_unknown()
            elif answer is not None and _is_refusal(answer.status):
                refusals += 1
                if refusals >= TRIES_WHEN_REFUSED:
                    self._give_up(batch)
                    return
            now = yield Wait()
            after_s = answer.retry_after_s if answer is not None else None
            yield Wait(until=now + (backoff.next_s() if after_s is None else after_s))

    def _post(self, payload: Payload) -> Routine[Answer | None]:
        """One try; None where there was no answer. The client tells the log."""
        try:
            return (yield from self._client.request("POST", PATH, payload))
        except (
            ServerUnreachableError,
            WireError,
            ConfigError,
            TokenRefusedError,
            RequestRefusedError,
        ):
            return None

    def _give_up(self, batch: Batch) -> None:
        self._drops.give_back(batch.drops)
        self._drops.add("refused", len(batch.records))


def _is_refusal(status: int) -> bool:
    return 300 <= status < 500 and status not in _RETRY_STATUSES


def pack(batch: Batch, instance: str) -> Routine[Payload]:
    """Compress a batch, a piece at a step."""
    compressor = zlib.compressobj(_COMPRESSION_LEVEL)
    packed: list[bytes] = []
    for piece in batch.pieces(instance, PIECE_BYTES):
        packed.append(compressor.compress(piece))
        yield Wait()
    packed.append(compressor.flush())
    return Payload(b"".join(packed), "deflate")
