"""What the app has read of a request's body: watched as it passes, never read by us."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remora.agent.request.sieve import Sieve

BODY_LIMIT = 256 * 1024
"""Bytes of one body that are kept: forms and documents that people send are smaller,
and what is kept is parsed within some milliseconds."""

BODIES_LIMIT = 32 * 1024 * 1024
"""Bytes of all bodies together: a hundred and more of the largest at the same time."""

MESSAGES_LIMIT = 200
"""Messages of one websocket that are kept: the last ones, as a connection may stay."""


class Body:
    """The beginning of one body, in the pieces that the app was given.

    `version` grows with each piece; `is_cut` says that more came than was kept. `sieve`
    takes out of the pieces what is not worth keeping.
    """

    __slots__ = ("_pieces", "_sieve", "_size", "is_cut", "messages", "version")

    total = 0
    """Bytes kept of all bodies."""

    def __init__(self, sieve: Sieve | None = None) -> None:
        self._sieve = sieve
        self._pieces: list[bytes] = []
        self._size = 0
        self.messages: deque[str | bytes] = deque()
        self.version = 0
        self.is_cut = False

    def saw(self, piece: object) -> None:
        """Keep what the app was just given."""
        if type(piece) is not bytes or not piece:
            return
        self.version += 1
        if self._sieve is not None:
            piece = self._sieve.sift(piece)
        room = min(BODY_LIMIT - self._size, BODIES_LIMIT - Body.total)
        if len(piece) > room:
            self.is_cut = True
            piece = piece[: max(room, 0)]
        self._pieces.append(piece)
        self._count(len(piece))

    def saw_message(self, message: object) -> None:
        """Keep a message of a websocket; the oldest gives way."""
        if (type(message) is not str and type(message) is not bytes) or not message:
            return
        self.version += 1
        if len(message) > BODY_LIMIT:
            self.is_cut = True
            return
        self.messages.append(message)
        self._count(len(message))
        while self._size > BODY_LIMIT or len(self.messages) > MESSAGES_LIMIT:
            self._count(-len(self.messages.popleft()))

    def content(self) -> bytes:
        """What was kept, in one piece."""
        joined = b"".join(self._pieces)
        self._pieces = [joined]
        return joined if self._sieve is None else joined + self._sieve.rest

    def _count(self, size: int) -> None:
        self._size += size
        Body.total += size

    def __del__(self) -> None:
        """The bytes are given back with the request."""
        self.__class__.total -= self._size
