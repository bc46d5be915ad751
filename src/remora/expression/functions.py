"""The functions of the language: total, bounded, and blind to the app's methods."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remora.expression.containers import (
    ITEMS_LIMIT,
    TEXT_SCAN_LIMIT,
    Kind,
    first_items,
    kind_of,
    length,
    plain_number,
    plain_text,
)
from remora.expression.missing import TOO_LARGE, UNDEFINED, WRONG_TYPE, Missing
from remora.expression.operations import INT_BITS_LIMIT, contains, is_less, is_true
from remora.expression.reading import AppValue, type_name
from remora.expression.rendering import render_text

if TYPE_CHECKING:
    from collections.abc import Callable

CASE_LIMIT = 65_536
"""Code points that lower() and upper() convert: some 100 µs, and a small copy."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,300}\Z")
_DECIMAL = re.compile(
    r"[+-]?([0-9]{1,300}(\.[0-9]{0,300})?|\.[0-9]{1,300})([eE][+-]?[0-9]{1,4})?\Z"
)


_SEARCHED = (Kind.TEXT, Kind.BYTES)


def starts_with(text: AppValue, prefix: AppValue) -> bool:
    """Whether a text (or bytes) begins with another."""
    kind = kind_of(text)
    if kind is kind_of(prefix):
        if kind not in _SEARCHED or length(prefix) > TEXT_SCAN_LIMIT:
            return False
        if kind is Kind.TEXT:
            return str.startswith(text, prefix)
        return bytes.startswith(text, prefix)
    return False


def ends_with(text: AppValue, suffix: AppValue) -> bool:
    """Whether a text (or bytes) ends with another."""
    kind = kind_of(text)
    if kind is kind_of(suffix):
        if kind not in _SEARCHED or length(suffix) > TEXT_SCAN_LIMIT:
            return False
        if kind is Kind.TEXT:
            return str.endswith(text, suffix)
        return bytes.endswith(text, suffix)
    return False


def has(container: AppValue, item: AppValue) -> bool:
    """`contains(container, item)`: the same as `item in container`."""
    return contains(container, item) is True


def lower(text: AppValue) -> AppValue:
    """The text in lower case."""
    plain = _convertible(text)
    return plain.lower() if type(plain) is str else plain


def upper(text: AppValue) -> AppValue:
    """The text in upper case."""
    plain = _convertible(text)
    return plain.upper() if type(plain) is str else plain


def _convertible(text: AppValue) -> AppValue:
    kind = kind_of(text)
    if kind is Kind.TEXT:
        return TOO_LARGE if str.__len__(text) > CASE_LIMIT else plain_text(text)
    return text if kind is Kind.MISSING else WRONG_TYPE


def any_item(container: AppValue) -> AppValue:
    """Whether an item counts as true; missing (size) if that stays open."""
    items = first_items(container, ITEMS_LIMIT)
    if type(items) is Missing:
        return items
    if any(map(is_true, items)):
        return True
    return TOO_LARGE if length(container) != len(items) else False


def all_items(container: AppValue) -> AppValue:
    """Whether every item counts as true; missing (size) if that stays open."""
    items = first_items(container, ITEMS_LIMIT)
    if type(items) is Missing:
        return items
    if not all(map(is_true, items)):
        return False
    return TOO_LARGE if length(container) != len(items) else True


def least(*values: AppValue) -> AppValue:
    """The least of several numbers or texts, or of the items of one container."""
    return _extreme(values, is_less)


def greatest(*values: AppValue) -> AppValue:
    """The greatest of several numbers or texts, or of the items of one container."""
    return _extreme(values, lambda left, right: is_less(right, left))


def _extreme(
    values: tuple[AppValue, ...], before: Callable[[AppValue, AppValue], bool]
) -> AppValue:
    items: AppValue = list(values)
    if len(values) == 1:
        items = first_items(values[0], ITEMS_LIMIT)
        if type(items) is Missing:
            return items
        if length(values[0]) != len(items):
            return TOO_LARGE
    if not items:
        return UNDEFINED
    kind = kind_of(items[0])
    best = items[0]
    looked_at = 0
    for item in items:
        if type(item) is Missing:
            return item
        if kind_of(item) is not kind or kind not in {Kind.NUMBER, Kind.TEXT}:
            return WRONG_TYPE
        if kind is Kind.TEXT:
            looked_at += str.__len__(item)
            if looked_at > TEXT_SCAN_LIMIT:
                return TOO_LARGE
        if before(item, best):
            best = item
    return best


def absolute(value: AppValue) -> AppValue:
    """The number without its sign."""
    kind = kind_of(value)
    if kind is Kind.NUMBER:
        number = plain_number(value)
        return number if type(number) is Missing else abs(number)
    return value if kind is Kind.MISSING else WRONG_TYPE


def to_int(value: AppValue) -> AppValue:
    """A number cut towards zero, or a text of decimal digits read; true is 1."""
    kind = kind_of(value)
    if kind is Kind.BOOL:
        return 1 if value else 0
    if kind is Kind.NUMBER:
        number = plain_number(value)
        if type(number) is int:
            return number if number.bit_length() <= INT_BITS_LIMIT else TOO_LARGE
        try:
            return number if type(number) is Missing else int(number)
        except (OverflowError, ValueError):
            return UNDEFINED
    text = _readable(value, kind)
    if type(text) is Missing:
        return text
    return int(text) if _INTEGER.match(text) else WRONG_TYPE


def to_float(value: AppValue) -> AppValue:
    """A number as a float, or a text in decimal notation read; true is 1.0."""
    kind = kind_of(value)
    if kind is Kind.BOOL:
        return 1.0 if value else 0.0
    if kind is Kind.NUMBER:
        number = plain_number(value)
        try:
            return number if type(number) is Missing else float(number)
        except OverflowError:
            return UNDEFINED
    text = _readable(value, kind)
    if type(text) is Missing:
        return text
    return float(text) if _DECIMAL.match(text) else WRONG_TYPE


def _readable(value: AppValue, kind: Kind) -> AppValue:
    """The text without the blanks around it, if it is short enough to be a number."""
    if kind is Kind.TEXT:
        if str.__len__(value) > 1000:
            return WRONG_TYPE
        text = plain_text(value)
        return text if type(text) is Missing else text.strip(" \t\r\n")
    return value if kind is Kind.MISSING else WRONG_TYPE


def to_text(value: AppValue) -> AppValue:
    """The value as a template shows it; a text stays whole; missing stays missing."""
    kind = kind_of(value)
    if kind is Kind.TEXT:
        return plain_text(value)
    return value if kind is Kind.MISSING else render_text(value)


def name_of_type(value: AppValue) -> AppValue:
    """`module.Class` of the value, and the bare name for builtins."""
    return value if type(value) is Missing else type_name(type(value))


FUNCTIONS: dict[str, Callable[..., AppValue]] = {
    "len": length,
    "startswith": starts_with,
    "endswith": ends_with,
    "contains": has,
    "lower": lower,
    "upper": upper,
    "any": any_item,
    "all": all_items,
    "min": least,
    "max": greatest,
    "abs": absolute,
    "int": to_int,
    "float": to_float,
    "str": to_text,
    "type_name": name_of_type,
}
"""What the names of the language stand for; `matches` is compiled with its pattern."""
