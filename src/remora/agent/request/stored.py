"""Second-order input: texts of requests that were stored, known when they come back.

Imported only where the setting `stored_input` is on. Rules of this file
- What is kept is a digest of each text and who sent it, in a table of a fixed size: no
  text, nothing that grows. What has no place any more takes that of another.
- The table is memory that forked processes share with the one that made it, as any
  worker may be asked for what another has stored. They share the secret of `hash` as
  well. No lock: what is read while it is written is at worst not recognized.
- A text is recognized as a whole, as it was sent or in one of the forms that apps give
  it, where it is a value of a fetched row, or stands in a list, dictionary or text of
  JSON that is one. Case, blanks and escapes of HTML make no difference.
"""

from __future__ import annotations

import html
import json
import mmap
import re
import struct
import sys
from typing import TYPE_CHECKING

from remora.agent.request.actor import actor_of

if TYPE_CHECKING:
    from remora.agent.interception import AppValue
    from remora.agent.request.context import RequestContext
    from remora.detection import Inputs

PLACES = 2**16
"""Texts that are remembered: some hours of comments and names of a busy site. A place
has 64 bytes, so all of them 4 MiB, of which the system gives what is used."""

TEXT_LIMIT = 4096
"""Characters of a text: longer ones are articles, and no name or address."""

VALUES_LIMIT = 20_000
"""Values of one fetch that are looked at, rows among them: some 10 ms of work."""

TEXTS_LIMIT = 1000
"""Stored texts of one request: each is looked for in every sink."""

_DEPTH = 8
"""Rows, a row, a value, four levels of JSON, and what is in these."""

JSON_LIMIT = 256 * 1024
"""Characters of JSON in the texts of one fetch that are parsed: some 3 ms of work."""

_WAYS = 4
"""Places next to each other of which a text may have any."""

_DIGEST_SIZE = 8
_SENDER = struct.Struct("56p")
_PLAIN = frozenset((int, float, bool, bytes, type(None)))

_JSON_BEGINS = frozenset('{["')

_CAN_MATTER = re.compile(r"\W")
"""A word alone breaks out of nothing, and every table is full of them."""

_WRITING = re.compile(
    r"(?:\s|/\*.*?\*/|--[^\n]*\n)*"
    r"(?:INSERT|UPDATE|REPLACE|MERGE|UPSERT|COPY|CALL|EXEC|WITH)\b",
    re.IGNORECASE | re.DOTALL,
)


class StoredTexts:
    """The table of this process and of those that it forks."""

    __slots__ = ("_digests", "_senders")

    def __init__(self) -> None:
        place = _DIGEST_SIZE + _SENDER.size
        memory = memoryview(mmap.mmap(-1, PLACES * place))
        self._digests = memory[: PLACES * _DIGEST_SIZE].cast("q")
        self._senders = memory[PLACES * _DIGEST_SIZE :]

    def store(self, request: RequestContext, statement: str, inputs: Inputs) -> None:
        """A statement of this request goes to a database: if it writes, remember.

        Any input may be among the values that are bound to it, which nobody has seen.
        """
        if request.kept_inputs is inputs or _WRITING.match(statement) is None:
            return
        request.kept_inputs = inputs
        sender = actor_of(request).encode("utf-8", "replace")
        for each in inputs:
            if each.source != "stored" and _matters(each.text):
                self._remember(_digest(each.text), sender)

    def meet(self, request: RequestContext, rows: AppValue) -> None:
        """Rows were fetched: what was stored before is input of this request."""
        if request.stored is None:
            request.stored = {}
        known = request.stored
        for text in _texts_of(rows):
            if text in known or not _matters(text):
                continue
            sender = self.sender_of(text)
            if sender is not None and len(known) < TEXTS_LIMIT:
                known[text] = sender

    def sender_of(self, text: str) -> str | None:
        """Who has sent this text, or None where nobody is known to have."""
        digest = _digest(text)
        first = digest % (PLACES - _WAYS)
        found = self._digests[first : first + _WAYS].tolist()
        if digest not in found:
            return None
        place = (first + found.index(digest)) * _SENDER.size
        (sender,) = _SENDER.unpack_from(self._senders, place)
        return sender.decode("utf-8", "replace")

    def _remember(self, digest: int, sender: bytes) -> None:
        first = digest % (PLACES - _WAYS)
        found = self._digests[first : first + _WAYS].tolist()
        way = next(
            (way for way, other in enumerate(found) if other in (0, digest)),
            (digest >> 32) % _WAYS,
        )
        # in this order, so that no reader takes one's text for another's
        self._digests[first + way] = 0
        _SENDER.pack_into(self._senders, (first + way) * _SENDER.size, sender)
        self._digests[first + way] = digest


def _digest(text: str) -> int:
    """The same for what differs only as apps change texts before they store them."""
    if "&" in text:
        text = html.unescape(text)
    return hash(" ".join(text.lower().split())) or 1


def _matters(text: str) -> bool:
    if text.isalnum() or not 1 < len(text) <= TEXT_LIMIT:
        return False
    return _CAN_MATTER.search(text) is not None


def _texts_of(rows: AppValue) -> list[str]:
    """The texts in what a driver gave, without running any code of the app."""
    texts: list[str] = []
    level, room, room_json = [rows], VALUES_LIMIT, JSON_LIMIT
    for _ in range(_DEPTH):
        deeper: list[AppValue] = []
        for value in level:
            kind = type(value)
            if kind is str:
                texts.append(value)
                if value[:1] in _JSON_BEGINS and len(value) <= room_json:
                    room_json -= len(value)
                    deeper.append(_parsed(value))
            elif kind not in _PLAIN and len(deeper) < room:
                deeper += _parts_of(value, kind)
        level = deeper[:room]
        room -= len(level)
    return texts


def _parsed(text: str) -> AppValue:
    """What a text of JSON says; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _parts_of(value: AppValue, kind: type) -> list[AppValue]:
    # The methods themselves: a row may be of a class of the app's.
    if issubclass(kind, tuple):
        return list(tuple.__iter__(value))
    if issubclass(kind, list):
        return list(list.__iter__(value))
    if issubclass(kind, dict):
        return list(dict.values(value))
    for module, name in (("sqlite3", "Row"), ("asyncpg", "Record")):
        row = getattr(sys.modules.get(module), name, None)
        if row is not None and issubclass(kind, row):
            return list(row.__iter__(value))
    return []
