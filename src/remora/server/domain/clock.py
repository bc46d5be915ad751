"""The server's clock: nanoseconds since the epoch, in UTC, as on the wire."""

from __future__ import annotations

from time import time_ns

SECOND_NS = 1_000_000_000


def now_ns() -> int:
    """The time of day."""
    return time_ns()


def to_ns(seconds: float) -> int:
    """A span of time in the unit of the clock."""
    return int(seconds * SECOND_NS)
