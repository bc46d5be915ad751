"""The memory of another process: what is mapped where, and its bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from remora.errors import NoSuchProcessError


@dataclass(frozen=True, slots=True)
class Mapping:
    """One row of /proc/PID/maps."""

    start: int
    end: int
    access: str
    offset: int
    path: str

    @property
    def is_code(self) -> bool:
        """Whether it may be executed."""
        return "x" in self.access


def read_mappings(pid: int) -> list[Mapping]:
    """What is mapped in that process, in the order of addresses."""
    text = Path(f"/proc/{pid}/maps").read_text("utf-8", "surrogateescape")
    return [_parse(line) for line in text.splitlines()]


def _parse(line: str) -> Mapping:
    fields = line.split(None, 5)
    start, _, end = fields[0].partition("-")
    path = fields[5].strip() if len(fields) > 5 else ""
    return Mapping(int(start, 16), int(end, 16), fields[1], int(fields[2], 16), path)


class Memory:
    """The bytes of a process, through /proc/PID/mem. Raises OSError as files do."""

    def __init__(self, pid: int) -> None:
        self._descriptor = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)
        self._pid = pid

    def read(self, address: int, size: int) -> bytes:
        """Exactly that many bytes."""
        data = self.read_some(address, size)
        if len(data) < size:
            raise OSError(f"cannot read {size} bytes at {address:#x}")
        return data

    def read_some(self, address: int, size: int) -> bytes:
        """At most that many bytes: what is mapped without a gap."""
        data = os.pread(self._descriptor, size, address)
        if not data and size:
            raise self._gone()
        return data

    def write(self, address: int, data: bytes) -> None:
        """Write all of the bytes."""
        done = 0
        while done < len(data):
            written = os.pwrite(self._descriptor, data[done:], address + done)
            if not written:
                raise self._gone()
            done += written

    def _gone(self) -> NoSuchProcessError:
        """The kernel shows no memory at all once a process has given it up."""
        return NoSuchProcessError(
            f"process {self._pid} has ended: look for the one that replaces it"
        )

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)
