"""Finds a thread of a process that can be borrowed: it sleeps and holds no lock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from remora.boot.attach.process import read_system_call, threads_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from remora.boot.attach.architecture import Architecture

LOOK_S = 0.002
"""Between two looks at a process: far below what a person notices."""
_SEARCH_S = 0.02
"""So long a sleeping thread is looked for before the pending call is taken."""
_FUTEX_WAIT_BITSET = 9
_FUTEX_COMMANDS = 0x7F
_SHORT_WAIT = 3
"""The rank of a wait that may end any moment."""


def find_parked(pid: int, architecture: Architecture) -> Generator[str, None, int]:
    """The best thread to borrow, or 0."""
    until = time.monotonic() + _SEARCH_S
    while True:
        ranked = [
            (rank, thread)
            for thread in threads_of(pid)
            if (rank := _rank(read_system_call(pid, thread), architecture)) is not None
        ]
        if ranked:
            return min(ranked, key=lambda row: row[0])[1]
        if time.monotonic() > until:
            return 0
        time.sleep(LOOK_S)
        yield "looking for a sleeping thread"


def may_be_stopped(pid: int, architecture: Architecture) -> bool:
    """Whether a stop of the main thread, wherever it is, is no harm to the program.

    In a system call that is not known to be taken up again it may be one: a write that
    waits for its reader ends, and the program hears that only a part was written.
    """
    words = read_system_call(pid, pid)
    if not words or words[0] == architecture.futex:
        return True
    return words[0] in architecture.parked


def _rank(words: list[int], architecture: Architecture) -> int | None:
    """How well a thread in this call can be borrowed; None for not at all.

    A plain futex wait may be a lock of the C library, which our call would need;
    Python's own locks and condition variables wait with a bit set. Where the fourth
    argument limits the wait, it may be for the interpreter lock, a few milliseconds.
    """
    if not words:
        return None
    rank = architecture.parked.get(words[0])
    if words[0] != architecture.futex:
        return rank
    if words[2] & _FUTEX_COMMANDS != _FUTEX_WAIT_BITSET:
        return None
    return _SHORT_WAIT if words[4] else rank
