"""The pipe that wakes the worker, safe from an app that closes what it did not open."""

from __future__ import annotations

import os
from contextlib import suppress

from remora.agent.runtime import originals


class WakePipe:
    """Ends a poll(). Made again where the app closed it under us."""

    __slots__ = ("_inode", "_write_end", "read_end")

    def __init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self.read_end, self._write_end = originals.pipe()
        os.set_blocking(self.read_end, False)
        os.set_blocking(self._write_end, False)
        self._inode = originals.fstat(self.read_end).st_ino

    def _is_ours(self, fd: int) -> bool:
        """Daemons close all descriptors; the app may own the number by now."""
        try:
            return originals.fstat(fd).st_ino == self._inode
        except OSError:
            return False

    def write(self) -> None:
        """Wake the reader; a full pipe is as good as one more byte."""
        if self._is_ours(self._write_end):
            with suppress(OSError):
                originals.write_fd(self._write_end, b"\0")

    def drain(self) -> None:
        """Empty the pipe, or replace it where it is not ours any more."""
        if not self._is_ours(self.read_end):
            self._open()
            return
        with suppress(OSError):
            originals.read_fd(self.read_end, 4096)

    def close(self) -> None:
        """Close what is still ours of it."""
        for fd in (self.read_end, self._write_end):
            if self._is_ours(fd):
                originals.close_fd(fd)
