"""JSON documents, also such as only some parsers would take."""

from __future__ import annotations

import re
from json import JSONDecoder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remora.agent.request.sources.collected import Collected

NODES_LIMIT = 20_000
"""Values of one JSON document: many more than are taken in as texts."""

_PATH_LIMIT = 200
"""Characters of the way to a value, which is only for people to read."""

_STRINGS = re.compile(r'"((?:[^"\\]++|\\.)*+)(?:"|\\?\Z)', re.DOTALL)
"""The last one may be open: searched on from each quote in it, it would take the square
of its length."""


class _Pairs(list[tuple[str, object]]):
    """An object of JSON with all its pairs, repeated keys too."""


_DECODER = JSONDecoder(
    object_pairs_hook=_Pairs,
    parse_int=str,
    parse_float=str,
    parse_constant=str,
    strict=False,
)
"""Numbers stay the texts they were, however long; control characters may be raw."""


def add_json(found: Collected, text: str, source: str = "json") -> bool:
    """Keys and values of a JSON document; False where it is none.

    Of a document that is broken, cut or nested too deeply its strings are taken.
    """
    start = text.lstrip("\ufeff \t\r\n")
    try:
        value, end = _DECODER.raw_decode(start)
    except (ValueError, RecursionError):
        if not start.startswith(("{", "[")):
            return False
        _add_strings(found, start, source)
        return True
    for count, (way, node, is_key) in enumerate(_walk(value)):
        if count >= NODES_LIMIT:
            found.note_cut(f"the {source} has more than {NODES_LIMIT} values")
            break
        if is_key:
            found.add_name(node, source)
        elif not found.add(node, source, way):
            break
    if start[end:].strip():
        # Lines of JSON, or a document with something behind it.
        _add_strings(found, start[end:], source)
    return True


def _walk(value: object) -> Iterator[tuple[str, str, bool]]:
    """Each key and each value with the way to it, from an own stack."""
    waiting: list[tuple[str, object]] = [("", value)]
    while waiting:
        way, node = waiting.pop()
        if type(node) is str:
            yield way, node, False
        elif type(node) is _Pairs:
            for key, each in node:
                yield way, key, True
                waiting.append((f"{way}.{key}"[:_PATH_LIMIT].lstrip("."), each))
        elif type(node) is list:
            inner = f"{way}[]"[:_PATH_LIMIT]
            waiting.extend((inner, each) for each in node)


def _add_strings(found: Collected, text: str, source: str) -> None:
    """Whatever stands between quotes, as far as it can be read."""
    for count, match in enumerate(_STRINGS.finditer(text)):
        if count >= NODES_LIMIT:
            found.note_cut(f"the {source} has more than {NODES_LIMIT} values")
            return
        try:
            value, _ = _DECODER.raw_decode(match[0])
        except ValueError:
            value = match[1]
        if type(value) is str and not found.add(value, source, ""):
            return
