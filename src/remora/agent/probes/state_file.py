"""The file of REMORA_STATE: what an app remembers of signed words over restarts.

The processes of an app share it. Who changes it holds its lock, reads what is there,
and puts a new file in its place, whole or not at all. A file that is not what we write,
or that others may write to, is refused, and with it all that needs it: nobody is to
lower a number, or to have a probe forgotten, by spoiling the file.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from remora.agent.runtime import originals
from remora.errors import ConfigError
from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeGuard

NUMBERS_LIMIT = 1000
"""Ids that are kept, those of the highest numbers: the numbers are times, and a
signature that is older than a thousand later ones has mostly expired."""

WORDS_LIMIT = 500
"""Probes that are kept, the latest: all packs together have two hundred."""

WORDS_BYTES = 700 * 2**10
FILE_BYTES = 2**20
_ID_LIMIT = 100
_NUMBER_LIMIT = 2**53
_DEATHS_LIMIT = 100
_VERSION = 1

_TRIES = 10
_PAUSE_S = 0.005
"""Others keep a lock for less than a millisecond; nobody is waited for longer."""

_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""O_NONBLOCK: the open of a named pipe would wait for a writer."""


@frozen
class Word:
    """A signed probe as it was received; the number and the end of its signature."""

    id: str
    number: int
    expires_at: int
    table: dict[str, Any]


@frozen
class Remembered:
    """`numbers` by the ids of probes, `words` to start with without a server.

    `deaths` is how many starts in a row have died with these words.
    """

    numbers: dict[str, int]
    words: dict[str, Word]
    deaths: int = 0


class StateFile:
    """One file; all methods raise ConfigError where it cannot be trusted."""

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self) -> Remembered:
        """What is there; nothing where there is no file."""
        with suppress(FileNotFoundError):
            descriptor = self._open()
            try:
                return _parse(_read(descriptor))
            finally:
                originals.close_fd(descriptor)
        return Remembered({}, {})

    def change(self, change: Callable[[Remembered], Remembered]) -> Remembered:
        """Write what `change` makes of what is there. Raises OSError where it cannot.

        Where somebody keeps the lock, it is done without: the next change of anybody
        puts right what was lost by that.
        """
        try:
            descriptor = self._open_locked()
        except FileNotFoundError:
            made = change(Remembered({}, {}))
            self._write(made)
            return made
        try:
            found = _parse(_read(descriptor))
            made = change(found)
            if made != found:
                self._write(made)
            return made
        finally:
            originals.close_fd(descriptor)

    def _open_locked(self) -> int:
        """The file that is there, locked where that can be."""
        try:
            descriptor = open_locked(self.path, self._open, fcntl.LOCK_EX)
        except FileNotFoundError:
            raise
        except OSError:
            descriptor = None
        return self._open() if descriptor is None else descriptor

    def _open(self) -> int:
        """Open it for reading. Raises FileNotFoundError where there is none."""
        try:
            return open_ours(self.path, _READING)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ConfigError(str(error.strerror)) from None

    def _write(self, state: Remembered) -> None:
        message: dict[str, object] = {"state": _VERSION, "numbers": state.numbers}
        if state.words:
            message["probes"] = [word.table for word in state.words.values()]
        if state.deaths:
            message["deaths"] = state.deaths
        data = json.dumps(message, separators=(",", ":")).encode("ascii")
        draft = f"{self.path}.{originals.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(FileNotFoundError):
            os.unlink(draft)  # noqa: PTH108 - of a process that had our number
        descriptor = originals.open_fd(draft, flags, 0o600)
        try:
            try:
                if originals.write_fd(descriptor, data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                # Without, a loss of power may leave the name without the content.
                os.fsync(descriptor)
            finally:
                originals.close_fd(descriptor)
            originals.rename(draft, self.path)
        except OSError:
            os.unlink(draft)  # noqa: PTH108 - pathlib is not needed
            raise


def open_ours(path: str, flags: int) -> int:
    """Open a regular file that is ours alone. Raises ConfigError for any other."""
    descriptor = originals.open_fd(path, flags, 0o600)
    about = originals.fstat(descriptor)
    complaint = ""
    if not stat.S_ISREG(about.st_mode):
        complaint = "it is no regular file"
    elif about.st_uid != os.geteuid() or about.st_mode & 0o077:
        complaint = "others may read or write it; it has to be ours, mode 600"
    if complaint:
        originals.close_fd(descriptor)
        raise ConfigError(complaint)
    return descriptor


def open_locked(path: str, opening: Callable[[], int], kind: int) -> int | None:
    """The file that has this name while its lock is ours; None if others keep it.

    Whoever had the lock before may have put another file there, or none. Raises what
    `opening` raises, and OSError where there are no locks.
    """
    for _ in range(_TRIES):
        descriptor = opening()
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            originals.sleep(_PAUSE_S)
        except OSError:
            originals.close_fd(descriptor)
            raise
        else:
            if is_at(descriptor, path):
                return descriptor
        originals.close_fd(descriptor)
    return None


def is_at(descriptor: int, path: str) -> bool:
    """Whether the open file is the one that has this name now."""
    try:
        there = os.lstat(path)
    except OSError:
        return False
    here = originals.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def make_word(table: dict[str, Any]) -> Word:
    """A signed probe of the wire as it is kept. Raises ConfigError for what is none."""
    signature = table.get("signature")
    signed = signature if isinstance(signature, dict) else {}
    number, end = signed.get("sequence"), signed.get("expires_at")
    name = table.get("id")
    if not (_is_id(name) and _is_number(number) and _is_number(end, 2**63)):
        raise ConfigError("its probes are none that were signed")
    return Word(name, number, end, table)


def size_of(word: Word) -> int:
    """Bytes of a word in the file."""
    return len(json.dumps(word.table, separators=(",", ":"))) + 1


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= _ID_LIMIT


def _is_number(value: object, limit: int = _NUMBER_LIMIT) -> TypeGuard[int]:
    return type(value) is int and 0 < value < limit


def _read(descriptor: int) -> bytes:
    try:
        data = originals.read_fd(descriptor, FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(error.strerror)) from None
    if len(data) > FILE_BYTES:
        raise ConfigError(f"it is larger than {FILE_BYTES} bytes")
    return data


def _parse(data: bytes) -> Remembered:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        raise ConfigError("it is no JSON") from None
    numbers = message.get("numbers") if isinstance(message, dict) else None
    if not isinstance(numbers, dict) or message.get("state") != _VERSION:
        raise ConfigError("it is no state of this version")
    if len(numbers) > NUMBERS_LIMIT or not all(
        _is_id(identifier) and _is_number(number)
        for identifier, number in numbers.items()
    ):
        raise ConfigError("its numbers are none")
    tables, deaths = message.get("probes", []), message.get("deaths", 0)
    if type(deaths) is not int or not 0 <= deaths <= _DEATHS_LIMIT:
        raise ConfigError("its deaths are no count")
    if (
        not isinstance(tables, list)
        or len(tables) > WORDS_LIMIT
        or not all(isinstance(table, dict) for table in tables)
    ):
        raise ConfigError("its probes are none that were signed")
    words = [make_word(table) for table in tables]
    return Remembered(numbers, {word.id: word for word in words}, deaths)
