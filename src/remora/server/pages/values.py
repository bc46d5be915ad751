"""Captured values as trees for a page.

They come in the value model of docs/protocol.md, section Values, and are read without
trust in what an app sent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LIST_NODES = 300
"""Values of one record in a list: more than a screen holds."""

PAGE_NODES = 20_000
"""Values of one record on its own page: above the agent's own limits."""

LIST_CHARACTERS = 20_000
"""Of all texts of one record in a list: fifty records still load at once."""

TEXT_CHARACTERS = 4000
"""Of one text in a list: a long one leaves room for the values after it."""

PAGE_CHARACTERS = 4_000_000
"""On a record's own page: several times what a batch may carry."""

_DEPTH = 40
_LEAST_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Node:
    """One value: what it is called, what is shown of it, and what is inside.

    `look` names its style: text, number, word, note, secret or group.
    """

    name: str
    text: str
    look: str
    children: tuple[Node, ...] = ()


class _Budget:
    """How many values, and characters of them, may still be shown."""

    def __init__(self, nodes: int) -> None:
        self.left = nodes
        is_list = nodes <= LIST_NODES
        self.characters = LIST_CHARACTERS if is_list else PAGE_CHARACTERS
        self._each = TEXT_CHARACTERS if is_list else PAGE_CHARACTERS

    def cut(self, node: Node) -> Node:
        """`node` with as much of its text as is left for it, and a note."""
        length = len(node.text)
        kept = min(max(self.characters, _LEAST_CHARACTERS), self._each)
        self.characters -= min(length, kept)
        if length <= kept:
            return node
        words = f"{length:,} characters; the record's own page shows them"
        note = Node("", words, "note")
        return replace(node, text=node.text[:kept], children=(*node.children, note))


def tree(name: str, value: object, nodes: int = LIST_NODES) -> Node:
    """The tree of one captured value, with at most `nodes` values in it."""
    return _node(name, value, _Budget(nodes), 0)


def forest(values: object, nodes: int = LIST_NODES) -> tuple[Node, ...]:
    """The trees of a record's values, which share one bound."""
    if not isinstance(values, dict):
        return ()
    budget = _Budget(nodes)
    return tuple(_named(values.items(), budget, 0))


def one_line(value: object) -> str:
    """A value in a few words, for a cell of a table."""
    node = tree("", value, 1)
    return node.text


def _node(name: str, value: object, budget: _Budget, depth: int) -> Node:
    budget.left -= 1
    return budget.cut(_read(name, value, budget, depth))


def _read(name: str, value: object, budget: _Budget, depth: int) -> Node:
    if depth > _DEPTH:
        return Node(name, "nested too deeply to be shown", "note")
    if isinstance(value, str):
        return Node(name, value, "text")
    if value is None or isinstance(value, bool):
        return Node(name, str(value), "word")
    if isinstance(value, int | float):
        return Node(name, str(value), "number")
    if isinstance(value, list):
        children = _numbered(value, budget, depth)
        return Node(name, f"list of {len(value)}", "group", tuple(children))
    if isinstance(value, dict):
        read = _READERS.get(str(value.get("$")))
        if "$" in value and read is not None:
            return read(name, value, budget, depth)
        children = _named(value.items(), budget, depth)
        return Node(name, f"dict of {len(value)}", "group", tuple(children))
    return Node(name, str(value), "note")


def _numbered(items: Iterable[object], budget: _Budget, depth: int) -> Iterable[Node]:
    for position, item in enumerate(items):
        if budget.left <= 0:
            yield Node("", "more values than are shown here", "note")
            return
        yield _node(str(position), item, budget, depth + 1)


def _named(
    items: Iterable[tuple[object, object]], budget: _Budget, depth: int
) -> Iterable[Node]:
    for key, item in items:
        if budget.left <= 0:
            yield Node("", "more values than are shown here", "note")
            return
        yield _node(str(key), item, budget, depth + 1)


def _sequence(
    name: str, value: Mapping[str, object], budget: _Budget, depth: int
) -> Node:
    items = value.get("items")
    inside = items if isinstance(items, list) else []
    text = f"{value['$']} of {value.get('length', len(inside))}"
    children = list(_numbered(inside, budget, depth))
    children += _cut_note(len(inside), value.get("length"))
    return Node(name, text, "group", tuple(children))


def _mapping(
    name: str, value: Mapping[str, object], budget: _Budget, depth: int
) -> Node:
    entries = value.get("entries")
    pairs = [
        (one_line(entry[0]), entry[1])
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, list) and len(entry) == 2
    ]
    children = list(_named(pairs, budget, depth))
    children += _cut_note(len(pairs), value.get("length"))
    text = f"dict of {value.get('length', len(pairs))}"
    return Node(name, text, "group", tuple(children))


def _object(
    name: str, value: Mapping[str, object], budget: _Budget, depth: int
) -> Node:
    kind = str(value.get("type", "object"))
    fields = value.get("fields")
    if not isinstance(fields, dict):
        cut = value.get("cut")
        reason = f" (not looked into: {cut})" if cut else ""
        return Node(name, kind + reason, "note")
    children = list(_named(fields.items(), budget, depth))
    children += _cut_note(len(fields), value.get("length"))
    return Node(name, kind, "group", tuple(children))


def _exception(
    name: str, value: Mapping[str, object], budget: _Budget, depth: int
) -> Node:
    fields = value.get("fields")
    pairs = fields.items() if isinstance(fields, dict) else ()
    text = f"{value.get('type', 'exception')}: {_words(value.get('message'))}"
    return Node(name, text, "text", tuple(_named(pairs, budget, depth)))


def _text(name: str, value: Mapping[str, object], *_: object) -> Node:
    text = str(value.get("text", value.get("escaped", "")))
    length = value.get("length")
    if isinstance(length, int) and length > len(text):
        note = Node("", f"{length:,} characters, of which the app sent these", "note")
        return Node(name, text, "text", (note,))
    return Node(name, text, "text")


def _number(name: str, value: Mapping[str, object], *_: object) -> Node:
    digits = value.get("digits")
    cut = f"… ({digits} digits)" if digits is not None else ""
    return Node(name, f"{value.get('text', '')}{cut}", "number")


def _bytes(name: str, value: Mapping[str, object], *_: object) -> Node:
    text = f"{value.get('length', '?')} bytes, base64 {value.get('base64', '')}"
    return Node(name, text, "text")


def _missing(name: str, value: Mapping[str, object], *_: object) -> Node:
    return Node(name, f"missing ({value.get('reason', 'absent')})", "note")


def _redacted(name: str, value: Mapping[str, object], *_: object) -> Node:
    return Node(name, f"redacted ({value.get('reason', 'secret')})", "secret")


def _called(name: str, value: Mapping[str, object], *_: object) -> Node:
    parts = [str(value[key]) for key in ("type", "name") if key in value]
    return Node(name, f"{value['$']} {'.'.join(parts)}", "word")


def _cut_note(present: int, length: object) -> list[Node]:
    if isinstance(length, int) and length > present:
        return [Node("", f"{length - present:,} more were not captured", "note")]
    return []


def _words(value: object) -> str:
    return value if isinstance(value, str) else one_line(value)


_READERS: dict[str, Callable[[str, Mapping[str, object], _Budget, int], Node]] = {
    **dict.fromkeys(("list", "tuple", "set", "frozenset", "deque"), _sequence),
    **dict.fromkeys(("int", "float"), _number),
    **dict.fromkeys(("enum", "type", "function"), _called),
    "dict": _mapping,
    "object": _object,
    "exception": _exception,
    "text": _text,
    "bytes": _bytes,
    "missing": _missing,
    "redacted": _redacted,
}
