"""What this process counts since it started, for /metrics."""

from __future__ import annotations

from collections import Counter


class Counters:
    """Plain numbers, changed in the event loop's thread only."""

    def __init__(self) -> None:
        self.records = 0
        self.batches = 0
        self.duplicate_batches = 0
        self.pushes = 0
        self.pruned = 0
        self.drops: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.attacks: Counter[tuple[str, bool]] = Counter()
        self.excepted: Counter[str] = Counter()
        self.notices: Counter[str] = Counter()
