"""Records that wait for the end of their request: a ring, and a bound for all rings.

What a record is, and whether it is kept in the end, is known to the room above.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from remora.expression import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable

HELD_RECORDS = 100
"""Records of one request: what came last before its end tells most."""

HELD_BYTES = 4 * 2**20
"""Bytes of all requests together, half of what the queue itself may hold."""


class Entry:
    """One record that waits, and what is done with it once `keep` was asked."""

    __slots__ = ("deliver", "discard", "drop", "keep", "size")

    def __init__(
        self,
        keep: Callable[..., bool],
        size: int,
        deliver: Callable[[], object],
        discard: Callable[[], object],
        drop: Callable[[], object],
    ) -> None:
        self.keep = keep
        self.size = size
        self.deliver = deliver
        self.discard = discard
        self.drop = drop


class Held:
    """The ring of one request. Its tasks and threads may add at the same time."""

    __slots__ = ("_entries",)

    total = 0
    """Bytes that wait in all rings."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()

    def add(self, entry: Entry) -> None:
        """Hold one more; the oldest gives way, and what is too much is dropped."""
        if Held.total + entry.size > HELD_BYTES:
            entry.drop()
            return
        Held.total += entry.size
        self._entries.append(entry)
        if len(self._entries) > HELD_RECORDS:
            self._take_first().drop()

    def release(self, *ending: object) -> None:
        """Deliver or discard all, as each one's `keep` says of this ending.

        What is None there, a failure that was none, is missing for `keep`.
        """
        ending = tuple(MISSING if each is None else each for each in ending)
        verdicts: dict[Callable[..., bool], bool] = {}
        while self._entries:
            entry = self._take_first()
            if entry.keep not in verdicts:
                verdicts[entry.keep] = entry.keep(*ending)
            if verdicts[entry.keep]:
                entry.deliver()
            else:
                entry.discard()

    def _take_first(self) -> Entry:
        entry = self._entries.popleft()
        # by the class of this ring: at the interpreter's end the name may be gone
        self.__class__.total -= entry.size
        return entry

    def __del__(self) -> None:
        """A request that nobody ended gives its bytes back."""
        while self._entries:
            self._take_first()
