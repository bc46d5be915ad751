"""A file that switches the agent off, looked at by whoever still runs.

The agent's thread looks at it at each tick. Where that thread is stuck (a name that
does not resolve, a disk that does not answer) or was never started, the app's own
threads do, at most once a second: the garbage collector calls back wherever a program
allocates, so no probe pays for it, and without a kill file there is no callback.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from remora.agent.runtime import guard, originals

if TYPE_CHECKING:
    from collections.abc import Callable

STUCK_S = 5.0
"""So long after its last tick the agent's thread counts as stuck; ten ticks."""

LOOK_S = 1.0
"""Between two looks of the app's threads: one stat() a second is not felt."""


def is_there(path: str) -> bool:
    """Whether the file exists; what cannot be looked at does not."""
    try:
        originals.stat(path)
    except OSError:
        return False
    return True


class KillFile:
    """Calls `found` until that returns True, once there is a file at `path`.

    `found` may be called in any thread of the app, between any two of its instructions.
    """

    def __init__(self, path: str, found: Callable[[], bool]) -> None:
        self.path = path
        self._found = found
        self._is_done = False
        self._due = 0.0

    def watch(self) -> Callable[[], None]:
        """Let the app's threads look where ours does not. Returns the undo."""
        callback = self._collecting
        gc.callbacks.append(callback)

        def undo() -> None:
            if callback in gc.callbacks:
                gc.callbacks.remove(callback)

        return undo

    def look(self) -> None:
        """Look now, and let nobody else look as long as this goes on."""
        self._due = originals.monotonic() + STUCK_S
        self._look()

    def _look(self) -> None:
        if not self._is_done and is_there(self.path):
            self._is_done = self._found()

    def _collecting(self, _phase: str, _statistics: dict[str, int]) -> None:
        now = originals.monotonic()
        if now < self._due or self._is_done:
            return
        self._due = now + LOOK_S
        try:
            guard.run(self._look)
        except KeyboardInterrupt:
            # A Ctrl-C that happened to arrive here is the app's: deliver it again.
            originals.interrupt_main()
