"""The queue between the app's threads and the agent's: bounded, without a lock.

`put` runs in hooks, so also in a signal handler or a destructor that interrupts
another `put`. Therefore there is no lock (it would deadlock on itself), nothing that
can call the app's code, and no I/O but the byte by which an important record wakes the
worker. What a race can do is said at each place.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Record = tuple[object, ...]
"""`(encode, *fields)`: the worker calls `encode(*fields)` and gets the JSON object."""

LIMIT_RECORDS = 10_000
"""Half a second at the 20,000 records a second that the worker ships: enough for a
burst or a reconnect, and a bound on what a dead server can cost."""

LIMIT_BYTES = 8 * 2**20
"""Memory that an app can be asked to give up while its server is away."""

RESERVED_SHARE = 10
"""One part in so many is kept for important records: a flood of logs must not be the
way to hide an attack."""


class Queue:
    """Records on their way to the worker. When full, the newest is refused.

    `on_first` is called by the first `put` after construction, fork or `rearm`: it
    starts the worker where no thread runs before there is a record. `on_important` is
    called after each important one, and `is_pressing` is true from then on.
    """

    __slots__ = (
        "_bytes_in",
        "_bytes_out",
        "_is_quiet",
        "_limit_bytes",
        "_limit_records",
        "_on_first",
        "_on_important",
        "_plain_bytes",
        "_plain_records",
        "_records",
        "_refused_bytes",
        "_refused_full",
        "is_pressing",
    )

    def __init__(
        self,
        limit_records: int = LIMIT_RECORDS,
        limit_bytes: int = LIMIT_BYTES,
        on_first: Callable[[], object] | None = None,
        on_important: Callable[[], object] | None = None,
    ) -> None:
        self._limit_records = limit_records
        self._limit_bytes = limit_bytes
        self._plain_records = limit_records - limit_records // RESERVED_SHARE
        self._plain_bytes = limit_bytes - limit_bytes // RESERVED_SHARE
        self._on_first = on_first
        self._on_important = on_important
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._records: deque[tuple[int, Record]] = deque()
        # Two counters with one kind of writer each. Two threads that add to `_bytes_in`
        # at once can lose one addition: the bound is then loose by a record until the
        # worker finds the queue empty and sets the two counters level again.
        self._bytes_in = 0
        self._bytes_out = 0
        # next() on an itertools.count is one step under the interpreter's lock, so no
        # refusal is lost however many threads are refused at once.
        self._refused_full = count()
        self._refused_bytes = count()
        self._is_quiet = True
        self.is_pressing = False

    def put(self, record: Record, size: int, important: bool = False) -> bool:  # noqa: FBT001, FBT002 - the hot path: a positional flag is the cheapest
        """Append a record of about `size` bytes; False where it was refused."""
        records = self._records
        if len(records) >= (self._limit_records if important else self._plain_records):
            next(self._refused_full)
            return False
        if self._bytes_in - self._bytes_out + size > (
            self._limit_bytes if important else self._plain_bytes
        ):
            next(self._refused_bytes)
            return False
        self._bytes_in += size
        records.append((size, record))
        if self._is_quiet:
            self._is_quiet = False
            if self._on_first is not None:
                self._on_first()
        if important:
            self.is_pressing = True
            if self._on_important is not None:
                self._on_important()
        return True

    def take(self) -> Record | None:
        """The oldest record, or None. Only the worker calls this."""
        try:
            size, record = self._records.popleft()
        except IndexError:
            self._bytes_out = self._bytes_in
            return None
        self._bytes_out += size
        return record

    def rearm(self) -> None:
        """Call `on_first` again at the next record: the worker was stopped."""
        self._is_quiet = True

    def after_fork_in_child(self) -> None:
        """Drop everything: the parent has the same records and sends them."""
        self._start_afresh()

    def __len__(self) -> int:
        return len(self._records)

    @property
    def size_bytes(self) -> int:
        """About how many bytes wait."""
        return max(0, self._bytes_in - self._bytes_out)

    @property
    def drops(self) -> dict[str, int]:
        """How many records were refused so far, by reason."""
        return {
            "queue-full": _reached(self._refused_full),
            "queue-bytes": _reached(self._refused_bytes),
        }


def _reached(counter: count[int]) -> int:
    """Read a counter without stepping it: its text form is the only way to look."""
    return int(repr(counter)[len("count(") : -1])
