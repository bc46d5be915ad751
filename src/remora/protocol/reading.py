"""What readers share: the expressions and tables of a probe, the values of a message.

A probe is refused with all that is wrong; a message of an agent is taken with its texts
cut, as what is long there was made by the app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.errors import ExpressionError, ProbeError, UnknownKeyError, WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeVar

    from remora.expression import Expression, Template

    Entry = TypeVar("Entry")
    Write = Callable[[Expression | Template], object]
    """How an expression is written: as its text, or with its tree."""


def read_expression(value: object, key: str) -> Expression:
    """An expression as text or from the wire. Raises ExpressionError with the key."""
    # Late, as below: messages are read where there is no probe, and so no expression.
    from remora.expression import Expression

    try:
        if isinstance(value, str):
            return Expression.parse(value)
        return Expression.from_json(value)
    except ExpressionError as error:
        raise ExpressionError(f"{key}: {error}") from None


def read_template(value: object, key: str) -> Template:
    """A template as text or from the wire. Raises ExpressionError with the key."""
    from remora.expression import Template

    try:
        if isinstance(value, str):
            return Template.parse(value)
        return Template.from_json(value)
    except ExpressionError as error:
        raise ExpressionError(f"{key}: {error}") from None


def read_table(
    value: object, key: str, known: Iterable[str], example: str
) -> Mapping[str, object]:
    """A table that has none but known keys. Raises ProbeError, UnknownKeyError."""
    if not isinstance(value, dict):
        raise ProbeError(f"{key} = {value!r} is no table: write {{ {example} }}")
    names = sorted(known)
    if unknown := set(value) - set(names):
        raise UnknownKeyError(
            f"{key} has no key {min(map(str, unknown))!r}; it has {', '.join(names)}"
        )
    return value


class Message:
    """An object of the wire, read key by key. Each reader raises WireError."""

    __slots__ = ("_name", "_table")

    def __init__(self, value: object, name: str) -> None:
        """`name` is what errors call the object. Raises WireError if it is none."""
        if not isinstance(value, dict):
            raise WireError(f"{name} {str(value)[:60]!r} is no object")
        self._table: Mapping[str, object] = value
        self._name = name

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def keys(self) -> Iterable[str]:
        """All that are there, known or not."""
        return self._table.keys()

    def at(self, key: str) -> Message:
        """The object at that key; empty where there is none."""
        return Message(self._table.get(key, {}), f"{self._name}.{key}")

    def text(self, key: str, limit: int) -> str:
        """A text, cut to `limit` characters; empty where there is none."""
        value = self._table.get(key, "")
        if not isinstance(value, str):
            raise WireError(f"{self._name}.{key} = {str(value)[:60]!r} is no text")
        return value[:limit]

    def count(self, key: str) -> int:
        """A number of 63 bits from 0 on; 0 where there is none."""
        value = self._table.get(key, 0)
        if type(value) is not int or not 0 <= value < 2**63:
            raise WireError(f"{self._name}.{key} = {str(value)[:60]!r} is no count")
        return value

    def list(
        self, key: str, limit: int, read: Callable[[object], Entry]
    ) -> tuple[Entry, ...]:
        """A list of up to `limit` entries; empty where there is none."""
        value = self._table.get(key, [])
        if not isinstance(value, list) or len(value) > limit:
            raise WireError(f"{self._name}.{key} is no list of up to {limit}")
        return tuple(map(read, value))
