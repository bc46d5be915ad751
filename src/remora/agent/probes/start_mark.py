"""A mark that a start leaves behind if the process dies of it.

It is a file that each starting process holds a lock on. A process that dies drops its
locks, whatever it died of, and in whatever container: so a mark that is there and held
by nobody was left by a start that did not get through. Forked children share the lock
with the one that began.
"""

from __future__ import annotations

import fcntl
import os
from functools import partial

from remora.agent.probes.state_file import is_at, open_locked, open_ours
from remora.agent.runtime import originals
from remora.errors import ConfigError

_OPENING = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class StartMark:
    """The mark of one start. Methods but `clear` raise ConfigError or OSError."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._pid = 0

    def was_left(self) -> bool:
        """Whether a start has died under the mark, which is then taken away."""
        try:
            descriptor = open_ours(self._path, _OPENING)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not is_at(descriptor, self._path):
                return False
            os.unlink(self._path)  # noqa: PTH108 - pathlib is not needed
        except BlockingIOError:
            return False
        finally:
            originals.close_fd(descriptor)
        return True

    def set(self) -> None:
        """From now on this process is starting."""
        opening = partial(open_ours, self._path, _OPENING | os.O_CREAT)
        descriptor = open_locked(self._path, opening, fcntl.LOCK_SH)
        if descriptor is None:
            raise ConfigError("another process keeps its lock")
        self._descriptor, self._pid = descriptor, originals.getpid()

    def clear(self, *, is_over: bool = True) -> None:
        """This start is over, or with `is_over` false: as far as this process goes.

        A child that ends says nothing of the one that began.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        try:
            if is_over or self._pid == originals.getpid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if is_at(descriptor, self._path):
                    os.unlink(self._path)  # noqa: PTH108 - pathlib is not needed
        except OSError:
            pass  # others start under the same mark, and take it away
        finally:
            originals.close_fd(descriptor)

    @property
    def is_set(self) -> bool:
        """Whether this process is starting."""
        return self._descriptor >= 0
