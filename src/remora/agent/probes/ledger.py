"""The highest numbers of signed probes and policies that were accepted, over restarts.

Without a file they are forgotten with the process, and a server could then show an
earlier version that has not expired. Processes of one app share the file: each writes
what it has accepted besides what it finds there, whole or not at all.

A file that is not what we write, or that others may write to, is refused, and with it
all that needs it: nobody is to lower a number by spoiling the file.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from remora.agent.runtime import originals
from remora.errors import ConfigError

if TYPE_CHECKING:
    from remora.agent.diagnostics import Diagnostics

POLICY = ""
"""Stands for the policy among the ids of probes; no probe has an empty one."""

NUMBERS_LIMIT = 1000
"""Ids that are kept, those of the highest numbers: the numbers are times, and a
signature that is older than a thousand later ones has mostly expired."""

FILE_BYTES = 2**20
_ID_LIMIT = 100
_NUMBER_LIMIT = 2**53
_VERSION = 1


class Ledger:
    """The numbers by the ids of probes; in memory alone where there is no file."""

    def __init__(self, path: str, diagnostics: Diagnostics) -> None:
        self._path = path
        self._diagnostics = diagnostics
        self._numbers: dict[str, int] = {}
        self.complaint = ""
        """Why the file cannot be trusted; empty where it can."""
        if path:
            self._take_in()

    def highest(self, identifier: str) -> int:
        """The highest number accepted under this id; 0 for none."""
        return self._numbers.get(identifier, 0)

    def accept(self, identifier: str, number: int) -> None:
        """Keep a number that was accepted just now."""
        if number <= self.highest(identifier):
            return
        self._numbers[identifier] = number
        if not self._path:
            return
        self._take_in()  # what other processes have accepted meanwhile
        if self.complaint:
            return
        try:
            self._write()
        except OSError as error:
            self._diagnostics.count("state-unwritten")
            self._diagnostics.say_once(
                f"state = {self._path!r} cannot be written ({error.strerror}): the "
                "numbers of signed probes are kept in memory only"
            )

    def _take_in(self) -> None:
        """Add the numbers of the file to ours."""
        try:
            found = _read(self._path)
        except FileNotFoundError:
            return
        except (OSError, ConfigError) as error:
            self.complaint = (
                f"state = {self._path!r} cannot be trusted "
                f"({getattr(error, 'strerror', None) or error}): remove the file, or "
                "give another as REMORA_STATE"
            )
            self._diagnostics.say_once(self.complaint)
            return
        self.complaint = ""
        for identifier, number in found.items():
            if number > self.highest(identifier):
                self._numbers[identifier] = number

    def _write(self) -> None:
        by_age = sorted(self._numbers.items(), key=lambda item: item[1], reverse=True)
        message = {"state": _VERSION, "numbers": dict(by_age[:NUMBERS_LIMIT])}
        data = json.dumps(message, separators=(",", ":")).encode("ascii")
        draft = f"{self._path}.{originals.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(FileNotFoundError):
            os.unlink(draft)  # noqa: PTH108 - of a process that had our number
        descriptor = os.open(draft, flags, 0o600)
        try:
            try:
                if os.write(descriptor, data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(descriptor)
            os.replace(draft, self._path)  # noqa: PTH105 - pathlib is not needed
        except OSError:
            os.unlink(draft)  # noqa: PTH108 - pathlib is not needed
            raise


def _read(path: str) -> dict[str, int]:
    """The numbers of a file. Raises OSError, or ConfigError for what is not ours."""
    # O_NONBLOCK: the open of a named pipe would wait for a writer
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise ConfigError("it is no regular file")
        if about.st_uid != os.geteuid() or about.st_mode & 0o077:
            raise ConfigError(
                "others may read or write it; it has to be ours, mode 600"
            )
        data = os.read(descriptor, FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > FILE_BYTES:
        raise ConfigError(f"it is larger than {FILE_BYTES} bytes")
    return _parse(data)


def _parse(data: bytes) -> dict[str, int]:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        raise ConfigError("it is no JSON") from None
    numbers = message.get("numbers") if isinstance(message, dict) else None
    if not isinstance(numbers, dict) or message.get("state") != _VERSION:
        raise ConfigError("it is no state of this version")
    if len(numbers) > NUMBERS_LIMIT or not all(
        len(identifier) <= _ID_LIMIT
        and type(number) is int
        and 0 < number < _NUMBER_LIMIT
        for identifier, number in numbers.items()
    ):
        raise ConfigError("its numbers are none")
    return numbers
