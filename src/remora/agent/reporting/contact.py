"""Whether the server answers, said in the log once for each change.

Processes that are forked say it once together: a server that is away is the same for
all of them, and an app may fork a hundred times a second. So what was said is kept in
memory that they share. There is no lock; two that find out at once may say it twice.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from remora.agent.diagnostics import Diagnostics

TOKEN_HOLD_S = 60.0
"""A refused token is mended by a person: asking more often only fills two logs."""

PROTOCOL_HOLD_S = 600.0
"""Ten minutes, as docs/protocol.md says: a server that is too old is mended slower."""


_PLACES = 16
"""Troubles that are known to have been said; a server has two or three at a time."""

_MARK_BYTES = 4


class Contact:
    """The state of the conversation with one server, shared by all who talk to it."""

    def __init__(self, server: str, diagnostics: Diagnostics) -> None:
        self._server = server
        self._diagnostics = diagnostics
        self._said: mmap.mmap | bytearray = _shared(_PLACES * _MARK_BYTES)
        self.trouble = ""
        self.hold_until = 0.0

    def worked(self) -> None:
        """The server answered as it should."""
        if any(self._said[:_MARK_BYTES]):
            self._said[:] = bytes(len(self._said))
            self._diagnostics.say(f"the server {self._server} answers again")
        self.trouble = ""
        self.hold_until = 0.0

    def failed(self, sentence: str) -> None:
        """It did not, for this reason."""
        self._diagnostics.count("server-failures")
        if sentence != self.trouble:
            self.trouble = sentence
            if self._is_news(sentence):
                self._diagnostics.say(
                    f"server {self._server}: {sentence}; the app goes on, the agent "
                    "retries"
                )

    def _is_news(self, sentence: str) -> bool:
        """Whether no process that shares our memory has said so; now we do."""
        mark = crc32(sentence.encode()).to_bytes(_MARK_BYTES, "little")
        for start in range(0, len(self._said), _MARK_BYTES):
            place = slice(start, start + _MARK_BYTES)
            said = bytes(self._said[place])
            if said == mark:
                return False
            if not any(said):
                self._said[place] = mark
                break
        return True

    def hold(self, sentence: str, until: float) -> None:
        """Ask nothing more before this time."""
        self.failed(sentence)
        self.hold_until = until

    def forget(self) -> None:
        """In a forked child: nothing is known yet, and what was said was said."""
        self.trouble = ""
        self.hold_until = 0.0

    def close(self) -> None:
        """Give the memory back."""
        if isinstance(self._said, mmap.mmap):
            self._said.close()
        self._said = bytearray(_PLACES * _MARK_BYTES)


def _shared(size: int) -> mmap.mmap | bytearray:
    try:
        return mmap.mmap(-1, size)
    except OSError:
        return bytearray(size)
