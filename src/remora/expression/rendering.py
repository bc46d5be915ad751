"""Values as text for templates and `str()`: bounded, and no `repr` of the app runs."""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING

from remora.expression.containers import (
    Kind,
    decimal_text,
    first_entries,
    first_items,
    is_decimal,
    kind_of,
    length,
    plain_number,
)
from remora.expression.reading import (
    AppValue,
    instance_dictionary,
    read_attribute,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable

RENDERED_LIMIT = 256
"""Characters of one value in a message: a line that still fits a screen."""

_ITEMS_SHOWN = 20
_DEPTH_SHOWN = 3
_INT_BITS_SHOWN = 800
"""Larger integers are described: the conversion to decimal is quadratic."""


def render_text(value: AppValue) -> str:
    """The value as a message shows it; a text stands for itself."""
    cls = type(value)
    if cls is str:
        return value if len(value) <= RENDERED_LIMIT else _cut(value)
    if cls is int and -(10**15) < value < 10**15:
        return int.__repr__(value)
    if kind_of(value) is Kind.TEXT:
        return _cut(str.__getitem__(value, slice(0, RENDERED_LIMIT + 1)))
    return _cut(_render(value, 0))


def _cut(text: str) -> str:
    if len(text) <= RENDERED_LIMIT:
        return text
    return f"{text[: RENDERED_LIMIT - 1]}…"


def _render(value: AppValue, depth: int) -> str:
    kind = kind_of(value)
    renderer = _RENDERERS.get(kind)
    if renderer is not None:
        return renderer(value)
    if kind is Kind.OBJECT:
        return _render_object(value)
    if depth >= _DEPTH_SHOWN:
        return "…"
    if kind is Kind.MAPPING:
        parts = [
            f"{_render(key, depth + 1)}: {_render(entry, depth + 1)}"
            for key, entry in first_entries(value, _ITEMS_SHOWN)
        ]
        return f"{{{_joined(parts, value)}}}"
    items = first_items(value, _ITEMS_SHOWN)
    parts = [_render(item, depth + 1) for item in items]
    opening, closing = "[]"
    if kind is Kind.SET:
        opening, closing = "{}"
    elif issubclass(type(value), tuple):
        opening, closing = "()"
    return f"{opening}{_joined(parts, value)}{closing}"


def _joined(parts: list[str], container: AppValue) -> str:
    if length(container) != len(parts):
        parts.append("…")
    return ", ".join(part[:RENDERED_LIMIT] for part in parts)


def _render_number(value: AppValue) -> str:
    if is_decimal(value):
        return decimal_text(value)
    number = plain_number(value)
    if type(number) is int:
        bits = number.bit_length()
        return (
            int.__repr__(number) if bits <= _INT_BITS_SHOWN else f"<int, {bits} bits>"
        )
    return repr(number)


def _render_quoted(value: AppValue) -> str:
    return repr(str.__getitem__(value, slice(0, RENDERED_LIMIT)))


def _render_bytes(value: AppValue) -> str:
    return repr(bytes.__getitem__(value, slice(0, RENDERED_LIMIT)))


_RENDERERS: dict[Kind, Callable[[AppValue], str]] = {
    Kind.NOTHING: repr,
    Kind.BOOL: repr,
    Kind.MISSING: repr,
    Kind.NUMBER: _render_number,
    Kind.TEXT: _render_quoted,
    Kind.BYTES: _render_bytes,
}


def _render_object(value: AppValue) -> str:
    cls = type(value)
    if issubclass(cls, BaseException):
        arguments = read_attribute(value, "args")
        if type(arguments) is tuple and arguments:
            first = arguments[0]
            if kind_of(first) in {Kind.TEXT, Kind.NUMBER, Kind.BYTES}:
                return f"{type_name(cls)}: {render_text(first)}"
        return type_name(cls)
    if issubclass(cls, type):
        return f"<class {type_name(value)}>"
    if cls is FunctionType or cls is BuiltinFunctionType:
        return f"<function {value.__qualname__}>"
    own = instance_dictionary(value)
    name = own.get("_name_") if own is not None else None
    if type(name) is str and "__objclass__" in own:  # pyright: ignore[reportOperatorIssue] - name came from it
        return f"{type_name(cls)}.{name}"
    return f"<{type_name(cls)}>"
