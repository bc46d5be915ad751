"""XML documents: texts, attributes and what entities stand for; none is expanded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

try:
    import pyexpat
except ImportError:  # a Python that was built without it: the lenient way remains
    pyexpat = None

if TYPE_CHECKING:
    from remora.agent.request.sources.collected import Collected

PARTS_LIMIT = 10_000
"""Texts and attributes that are read out of what is no proper XML."""

_SOURCE = "xml"

_PART = re.compile(
    r">([^<>]+)<|<!\[CDATA\[(.*?)(?:\]\]>|\Z)|=\s*\"([^\"<]*)\"|=\s*'([^'<]*)'",
    re.DOTALL,
)
"""The last CDATA may be open: searched on from each one in it, it would take the square
of its length."""


def add_xml(found: Collected, content: bytes, text: str) -> None:
    """What stands in a document; `text` is the same for when it is no proper XML."""
    if pyexpat is not None and _Reader(found).try_read(content):
        return
    for count, match in enumerate(_PART.finditer(text)):
        if count >= PARTS_LIMIT:
            found.note_cut(f"the XML has more than {PARTS_LIMIT} parts")
            return
        part = match[1] or match[2] or match[3] or match[4] or ""
        if part.strip() and not found.add(part, _SOURCE, ""):
            return


class _Stopped(Exception):  # noqa: N818 - it is no error
    """Enough was read."""


class _Reader:
    """Takes in what expat reports of one document."""

    def __init__(self, found: Collected) -> None:
        self._found = found
        self._element = ""

    def try_read(self, content: bytes) -> bool:
        """Whether it was proper XML, and without entities of its own."""
        assert pyexpat is not None
        parser = pyexpat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.CommentHandler = self._characters
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._entity
        try:
            parser.Parse(content, True)
        except (_Stopped, pyexpat.ExpatError, ValueError, LookupError):
            return False
        return True

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._element = name
        for key, value in attributes.items():
            self._take(value, f"{name}@{key}")

    def _end(self, _name: str) -> None:
        """Texts before and after the end are two: expat hands on what it gathered."""

    def _characters(self, text: str) -> None:
        self._take(text, self._element)
        self._take(text.strip(), self._element)

    def _doctype(self, _name: str, *identifiers: object) -> None:
        for identifier in identifiers:
            self._take(identifier, "doctype")

    def _entity(self, *declared: object) -> None:
        for part in declared:
            self._take(part, "entity")
        # An attribute would be expanded, to any size: the rest is read leniently.
        raise _Stopped

    def _take(self, text: object, parameter: str) -> None:
        if type(text) is str and not self._found.add(text, _SOURCE, parameter):
            raise _Stopped
