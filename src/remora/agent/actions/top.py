"""The table of a `top`: bounded, and never without a key that counts much.

When it is full, the half of the rows that count least makes room at once, and rows that
come later may have been counted up to that much before: `missed`. Each time at least
500 of the rows that stay count that much more than before, so after n firings of an
interval `missed` is at most n / 500 (space-saving, Metwally and others 2005, with the
eviction in bulk of Apache DataSketches' frequent items). A key with more than one in
500 of the firings is therefore there, and its count at most so much too low.

The gates of other threads may be adding to a row while it is evicted: that one firing
is then missed as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.actions.aggregate import FOLDED, ROWS_LIMIT, Table

if TYPE_CHECKING:
    from remora.agent.interception import AppValue

_COUNT, _BASE = 0, 7


class TopTable(Table):
    """Rows of the keys that count most; the others are folded when it is taken.

    A row has one field more: what its count is compared from within the interval.
    """

    __slots__ = ("_cut", "_floor", "_top", "_turns")

    def __init__(self, top: int) -> None:
        super().__init__()
        self._top = top
        self._cut = 0
        self._floor = 0
        # Whoever takes the one turn evicts: a lock would make the others wait.
        self._turns = [True]

    def new_row(self, key: object) -> list[AppValue]:
        """The row of a key that has none yet; may take the places of others."""
        if len(self._rows) >= ROWS_LIMIT and key not in self._rows:
            self._make_room()
            if len(self._rows) >= ROWS_LIMIT:
                key = FOLDED
        return self._rows.setdefault(key, [0, 0, None, None, {}, 0, 0, -self._floor])

    def _make_room(self) -> None:
        """Evict the half that counts least in this interval."""
        try:
            turn = self._turns.pop()
        except IndexError:
            return
        try:
            rows = sorted(self._rows.copy().items(), key=_weight)
            for key, row in rows[: len(rows) // 2]:
                if self._rows.pop(key, None) is None:
                    continue
                shipped = self._shipped.pop(key, None)
                self._cut += row[_COUNT] - (shipped[_COUNT] if shipped else 0)
                self._forgotten += row[_COUNT]
                self._floor = max(self._floor, _weight((key, row)))
        finally:
            self._turns.append(turn)

    def take_differences(self) -> list[tuple[object, list[AppValue]]]:
        """The rows that count most since the last time, the others as one."""
        taken = super().take_differences()
        self.missed, self._floor = self._floor, 0
        cut, self._cut = self._cut, 0
        for row in self._rows.copy().values():
            row[_BASE] = row[_COUNT]
        if not self._turns:
            # the thread that had the turn may have stayed behind at a fork
            self._turns.append(True)
        taken.sort(key=_most_first)
        kept = [pair for pair in taken if pair[0] != FOLDED][: self._top]
        rest = cut + sum(r[_COUNT] for _, r in taken) - sum(r[_COUNT] for _, r in kept)
        if rest > 0:
            kept.append((FOLDED, [rest, 0, None, None, {}, 0, 0]))
        return kept


def _weight(entry: tuple[object, list[AppValue]]) -> int:
    return entry[1][_COUNT] - entry[1][_BASE]


def _most_first(entry: tuple[object, list[AppValue]]) -> int:
    return -entry[1][_COUNT]
