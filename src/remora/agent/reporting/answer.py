"""One request's body and one answer, whole and within bounds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from remora.agent.reporting.encoding import encode_json
from remora.agent.reporting.http1 import AnswerReader, Body, Head
from remora.errors import WireError
from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER_BYTES = 4 * 2**20
"""A poll's answer is a push of every probe; a thousand probes are about 1 MiB."""

_MESSAGE_SHOWN = 300
_RETRY_AFTER_LIMIT_S = 300.0


@frozen
class Payload:
    """The body of a request."""

    data: bytes
    coding: str = ""

    @classmethod
    def of(cls, value: Mapping[str, object]) -> Payload:
        """A JSON object."""
        return cls(encode_json(value))


@frozen
class Answer:
    """A whole answer of the server."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """The body as JSON. Raises WireError."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise WireError(
                f"an answer of the server is no JSON: {self.body[:60]!r}"
            ) from None

    @property
    def sentence(self) -> str:
        """What the server says of an error, made fit for a line of a log."""
        try:
            value = json.loads(self.body)
            message = value["message"] if isinstance(value, dict) else ""
        except (ValueError, KeyError, RecursionError):
            message = ""
        text = message if isinstance(message, str) else ""
        shown = "".join(c for c in text[:_MESSAGE_SHOWN] if c.isprintable())
        return f"status {self.status}" + (f": {shown}" if shown else "")

    @property
    def retry_after_s(self) -> float | None:
        """Seconds that the server wants to be left alone, within reason."""
        text = self.headers.get("retry-after", "")
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            return None
        return min(_RETRY_AFTER_LIMIT_S, float(text))


class Collector:
    """Puts the events of one answer together, within the bound of its size."""

    def __init__(self, method: str) -> None:
        self._reader = AnswerReader(method)
        self._head: Head | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self.has_begun = False
        self.is_complete = False
        self.keeps_alive = False

    def feed(self, data: bytes) -> None:
        """Take what came; empty is the end of the connection. Raises WireError."""
        self.has_begun = True
        self._reader.feed(data)
        while not self.is_complete and (event := self._reader.next_event()) is not None:
            if isinstance(event, Head):
                self._head = event
            elif isinstance(event, Body):
                self._pieces.append(event.data)
                self._size += len(event.data)
                if self._size > ANSWER_BYTES:
                    raise WireError(f"an answer is larger than {ANSWER_BYTES} bytes")
            else:
                self.is_complete = True
                self.keeps_alive = event.keeps_alive

    def answer(self) -> Answer:
        """Give the answer, once it is complete."""
        assert self._head is not None
        return Answer(self._head.status, self._head.headers, b"".join(self._pieces))
