"""Records as JSON lines, into a file that any number of processes share.

A chunk is whole lines and goes out in one write() in append mode, so lines of several
processes never mix. An flock is held around it, because rotation by one process must
not happen between another's look at the size and its write. The lock is only tried: a
process that was stopped while it holds it costs order at the rotation, not records.
"""

from __future__ import annotations

import fcntl
import os
import select
from contextlib import suppress
from typing import TYPE_CHECKING

from remora.agent.reporting.encoding import encode_json
from remora.agent.reporting.waiting import Routine, Wait
from remora.agent.runtime import originals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from remora.agent.diagnostics import Diagnostics
    from remora.agent.reporting.drops import Drops

CHUNK_BYTES = 64 * 2**10
"""A pipe holds as much (standard error may be one), and a disk takes it at once."""

# Without O_NONBLOCK the open of a named pipe waits for a reader.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
_MODE = 0o600
_STDERR = 2
_DEVICES = ("/dev/", "/proc/")
_PIPE_BYTES = 4096
_LOCK_S = 0.5
_LOCK_PAUSE_S = 0.003
_STALL_S = 1.0
_STALL_PAUSE_S = 0.02


class FileSink:
    """Appends records to `path` (`-`: standard error), rotated at `limit_bytes`.

    `origin` gives what each line says of its process: `instance`, `pid`, `app`.
    """

    def __init__(
        self,
        path: str,
        limit_bytes: int,
        origin: Callable[[], dict[str, object]],
        drops: Drops,
        diagnostics: Diagnostics,
    ) -> None:
        self.path = path
        # The real path, once: the app may change its directory, and rotation must not
        # rename a link. Devices (/dev/stdout) are left as they are, and never rotated.
        self._is_device = path == "-" or path.startswith(_DEVICES)
        self._target = path if self._is_device else os.path.realpath(path)
        self._limit_bytes = limit_bytes
        self._origin = origin
        self._drops = drops
        self._diagnostics = diagnostics
        self._fd = _STDERR if path == "-" else -1
        self._inode = (0, 0)
        self._suffix = b""
        self._lines: list[bytes] = []
        self._size = 0
        self._trouble = ""
        self.written = 0

    @property
    def is_empty(self) -> bool:
        """Whether all lines were written or given up."""
        return not self._lines

    @property
    def has_chunk(self) -> bool:
        """Whether enough lines wait to be worth a write."""
        return self._size >= CHUNK_BYTES

    def add(self, record: bytes) -> None:
        """Take one encoded record."""
        if not self._suffix:
            self._suffix = b"," + encode_json(self._origin())[1:] + b"\n"
        line = record[:-1] + self._suffix
        self._lines.append(line)
        self._size += len(line)

    def write(self) -> Routine[None]:
        """Write what waits. What cannot be written is dropped and counted."""
        lines, self._lines, self._size = self._lines, [], 0
        if not lines:
            return
        data = b"".join(lines)
        try:
            if self.path == "-":
                yield from self._feed_pipe(lines)
            else:
                yield from self._append_locked(data)
        except OSError as error:
            self._drops.add("file", len(lines))
            self._say(f"cannot write records to {self.path!r}: {error.strerror}")
            return
        except GeneratorExit:
            # Ended while it waited for the lock: they count as what is left.
            self._lines[:0] = lines
            raise
        self.written += len(lines)
        self._say("")

    def abandon(self) -> int:
        """Give up what waits; how many records that were."""
        lost = len(self._lines)
        self._lines, self._size = [], 0
        return lost

    def close(self) -> None:
        """Give the file back, unless the descriptor is not ours any more."""
        if self._fd > _STDERR and _identity(self._fd) == self._inode:
            originals.close_fd(self._fd)
        self._fd = _STDERR if self.path == "-" else -1

    def after_fork_in_child(self) -> None:
        """Open the file anew: an flock belongs to the open file, not the process."""
        self.abandon()
        self.close()
        self._suffix = b""
        self._trouble = ""
        self.written = 0

    def _say(self, sentence: str) -> None:
        if sentence and sentence != self._trouble:
            self._diagnostics.say(f"{sentence}; they are dropped and counted")
        elif self._trouble and not sentence:
            self._diagnostics.say(f"records are written to {self.path!r} again")
        self._trouble = sentence

    def _append_locked(self, data: bytes) -> Routine[None]:
        self._open_current()
        is_locked = yield from self._lock()
        try:
            if is_locked and self._is_replaced():
                # Another process rotated between our open and our lock.
                fcntl.flock(self._fd, fcntl.LOCK_UN)
                self._open_current()
                is_locked = yield from self._lock()
            size = originals.fstat(self._fd).st_size
            if is_locked and self._must_rotate(size, len(data)):
                is_locked, size = self._rotate(), 0
            try:
                yield from self._append(data)
            except OSError:
                # A full disk takes a part: half a line would spoil the next one.
                if is_locked and not self._is_device:
                    os.ftruncate(self._fd, size)
                raise
        finally:
            if is_locked:
                with suppress(OSError):
                    fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _open_current(self) -> None:
        """Have the file open that stands under the name now."""
        if self._fd >= 0 and self._is_replaced():
            self.close()
        if self._fd < 0:
            self._fd = originals.open_fd(self._target, _FLAGS, _MODE)
            self._inode = _identity(self._fd)

    def _is_replaced(self) -> bool:
        """Renamed, removed, or our descriptor closed by the app."""
        try:
            found = originals.stat(self._target)
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != _identity(self._fd)

    def _lock(self) -> Routine[bool]:
        now = yield Wait()
        deadline = now + _LOCK_S
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if now >= deadline:
                    return False
                now = yield Wait(until=now + _LOCK_PAUSE_S)
            except OSError:
                # Some network file systems have no locks: O_APPEND has to do.
                return False
            else:
                return True

    def _must_rotate(self, size: int, more: int) -> bool:
        return not self._is_device and size > 0 and size + more > self._limit_bytes

    def _rotate(self) -> bool:
        """Make the file NAME.1, which ends our lock. Whether we hold a new one."""
        originals.rename(self._target, f"{self._target}.1")
        self.close()
        self._open_current()
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _feed_pipe(self, lines: Sequence[bytes]) -> Routine[None]:
        """Never wait in write(): it may be a blocking pipe that nobody reads."""
        now = yield Wait()
        for piece in _in_pieces(lines):
            deadline = now + _STALL_S
            poller = originals.poll()
            poller.register(self._fd, select.POLLOUT)
            while not poller.poll(0):
                if now >= deadline:
                    raise BlockingIOError(0, "nobody reads it")
                now = yield Wait(until=deadline, fd=self._fd, events=select.POLLOUT)
            yield from self._append(piece)

    def _append(self, data: bytes) -> Routine[None]:
        """One write(). What a full pipe did not take follows.

        A regular file takes all at once: nothing is yielded while its lock is held.
        """
        deadline = originals.monotonic() + _STALL_S
        while data:
            try:
                done = originals.write_fd(self._fd, data)
            except BlockingIOError:
                now = yield Wait(until=originals.monotonic() + _STALL_PAUSE_S)
                if now >= deadline:
                    raise
            else:
                data = data[done:]


def _in_pieces(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Whole lines, in pieces that a pipe takes at once; a longer line is cut."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > _PIPE_BYTES:
            yield piece
            piece = b""
        piece += line
        while len(piece) > _PIPE_BYTES:
            yield piece[:_PIPE_BYTES]
            piece = piece[_PIPE_BYTES:]
    if piece:
        yield piece


def _identity(fd: int) -> tuple[int, int]:
    try:
        found = originals.fstat(fd)
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)
