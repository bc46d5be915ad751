"""Recorded calls: what a record knows of the call it was made in, and what it does not.

A value comes back from the wire's form (docs/protocol.md, Values) only where all of it
was recorded. What was cut, redacted or merely described is NotRecordedError, with the
place: nothing is guessed.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections import deque
from typing import TYPE_CHECKING, Any

from remora.cli.answers import get_number, get_object, get_text
from remora.errors import RemoraError
from remora.expression import MISSING, REASONS, Expression, Missing
from remora.values import frozen

if TYPE_CHECKING:
    from remora.cli.answers import JsonObject

AppValue = Any
Tree = Any

_DEPTH_LIMIT = 40
"""Values inside each other: far more than a capture makes."""

_ESCAPED = re.compile(r"\\(\\|u[0-9a-f]{4})")
_CALL_NAMES = ("arguments", "locals")
"""Values of a snapshot that hold names of the call, and are no expressions."""

_NOTHING: JsonObject = {"$": "missing", "reason": "absent"}
_WRONG_TYPE: JsonObject = {"$": "missing", "reason": "type"}
_INDEXED = frozenset({"list", "tuple", "deque"})


class NotRecordedError(Exception):
    """A value is not in the record, or not the whole of it; the text says why."""


@frozen
class Told:
    """What a record tells of a probe: on which values it would have acted, and how.

    `whom` is for whom, where the probe knows better than the record.
    """

    values: str
    outcome: str = ""
    whom: str = ""


class RecordedCall:
    """What one record says of its call, by the trees of expressions."""

    __slots__ = ("_names", "_own", "_trees", "record")

    def __init__(self, record: JsonObject) -> None:
        self.record = record
        self._own: dict[str, object] = {
            "target": get_text(record, "site"),
            "request": record.get("request"),
            "user": record.get("user"),
        }
        if "duration_ms" in record:
            self._own["duration_ms"] = record["duration_ms"]
        self._names = dict(self._own)
        self._trees: dict[Tree, object] = {}
        # the attributes of a span have names of their own
        if get_text(record, "kind") != "span":
            self._read_values(get_object(record, "values"))

    def _read_values(self, values: JsonObject) -> None:
        for text, value in values.items():
            if text in _CALL_NAMES:
                if isinstance(value, dict) and "$" not in value:
                    self._names |= value
                continue
            try:
                self._trees[Expression.parse(text).tree] = value
            except RemoraError:
                continue  # recorded by a version that knows more

    def knows(self, tree: Tree) -> bool:
        """Whether exactly this expression was recorded."""
        return tree in self._trees

    def read(self, tree: Tree) -> object:
        """The wire's form of a path's value. Raises NotRecordedError."""
        if tree in self._trees:
            return self._trees[tree]
        text = path_text(tree)
        if tree[0] == "name":
            # the call's own names win, but for those that are asked of remora
            known = self._own if text.startswith("remora.") else self._names
            name = text.removeprefix("remora.")
            if name not in known:
                raise NotRecordedError(f"{text} was not recorded")
            return known[name]
        owner = self.read(tree[1])
        if _form(owner) == "missing":
            return owner
        found = (
            _field(owner, tree[2]) if tree[0] == "attribute" else _item(owner, tree[2])
        )
        if found is None:
            raise NotRecordedError(f"{text} was not recorded")
        return found[0]

    def at(self, position: int) -> Tree:
        """The path of the argument at a position. Raises NotRecordedError."""
        names = self.record.get("positional")
        names = names if isinstance(names, list) else []
        last = names[-1] if names else ""
        rest = last[1:] if isinstance(last, str) and last.startswith("*") else ""
        named = len(names) - bool(rest)
        text = names[position] if position < named else ""
        if not text and rest:
            text = f"{rest}[{position - named}]"
        try:
            return Expression.parse(text).tree
        except (RemoraError, TypeError):
            raise NotRecordedError(
                f"argument {position} was not recorded: add 'arguments' to the snapshot"
            ) from None

    def value(self, tree: Tree, *, is_shallow: bool) -> AppValue:
        """What stands at the end of a path; shallow where only its kind matters."""
        found = self.read(tree)
        try:
            return decode(found, is_shallow=is_shallow)
        except NotRecordedError as error:
            raise NotRecordedError(f"{path_text(tree)} {error}") from None


def is_path(tree: Tree) -> bool:
    """Whether this is a name, or attributes and constant items of one."""
    if not isinstance(tree, tuple):
        return False
    if tree[0] == "item":
        return not isinstance(tree[2], tuple) and is_path(tree[1])
    return tree[0] == "name" or (tree[0] == "attribute" and is_path(tree[1]))


def path_text(tree: Tree) -> str:
    """A path as a person writes it."""
    if tree[0] == "name":
        return tree[1]
    if tree[0] == "attribute":
        return f"{path_text(tree[1])}.{tree[2]}"
    return f"{path_text(tree[1])}[{tree[2]!r}]" if is_path(tree) else "an expression"


def root_of(tree: Tree) -> str:
    """The name that a path begins with."""
    return tree[1] if tree[0] == "name" else root_of(tree[1])


def _form(value: object) -> str:
    return get_text(value, "$") if isinstance(value, dict) else ""


def _field(owner: object, name: str) -> tuple[object] | None:
    """The attribute of a recorded value in a tuple, or None where it is not there."""
    form = _form(owner)
    if form == "enum":
        assert isinstance(owner, dict)
        return (get_text(owner, "name"),) if name == "name" else None
    if form in {"object", "exception"}:
        assert isinstance(owner, dict)
        fields = get_object(owner, "fields")
        return (fields[name],) if name in fields else None
    if isinstance(owner, dict) and not form:
        # request and user travel as plain objects, what they lack was not known
        return (owner[name],) if name in owner else None
    return (_NOTHING,)


def _item(owner: object, key: object) -> tuple[object] | None:
    """The item of a recorded value in a tuple, or None where it is not there."""
    if isinstance(owner, dict) and "$" not in owner:
        return (owner.get(key, _NOTHING),) if isinstance(key, str) else (_NOTHING,)
    form = _form(owner)
    if form == "dict":
        assert isinstance(owner, dict)
        entries = owner.get("entries")
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, list) and len(entry) == 2 and entry[0] == key:
                return (entry[1],)
        return None if _is_cut(owner, "entries") else (_NOTHING,)
    items = owner
    if isinstance(owner, dict):
        if form in {"text", "bytes"} or _is_cut(owner, "items"):
            return None
        items = owner.get("items") if form in _INDEXED else None
    if not isinstance(items, (list, str)) or not isinstance(key, int):
        return (_WRONG_TYPE,)
    return (items[key],) if -len(items) <= key < len(items) else (_NOTHING,)


def _is_cut(value: JsonObject, key: str) -> bool:
    parts = value.get(key)
    count = len(parts) if isinstance(parts, (list, dict)) else 0
    return get_number(value, "length") > count or "cut" in value


def decode(value: object, depth: int = 0, *, is_shallow: bool = False) -> AppValue:
    """The value that a form stands for. Raises NotRecordedError where it was cut."""
    if depth > _DEPTH_LIMIT:
        raise NotRecordedError("is nested too deeply")
    if isinstance(value, list):
        return [] if is_shallow else [decode(each, depth + 1) for each in value]
    if not isinstance(value, dict):
        return value
    if "$" not in value:
        if is_shallow:
            return {}
        return {key: decode(each, depth + 1) for key, each in value.items()}
    form = get_text(value, "$")
    reader = _READERS.get(form)
    if reader is not None:
        return reader(value, depth)
    if form in {"object", "exception", "enum"}:
        return _stand_in(value, depth, is_shallow=is_shallow)
    if is_shallow and form in _MAKERS:
        return _MAKERS[form](())
    if form in _MAKERS and not _is_cut(value, "items"):
        items = [decode(each, depth + 1) for each in _parts(value, "items")]
        try:
            return _MAKERS[form](items)
        except TypeError:
            raise NotRecordedError(
                f"is a {form} of what cannot be made again"
            ) from None
    if form == "dict" and not _is_cut(value, "entries"):
        return _decode_entries(value, depth)
    reason = get_text(value, "reason")
    raise NotRecordedError(
        f"was redacted ({reason})" if form == "redacted" else "was recorded in part"
    )


def _decode_entries(value: JsonObject, depth: int) -> AppValue:
    try:
        return {
            decode(key, depth + 1): decode(each, depth + 1)
            for key, each in _parts(value, "entries")
        }
    except (TypeError, ValueError):
        raise NotRecordedError("has keys that cannot be made again") from None


def _parts(value: JsonObject, key: str) -> list[Any]:
    parts = value.get(key)
    return parts if isinstance(parts, list) else []


_MAKERS: dict[str, Any] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": deque,
}


def _stand_in(value: JsonObject, depth: int, *, is_shallow: bool) -> AppValue:
    """An object of a class of the same name, with the fields that were recorded."""
    if not is_shallow and (get_text(value, "$") == "enum" or _is_cut(value, "fields")):
        raise NotRecordedError("was recorded in part")
    module, _, name = get_text(value, "type").rpartition(".")
    cls = type(name or "object", (), {"__module__": module or "builtins"})
    made: AppValue = cls()
    if not is_shallow:
        for key, each in get_object(value, "fields").items():
            made.__dict__[key] = decode(each, depth + 1)
    return made


def _read_int(value: JsonObject, depth: int) -> AppValue:
    del depth
    text = get_text(value, "text")
    if "digits" in value or not re.fullmatch(r"-?[0-9]{1,4000}", text):
        raise NotRecordedError("was recorded in part")
    return int(text)


def _read_float(value: JsonObject, depth: int) -> AppValue:
    del depth
    text = get_text(value, "text")
    return float(text) if text in {"nan", "inf", "-inf"} else MISSING


def _read_text(value: JsonObject, depth: int) -> AppValue:
    del depth
    if "escaped" not in value:
        raise NotRecordedError("was cut")
    text = _ESCAPED.sub(
        lambda m: "\\" if m[1] == "\\" else chr(int(m[1][1:], 16)),
        get_text(value, "escaped"),
    )
    if get_number(value, "length") != len(text):
        raise NotRecordedError("was cut")
    return text


def _read_bytes(value: JsonObject, depth: int) -> AppValue:
    del depth
    try:
        data = b64decode(get_text(value, "base64"), validate=True)
    except ValueError:
        data = b""
    if get_number(value, "length") != len(data):
        raise NotRecordedError("was cut")
    return data


def _read_missing(value: JsonObject, depth: int) -> AppValue:
    del depth
    reason = get_text(value, "reason")
    return Missing(reason) if reason in REASONS else MISSING


_READERS: dict[str, Any] = {
    "int": _read_int,
    "float": _read_float,
    "text": _read_text,
    "bytes": _read_bytes,
    "missing": _read_missing,
}
