"""The table behind `count`: rows that only grow, shipped as differences.

Rules of this file
- Gates add in the app's threads without a lock (`add` written out, with the measures:
  probes/gate.py). Every update of a row is one statement without a call between its
  read and its write, and CPython hands the GIL over only at calls and backward jumps:
  two threads cannot lose a count.
- Rows are therefore never reset. The worker remembers what it has shipped and sends the
  difference. A row that stood still for a whole interval leaves the table; a thread may
  have looked it up just before, so it is watched for a while longer.
- Types are compared with `is`: looking one up in a set would run its metaclass's code.
"""

from __future__ import annotations

from math import floor, inf, log2
from typing import TYPE_CHECKING

from remora.agent.runtime import originals
from remora.expression import Missing, render_text

if TYPE_CHECKING:
    from remora.agent.interception import AppValue

ROWS_LIMIT = 1000
"""Rows of one table: more keys than anybody reads, and at most some 300 KiB. Further
keys are folded into one row, and the record says so."""

_KEY_TEXT_LIMIT = 256

FOLDED = ("folded",)
"""Key of the row that takes what found no place."""

_WATCHED_NS = 2_000_000_000
"""A row that has left is watched for so long: no thread that is in the middle of `add`
waits longer for its turn."""

_COUNT, _SUM, _MIN, _MAX, _HISTOGRAM, _AVERAGE = range(6)
"""Fields of a row; of an average there are two, the sum and how many numbers."""


def plain_key(value: AppValue) -> object:
    """A hashable stand-in for a key, that no code of the app takes part in.

    Numbers go with their type: 1, 1.0 and True are three keys, not one.
    """
    kind = type(value)
    if kind is str:
        return value if len(value) <= _KEY_TEXT_LIMIT else value[:_KEY_TEXT_LIMIT]
    if kind is int or kind is float or kind is bool or value is None:
        return (kind.__name__, value)
    if kind is Missing:
        return ("missing", value.reason)
    return ("text", render_text(value))


class Table:
    """Counts by key, with sum, least, greatest, histogram and average where asked for.

    `missed` bounds what a row that was taken last may be counted too low.
    """

    __slots__ = (
        "_forgotten",
        "_left",
        "_rows",
        "_shipped",
        "find",
        "missed",
    )

    def __init__(self) -> None:
        self.missed = 0
        self._forgotten = 0
        self._left: list[tuple[int, object, list[AppValue], list[AppValue]]] = []
        self._rows: dict[object, list[AppValue]] = {}
        self.find = self._rows.get
        self._shipped: dict[object, list[AppValue]] = {}

    def add(self, key: object) -> None:
        """Count one firing."""
        row = self.find(key)
        if row is None:
            row = self.new_row(key)
        row[_COUNT] += 1

    def new_row(self, key: object) -> list[AppValue]:
        """The row of a key that has none yet."""
        if len(self._rows) >= ROWS_LIMIT and key not in self._rows:
            key = FOLDED
        return self._rows.setdefault(key, [0, 0, None, None, {}, 0, 0])

    def take_differences(self) -> list[tuple[object, list[AppValue]]]:
        """Rows with what came since the last time; for the worker alone."""
        taken: list[tuple[object, list[AppValue]]] = []
        self._take_left(taken)
        for key, row in self._rows.copy().items():
            # least and greatest belong to the interval, so they start anew
            low, high = row[_MIN], row[_MAX]
            row[_MIN] = row[_MAX] = None
            now: list[AppValue] = [
                row[_COUNT],
                row[_SUM],
                low,
                high,
                dict(row[_HISTOGRAM]),
                *row[_AVERAGE : _AVERAGE + 2],
            ]
            before = self._shipped.get(key)
            if before is None:
                taken.append((key, now))
            elif _has_grown(now, before):
                taken.append((key, _difference(now, before)))
            else:
                self._rows.pop(key, None)
                self._shipped.pop(key, None)
                until = originals.monotonic_ns() + _WATCHED_NS
                self._left.append((until, key, row, now))
                continue
            self._shipped[key] = now
            if self._rows.get(key) is not row:
                # evicted meanwhile: the key's next row starts anew
                self._shipped.pop(key, None)
        return taken

    def _take_left(self, taken: list[tuple[object, list[AppValue]]]) -> None:
        """Take what was added to rows while they left the table."""
        watched: list[tuple[int, object, list[AppValue], list[AppValue]]] = []
        moment = originals.monotonic_ns()
        for until, key, row, before in self._left:
            now = row.copy()
            now[_HISTOGRAM] = dict(row[_HISTOGRAM])
            if _has_grown(now, before):
                taken.append((key, _difference(now, before)))
            if moment < until:
                watched.append((until, key, row, now))
            else:
                self._forgotten += now[_COUNT]
        self._left = watched

    @property
    def firings(self) -> int:
        """All firings so far."""
        rows = [*self._rows.copy().values(), *(row for _, _, row, _ in self._left)]
        return self._forgotten + sum(row[_COUNT] for row in rows)


def _has_grown(now: list[AppValue], before: list[AppValue]) -> bool:
    """Whether something was added; lists look at identity first: NaN is no change."""
    return now[:_MIN] != before[:_MIN] or now[_HISTOGRAM] != before[_HISTOGRAM]


def _difference(now: list[AppValue], before: list[AppValue]) -> list[AppValue]:
    buckets = {
        bucket: count - before[_HISTOGRAM].get(bucket, 0)
        for bucket, count in now[_HISTOGRAM].items()
        if count != before[_HISTOGRAM].get(bucket, 0)
    }
    return [
        now[_COUNT] - before[_COUNT],
        now[_SUM] - before[_SUM],
        now[_MIN],
        now[_MAX],
        buckets,
        now[_AVERAGE] - before[_AVERAGE],
        now[_AVERAGE + 1] - before[_AVERAGE + 1],
    ]


def count_size(buckets: dict[int | str, int], value: float) -> None:
    """Add one to the bucket of a number: four to each doubling (docs/protocol.md)."""
    try:
        bucket = floor(log2(value) * 4)
    except (ValueError, OverflowError):
        bucket = _odd_bucket(value)
    try:
        buckets[bucket] += 1
    except KeyError:
        buckets.setdefault(bucket, 0)
        buckets[bucket] += 1


def _odd_bucket(value: float) -> str:
    """The bucket of what has no logarithm."""
    if value == 0:
        return "zero"
    if value != value:  # noqa: PLR0124 - NaN is the number unlike itself
        return "nan"
    if value in {inf, -inf}:
        return "inf"
    return f"n:{floor(log2(-value) * 4)}"
