"""count: an aggregate made in the process, and what it measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.errors import ProbeError
from remora.expression import Expression
from remora.protocol.quantity import format_duration, parse_duration
from remora.protocol.reading import read_expression, read_table
from remora.values import frozen

if TYPE_CHECKING:
    from remora.protocol.reading import Write

COUNT_KEYS_LIMIT = 5
"""Expressions in `by`: each multiplies the rows of the table."""

DEFAULT_EVERY_S = 10.0
"""Seconds between two aggregates of a `count`: fresh enough for eyes, and a function
called a million times a second still costs six records a minute."""

TOP_LIMIT = 100
"""Rows of a `top`: more than anybody reads, and a tenth of the table behind it."""

STACK = "stack"
"""A word in `by` that is no expression: the callers."""

MEASURES = ("sum", "min", "max", "average", "histogram")
"""What is measured of an expression's numbers."""


@frozen
class Count:
    """An aggregate made in the process: a row for each combination of `by`.

    With `by_stack` the callers are the last part of the key. With `top` only so many
    rows are reported, those that count most.
    """

    by: tuple[Expression, ...] = ()
    by_stack: bool = False
    sum: Expression | None = None
    min: Expression | None = None
    max: Expression | None = None
    average: Expression | None = None
    histogram: Expression | None = None
    top: int | None = None
    every_s: float = DEFAULT_EVERY_S

    def measures(self) -> dict[str, Expression]:
        """What is measured, by name."""
        found: dict[str, Expression | None] = {
            name: getattr(self, name) for name in MEASURES
        }
        return {name: each for name, each in found.items() if each is not None}

    def expressions(self) -> list[Expression]:
        """All that has to be evaluated."""
        return [*self.by, *self.measures().values()]


def read_count(value: object) -> Count:
    """Read what stands under `count`. Raises ProbeError, ExpressionError."""
    if value is True:
        return Count()
    known = ("by", "top", "every", *MEASURES)
    table = read_table(value, "count", known, "by = ['name']")
    by = table.get("by", [])
    if not isinstance(by, list) or len(by) > COUNT_KEYS_LIMIT:
        raise ProbeError(
            f"count.by = {by!r} is no list of up to {COUNT_KEYS_LIMIT} expressions"
        )
    every = table.get("every")
    return Count(
        by=tuple(read_expression(each, "count.by") for each in by if each != STACK),
        by_stack=STACK in by,
        top=_read_top(table.get("top")),
        every_s=DEFAULT_EVERY_S
        if every is None
        else parse_duration(every, "count.every"),
        **{
            name: read_expression(table[name], f"count.{name}")
            for name in MEASURES
            if name in table
        },
    )


def _read_top(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or value is True or not 1 <= value <= TOP_LIMIT:
        raise ProbeError(
            f"count.top = {value!r} is no whole number from 1 to {TOP_LIMIT}"
        )
    return value


def write_count(count: Count, write: Write) -> dict[str, object]:
    """The table under `count`."""
    table: dict[str, object] = {"every": format_duration(count.every_s)}
    if count.by or count.by_stack:
        stack = [STACK] if count.by_stack else []
        table["by"] = [*map(write, count.by), *stack]
    for name, measure in count.measures().items():
        table[name] = write(measure)
    if count.top is not None:
        table["top"] = count.top
    return table
