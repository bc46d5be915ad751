"""Uploads: what is in a file is dropped as it passes, so that the fields have room.

A part is taken for a file only where no parser could read it otherwise: its delimiter
stands between ends of lines, and its head says so without a trick. All else is kept.
"""

from __future__ import annotations

import re

HEAD_LIMIT = 16 * 1024
"""Bytes of a part's head: parsers take 8 KiB or less."""

_PARAMETER = re.compile(rb'; *(\w+)=(?:"[^"\\]*"|[^";\\\s]+)')
_DISPOSITION = re.compile(
    rb"content-disposition: *form-data((?:%s)+) *" % _PARAMETER.pattern, re.IGNORECASE
)


class Sieve:
    """Takes the pieces of one multipart body, gives what is left of each."""

    __slots__ = ("_delimiter", "_is_in_file", "_rest")

    def __init__(self, boundary: str) -> None:
        self._delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
        self._rest = b"\r\n"
        self._is_in_file = False

    @property
    def rest(self) -> bytes:
        """What was not given yet, as more may tell what it is."""
        return b"" if self._is_in_file else self._rest

    def sift(self, piece: bytes) -> bytes:
        """What is kept of this piece, and of what the last one left open."""
        data, self._rest = self._rest + piece, b""
        kept: list[bytes] = []
        while data:
            data = self._drop(data) if self._is_in_file else self._keep(data, kept)
        return b"".join(kept)

    def _drop(self, data: bytes) -> bytes:
        """Past the end of the file: the boundary, wherever it stands."""
        boundary = self._delimiter[2:]
        at = data.find(boundary)
        if at < 0:
            self._rest = data[-len(boundary) - 1 :]
            return b""
        self._is_in_file = False
        return b"\r\n" + data[at:]

    def _keep(self, data: bytes, kept: list[bytes]) -> bytes:
        """Up to the head of a part that is a file."""
        at = data.find(self._delimiter)
        if at < 0:
            size = len(self._delimiter)
            kept.append(data[:-size])
            self._rest = data[-size:]
            return b""
        end = data.find(b"\r\n\r\n", at + 2)
        if end < 0 and len(data) - at <= HEAD_LIMIT:
            kept.append(data[:at])
            self._rest = data[at:]
            return b""
        self._is_in_file = end >= 0 and self._is_file(data[at:end])
        end = end + 4 if self._is_in_file else at + len(self._delimiter)
        kept.append(data[:end])
        return data[end:]

    def _is_file(self, head: bytes) -> bool:
        first, *lines = head[len(self._delimiter) :].split(b"\r\n")
        said = [each for each in lines if b"disposition" in each.lower()]
        match = _DISPOSITION.fullmatch(said[0]) if len(said) == 1 else None
        if first or match is None or b"\n" in head.replace(b"\r\n", b""):
            return False
        return b"filename" in [name.lower() for name in _PARAMETER.findall(match[1])]
