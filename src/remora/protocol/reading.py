"""What the readers of a probe's keys share: expressions and tables at their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.errors import ExpressionError, ProbeError, UnknownKeyError
from remora.expression import Expression, Template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Write = Callable[[Expression | Template], object]
    """How an expression is written: as its text, or with its tree."""


def read_expression(value: object, key: str) -> Expression:
    """An expression as text or from the wire. Raises ExpressionError with the key."""
    try:
        if isinstance(value, str):
            return Expression.parse(value)
        return Expression.from_json(value)
    except ExpressionError as error:
        raise ExpressionError(f"{key}: {error}") from None


def read_template(value: object, key: str) -> Template:
    """A template as text or from the wire. Raises ExpressionError with the key."""
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
