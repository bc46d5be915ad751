"""Values of the app in the wire's value model: bounded, redacted, and never touched.

One walk over a value, straight to what `json.dumps` takes. Everything is read through
remora.expression's safe reads, so no `__repr__`, `__len__`, `__eq__`, `__iter__`,
property or metaclass of the app runs. Containers are copied by one call of C before
they are walked, so another thread may change them meanwhile.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from remora.agent.capture.limits import DEFAULT_LIMITS, CaptureLimits
from remora.agent.capture.names import SecretNames, is_secret_name
from remora.agent.capture.objects import (
    NAME_LIMIT,
    describe,
    describe_enum,
    is_enum,
    slots_of,
)
from remora.agent.capture.scalars import (
    EXACT_INT,
    encode_any_text,
    encode_bytes,
    encode_float,
    encode_number,
    encode_text,
)
from remora.expression import (
    Kind,
    first_entries,
    first_items,
    instance_dictionary,
    kind_of,
    length,
    read_attribute,
    render_text,
    type_mro,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

AppValue = Any
JsonValue = Any

REDACTED = {"$": "redacted", "reason": "name"}
_SECRET = object()
"""Stands for a value that must not be encoded."""


def capture(
    value: AppValue,
    limits: CaptureLimits = DEFAULT_LIMITS,
    *,
    names: Iterable[str] = (),
    is_secret: SecretNames = is_secret_name,
) -> tuple[JsonValue, int]:
    """The JSON form of a value and about its size in bytes.

    `names` are those under which the value is known (`Expression.shown`): if one of
    them stands for a secret, the whole value is redacted.
    """
    for name in names:
        if is_secret(name):
            return REDACTED, 40
    walk = _Walk(limits, is_secret)
    return walk.encode(value, 0), limits.size - walk.size


def capture_fields(
    values: Mapping[str, AppValue],
    limits: CaptureLimits = DEFAULT_LIMITS,
    *,
    is_secret: SecretNames = is_secret_name,
) -> tuple[dict[str, JsonValue], int]:
    """Arguments or locals by name, as one capture: the bounds hold for all together."""
    walk = _Walk(limits, is_secret)
    encode, look_up = walk.encode, is_secret.look_up
    result: dict[str, JsonValue] = {}
    for name, value in values.items():
        walk.size -= len(name) + 4
        result[name] = REDACTED if look_up(name) else encode(value, 0)
    return result, limits.size - walk.size


class _Walk:
    """The state of one capture: what is left of the bounds, and the way down."""

    __slots__ = ("is_secret", "limits", "nodes", "path", "size")

    def __init__(self, limits: CaptureLimits, is_secret: SecretNames) -> None:
        self.limits = limits
        self.is_secret = is_secret.look_up
        self.nodes = limits.nodes
        self.size = limits.size
        self.path: list[int] = []

    def encode(self, value: AppValue, depth: int) -> JsonValue:
        """One value. The exact scalars come first: they are most of what is met."""
        cls = type(value)
        self.nodes -= 1
        if cls is str:
            limit = self.limits.text
            size = len(value)
            self.size -= min(size, limit) + 3
            if self.size < 0:
                return self._cut(cls, "size")
            return (
                value
                if size <= limit and value.isascii()
                else encode_text(value, limit)
            )
        if cls is int and -EXACT_INT <= value <= EXACT_INT:
            self.size -= 8
            return value
        if value is None or cls is bool:
            self.size -= 6
            return value
        if cls is float:
            self.size -= 18
            return encode_float(value)
        if self.nodes < 0 or self.size < 0:
            return self._cut(cls, "size")
        if cls is dict or cls is list:
            return self._inside(value, cls, depth)
        # What is not a plain scalar or container takes about twice as long.
        self.nodes -= 1
        kind = kind_of(value)
        encoder = _ENCODERS.get(kind)
        if encoder is None:
            return self._compound(value, cls, kind, depth)
        if cls is not int and cls is not bytes and is_enum(cls):
            self.size -= 60
            return describe_enum(value, cls)
        result = encoder(value, self.limits.text)
        self.size -= 30 + self._text_size(result)
        return result

    def _text_size(self, result: JsonValue) -> int:
        if type(result) is str:
            return len(result)
        if type(result) is dict:
            return sum(len(part) for part in result.values() if type(part) is str)
        return 8

    def _compound(
        self, value: AppValue, cls: type, kind: Kind, depth: int
    ) -> JsonValue:
        if value is _SECRET:
            return REDACTED
        if kind is Kind.OBJECT or kind is Kind.MISSING:
            described = describe(value, cls)
            if described is not None:
                self.size -= 100
                return described
        return self._inside(value, cls, depth)

    def _inside(self, value: AppValue, cls: type, depth: int) -> JsonValue:
        """A container or an object, looked into unless that was done or is too deep."""
        path = self.path
        if id(value) in path:
            return self._cut(cls, "cycle")
        if depth >= self.limits.depth:
            return self._cut(cls, "depth")
        self.size -= 12
        # No need to take it off on failure: the walk ends with that.
        path.append(id(value))
        kind = kind_of(value)
        if kind is Kind.MAPPING:
            result = self._mapping(value, depth + 1)
        elif kind is Kind.OBJECT:
            result = self._object(value, cls, depth + 1)
        else:
            result = self._sequence(value, cls, depth + 1)
        path.pop()
        return result

    def _cut(self, cls: type, reason: str) -> JsonValue:
        name = type_name(cls)[:NAME_LIMIT]
        self.size -= 40 + len(name)
        return {"$": "object", "type": name, "cut": reason}

    def _sequence(self, value: AppValue, cls: type, depth: int) -> JsonValue:
        items: list[AppValue]
        if cls is list:
            total = len(value)
            items = value[: self.limits.items]
        else:
            total = length(value)
            items = first_items(value, self.limits.items)
        encoded: list[JsonValue] = []
        if total == 2 == len(items) and self._is_secret_key(items[0]):
            # A header as a pair: (b"authorization", b"…").
            items[1] = _SECRET
        for item in items:
            if self.nodes <= 0 or self.size <= 0:
                break
            encoded.append(self.encode(item, depth))
        if cls is list and len(encoded) == total:
            return encoded
        self.size -= 40
        return {"$": _sequence_word(cls), "items": encoded, "length": total}

    def _mapping(self, value: AppValue, depth: int) -> JsonValue:
        total = dict.__len__(value)
        entries = first_entries(value, self.limits.items)
        plain: dict[str, JsonValue] = {}
        is_secret = self.is_secret
        done = 0
        for key, entry in entries:
            if type(key) is not str or key == "$" or len(key) > self.limits.text:
                return self._entries(entries, total, depth)
            if self.nodes <= 0 or self.size <= 0:
                break
            done += 1
            self.size -= len(key) + 4
            if not key.isascii() and type(encode_text(key, 256)) is not str:
                return self._entries(entries, total, depth)
            plain[key] = REDACTED if is_secret(key) else self.encode(entry, depth)
        if done == total:
            return plain
        self.size -= 40
        return {
            "$": "dict",
            "entries": [list(pair) for pair in plain.items()],
            "length": total,
        }

    def _entries(
        self, entries: list[tuple[AppValue, AppValue]], total: int, depth: int
    ) -> JsonValue:
        """A mapping with keys that cannot be names of JSON."""
        encoded: list[list[JsonValue]] = []
        self.size -= 40
        for key, entry in entries:
            if self.nodes <= 0 or self.size <= 0:
                break
            secret = self._is_secret_key(key)
            encoded.append(
                [
                    self.encode(key, depth),
                    REDACTED if secret else self.encode(entry, depth),
                ]
            )
        return {"$": "dict", "entries": encoded, "length": total}

    def _is_secret_key(self, key: AppValue) -> bool:
        if type(key) is str:
            return self.is_secret(key)
        kind = kind_of(key)
        if kind is Kind.TEXT:
            return self.is_secret(str.__getitem__(key, slice(0, 256)))
        if kind is Kind.BYTES:
            start = bytes.__getitem__(key, slice(0, 256))
            return self.is_secret(start.decode("latin-1"))
        return False

    def _object(self, value: AppValue, cls: type, depth: int) -> JsonValue:
        if issubclass(cls, BaseException):
            return self._exception(value, cls, depth)
        fields, total = self._fields(value, cls, depth)
        if not total:
            return self._cut(cls, "opaque")
        name = type_name(cls)[:NAME_LIMIT]
        self.size -= 40 + len(name)
        return {"$": "object", "type": name, "fields": fields, "length": total}

    def _exception(self, value: AppValue, cls: type, depth: int) -> JsonValue:
        arguments = read_attribute(value, "args")
        message = ""
        if type(arguments) is tuple and arguments:
            message = render_text(arguments[0] if len(arguments) == 1 else arguments)
        fields, _ = self._fields(value, cls, depth)
        name = type_name(cls)[:NAME_LIMIT]
        self.size -= 60 + len(name) + len(message)
        return {
            "$": "exception",
            "type": name,
            "message": encode_text(message, self.limits.text),
            "fields": fields,
        }

    def _fields(
        self, value: AppValue, cls: type, depth: int
    ) -> tuple[dict[str, JsonValue], int]:
        """The object's own fields, those of its dictionary before those in slots."""
        own = instance_dictionary(value)
        pairs = [] if own is None else first_entries(own, self.limits.fields)
        pairs = [pair for pair in pairs if type(pair[0]) is str]
        total = 0 if own is None else len(own)
        for name, descriptor in slots_of(cls):
            try:
                pairs.append((name, descriptor.__get__(value)))
            except AttributeError:
                continue
            total += 1
        fields: dict[str, JsonValue] = {}
        for name, entry in pairs[: self.limits.fields]:
            if self.nodes <= 0 or self.size <= 0:
                break
            self.size -= len(name) + 4
            shown = REDACTED if self.is_secret(name) else self.encode(entry, depth)
            fields[name[:NAME_LIMIT]] = shown
        return fields, total


_ENCODERS: dict[Kind, Callable[[AppValue, int], JsonValue]] = {
    Kind.NUMBER: encode_number,
    Kind.TEXT: encode_any_text,
    Kind.BYTES: encode_bytes,
}


def _sequence_word(cls: type) -> str:
    """The wire's word for a container, by the nearest builtin that it derives from."""
    for base in type_mro(cls):
        word = _WORDS.get(id(base))
        if word is not None:
            return word
    return "list"


_WORDS = {id(cls): cls.__name__ for cls in (list, tuple, set, frozenset, deque)}
