"""What was dropped, by reason: no record is lost without being counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remora.agent.diagnostics import Diagnostics
    from remora.agent.reporting.queue import Queue

_MEANINGS = {
    "queue-full": "the queue is full",
    "queue-bytes": "the queue holds as many bytes as it may",
    "too-large": "a record is larger than 256 KiB",
    "not-encodable": "a record cannot be written as JSON",
    "refused": "the server refused a batch",
    "file": "the records file cannot be written",
    "exit": "the process ended before they were delivered",
}


class Drops:
    """Counts by reason: in all, and those that no server has acknowledged yet.

    Only the worker's thread changes them; the queue's own counts are read from it.
    """

    def __init__(self, queue: Queue, diagnostics: Diagnostics) -> None:
        self._queue = queue
        self._diagnostics = diagnostics
        self._seen: dict[str, int] = {}
        self._unsent: dict[str, int] = {}
        self.totals: dict[str, int] = {}

    def add(self, reason: str, count: int = 1) -> None:
        """Count records lost for this reason; the log names each reason once."""
        if count <= 0:
            return
        self.totals[reason] = self.totals.get(reason, 0) + count
        self._unsent[reason] = self._unsent.get(reason, 0) + count
        self._diagnostics.say_once(
            f"records are dropped ({reason}): {_MEANINGS.get(reason, reason)}"
        )

    @property
    def counts(self) -> dict[str, int]:
        """All that was dropped so far, the queue's part included. For any thread."""
        refused = {k: n for k, n in self._queue.drops.items() if n}
        return {**self.totals, **refused}

    def refresh(self) -> None:
        """Take over what the queue refused since the last look."""
        for reason, total in self._queue.drops.items():
            fresh = total - self._seen.get(reason, 0)
            self._seen[reason] = total
            self.add(reason, fresh)

    @property
    def has_unsent(self) -> bool:
        """Whether there are counts that no batch carries."""
        return bool(self._unsent)

    def take(self) -> dict[str, int]:
        """The counts for the next batch, which now carries them."""
        self.refresh()
        taken, self._unsent = self._unsent, {}
        return taken

    def give_back(self, counts: dict[str, int]) -> None:
        """A batch was given up: its counts go with the next one."""
        for reason, count in counts.items():
            self._unsent[reason] = self._unsent.get(reason, 0) + count

    def after_fork_in_child(self) -> None:
        """Start from nothing: the parent reports what happened before."""
        self._seen = {}
        self._unsent = {}
        self.totals = {}
