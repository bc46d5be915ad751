"""span: a call as a part of a trace."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remora.errors import ProbeError
from remora.expression import Expression, Template
from remora.protocol.reading import read_expression, read_table, read_template
from remora.values import frozen

if TYPE_CHECKING:
    from remora.protocol.reading import Write

ATTRIBUTES_LIMIT = 20
"""Attributes of one span: what fits beside its bar."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}\Z")
_PARAMETER = re.compile(r"[^\W\d]\w{0,99}\Z")


@frozen
class Span:
    """A call as a span. `name` is the site where it is not given.

    `propagate` is the argument, a dictionary of headers, that gets the trace.
    """

    name: Template | None = None
    attributes: tuple[tuple[str, Expression], ...] = ()
    propagate: str = ""

    def expressions(self) -> list[Expression | Template]:
        """All that has to be evaluated."""
        name = [] if self.name is None else [self.name]
        return [*name, *(expression for _, expression in self.attributes)]


def read_span(value: object) -> Span:
    """Read what stands under `span`. Raises ProbeError, ExpressionError."""
    if value is True:
        return Span()
    known = ("name", "attributes", "propagate")
    table = read_table(value, "span", known, "name = 'charge {amount}'")
    propagate = table.get("propagate", "")
    if not isinstance(propagate, str) or (
        "propagate" in table and not _PARAMETER.match(propagate)
    ):
        raise ProbeError(
            f"span.propagate = {propagate!r} is no name of an argument: write for "
            "example 'headers'"
        )
    return Span(
        name=read_template(table["name"], "span.name") if "name" in table else None,
        attributes=_read_attributes(table.get("attributes", {})),
        propagate=propagate,
    )


def _read_attributes(value: object) -> tuple[tuple[str, Expression], ...]:
    if not isinstance(value, dict) or len(value) > ATTRIBUTES_LIMIT:
        raise ProbeError(
            f"span.attributes = {value!r} is no table of up to {ATTRIBUTES_LIMIT} "
            "attributes: write { amount = 'amount' }"
        )
    for name in value:
        if not isinstance(name, str) or not _NAME.match(name):
            raise ProbeError(
                f"span.attributes: {name!r} is no name: write letters, digits, '_', "
                "'-' and '.'"
            )
    return tuple(
        (name, read_expression(entry, f"span.attributes.{name}"))
        for name, entry in value.items()
    )


def write_span(span: Span, write: Write) -> object:
    """What stands under `span`."""
    table: dict[str, object] = {}
    if span.name is not None:
        table["name"] = write(span.name)
    if span.attributes:
        table["attributes"] = {name: write(each) for name, each in span.attributes}
    if span.propagate:
        table["propagate"] = span.propagate
    return table or True
