"""Records become JSON, and JSON becomes batches. No I/O here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.reporting.encoding import encode_json
from remora.agent.runtime.originals import time_ns, urandom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from remora.agent.reporting.drops import Drops
    from remora.agent.reporting.queue import Record

    Prepare = Callable[[dict[str, object]], dict[str, object]]

BATCH_RECORDS = 500
BATCH_BYTES = 512 * 2**10
"""Together the protocol's limits: a batch compresses and sends in a few slices."""

BATCH_AGE_S = 1.0
"""How long a lonely record waits for company: eyes do not mind a second."""

RECORD_BYTES = 256 * 2**10
"""Half a batch: what is larger would be no observation but a copy of the app's data."""

_ENVELOPE_BYTES = 2048


class Batch:
    """Encoded records that travel together, and what was dropped before them."""

    __slots__ = ("drops", "id", "records", "size")

    def __init__(self, records: list[bytes], size: int, drops: dict[str, int]) -> None:
        self.id = urandom(16).hex()
        self.records = records
        self.size = size
        self.drops = drops

    def pieces(self, instance: str, piece_bytes: int) -> Iterator[bytes]:
        """The message of docs/protocol.md, section Batch, in pieces."""
        head = {"batch": self.id, "instance": instance, "sent": time_ns()}
        yield encode_json(head)[:-1] + b',"records":['
        piece: list[bytes] = []
        size = 0
        for position, record in enumerate(self.records):
            piece.append(b"," + record if position else record)
            size += len(record)
            if size >= piece_bytes:
                yield b"".join(piece)
                piece, size = [], 0
        yield b"".join(piece)
        yield b'],"drops":' + encode_json(self.drops) + b"}"


class Batcher:
    """Collects encoded records until a batch is full or old enough."""

    def __init__(self, drops: Drops) -> None:
        self._drops = drops
        self._records: list[bytes] = []
        self._size = 0
        self._oldest = 0.0

    def add(self, record: bytes, now: float) -> Batch | None:
        """Take one encoded record; a batch where the record did not fit any more."""
        sealed = None
        if self._size + len(record) + 1 > BATCH_BYTES - _ENVELOPE_BYTES:
            sealed = self.seal()
        if not self._records:
            self._oldest = now
        self._records.append(record)
        self._size += len(record) + 1
        return sealed

    @property
    def is_full(self) -> bool:
        """Whether the batch holds as many records as it may."""
        return len(self._records) >= BATCH_RECORDS

    @property
    def due(self) -> float | None:
        """When the batch is old enough to go, or None where it is empty."""
        return self._oldest + BATCH_AGE_S if self._records else None

    def __len__(self) -> int:
        return len(self._records)

    def seal(self) -> Batch:
        """End the batch, which may be empty and then only carries counts of drops."""
        batch = Batch(self._records, self._size, self._drops.take())
        self._records, self._size = [], 0
        return batch


def encode_record(record: Record, prepare: Prepare, drops: Drops) -> bytes | None:
    """One record as UTF-8 JSON, or None where it was dropped and counted.

    This is the one boundary around the encoders of actions: whatever is wrong with a
    record costs that record alone.
    """
    encode, *fields = record
    try:
        data = encode_json(prepare(encode(*fields)))  # pyright: ignore[reportCallIssue] - by the queue's contract it is callable
    except Exception:  # noqa: BLE001 - the documented boundary of a record
        drops.add("not-encodable")
        return None
    if len(data) > RECORD_BYTES:
        drops.add("too-large")
        return None
    if not data.startswith(b'{"'):
        drops.add("not-encodable")
        return None
    return data
