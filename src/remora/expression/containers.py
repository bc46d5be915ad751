"""Kinds of values, and reads of builtin containers by the builtins' own methods.

A value of a subclass of a builtin (an IntEnum, a Markup, a defaultdict) is read by the
storage that the builtin gave it; what the subclass overrides never runs.
"""

from __future__ import annotations

import sys
from collections import deque
from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING

from remora.expression.missing import MISSING, TOO_LARGE, WRONG_TYPE, Missing
from remora.expression.reading import AppValue, type_mro

if TYPE_CHECKING:
    from collections.abc import Callable

ITEMS_LIMIT = 1000
"""Items of a container that one operation looks at: about 50 µs. What is not decided by
these is missing (size), never a guess."""

TEXT_SCAN_LIMIT = 2**20
"""Code points or bytes that one operation looks at: some 100 µs."""


class Kind(IntEnum):
    """What a value is to the language."""

    NOTHING = 0
    BOOL = 1
    NUMBER = 2
    TEXT = 3
    BYTES = 4
    SEQUENCE = 5
    MAPPING = 6
    SET = 7
    MISSING = 8
    OBJECT = 9


_KINDS: dict[int, Kind] = {
    id(type(None)): Kind.NOTHING,
    id(bool): Kind.BOOL,
    id(int): Kind.NUMBER,
    id(float): Kind.NUMBER,
    id(str): Kind.TEXT,
    id(bytes): Kind.BYTES,
    id(list): Kind.SEQUENCE,
    id(tuple): Kind.SEQUENCE,
    id(deque): Kind.SEQUENCE,
    id(dict): Kind.MAPPING,
    id(set): Kind.SET,
    id(frozenset): Kind.SET,
    id(Missing): Kind.MISSING,
}
_find_kind = _KINDS.get


def kind_of(value: AppValue) -> Kind:
    """The kind of a value, by the nearest builtin that its type derives from."""
    kind = _find_kind(id(type(value)))
    if kind is not None:
        return kind
    for base in type_mro(type(value)):
        kind = _find_kind(id(base))
        if kind is not None:
            return kind
    return Kind.NUMBER if is_decimal(value) else Kind.OBJECT


def is_decimal(value: AppValue) -> bool:
    """Whether this is a decimal.Decimal of the C implementation."""
    decimal = sys.modules.get("_decimal")
    return decimal is not None and type(value) is decimal.Decimal


def decimal_text(value: AppValue) -> str:
    """The digits of a Decimal, by its own C function."""
    cls: AppValue = type(value)
    return cls.__str__(value)


def plain_number(value: AppValue) -> AppValue:
    """A number as int or float; a Decimal as the nearest float, so that 0.1 is 0.1."""
    cls = type(value)
    if cls is int or cls is float:
        return value
    if is_decimal(value):
        try:
            return cls.__float__(value)
        except ValueError:
            return WRONG_TYPE
    if issubclass(cls, int):
        return int.__int__(value)
    return float.__float__(value)


def plain_text(value: AppValue) -> AppValue:
    """A text as a str; one of a subclass is copied, if it is within the bound."""
    if type(value) is str:
        return value
    if str.__len__(value) > TEXT_SCAN_LIMIT:
        return TOO_LARGE
    return str.__str__(value)


def length(value: AppValue) -> AppValue:
    """Code points, bytes or items of a value; missing where it has no length."""
    counter = _LENGTHS.get(id(type(value)))
    if counter is not None:
        return counter(value)
    if type(value) is Missing:
        return value
    for base in type_mro(type(value)):
        counter = _LENGTHS.get(id(base))
        if counter is not None:
            return counter(value)
    return WRONG_TYPE


_SIZED: tuple[type, ...] = (str, bytes, list, tuple, deque, dict, set, frozenset)
_LENGTHS: dict[int, Callable[[AppValue], int]] = {
    id(cls): cls.__dict__["__len__"] for cls in _SIZED
}


def first_items(container: AppValue, limit: int) -> AppValue:
    """The first items of a sequence or set, the first keys of a mapping, as a list.

    One call into C without a way back into Python, so no other thread can change the
    container meanwhile.
    """
    for base in type_mro(type(container)):
        iterate = _ITERATORS.get(id(base))
        if iterate is not None:
            return list(islice(iterate(container), limit))
    return container if type(container) is Missing else WRONG_TYPE


_ITERABLE: tuple[type, ...] = (list, tuple, deque, dict, set, frozenset)
_ITERATORS: dict[int, Callable[[AppValue], AppValue]] = {
    id(cls): cls.__dict__["__iter__"] for cls in _ITERABLE
}


def first_entries(mapping: AppValue, limit: int) -> list[tuple[AppValue, AppValue]]:
    """The first keys of a mapping with their values, taken in one piece."""
    return list(islice(dict.items(mapping), limit))


def read_item(container: AppValue, key: AppValue) -> AppValue:
    """`container[key]` for builtin containers; a negative index counts from the end."""
    if type(container) is Missing:
        return container
    if type(key) is Missing:
        return key
    kind = kind_of(container)
    if kind is Kind.MAPPING:
        return find_key(container, key)
    if kind not in _INDEXED:
        return WRONG_TYPE
    if kind_of(key) is not Kind.NUMBER:
        return WRONG_TYPE
    index = plain_number(key)
    if type(index) is not int:
        return WRONG_TYPE
    for base in type_mro(type(container)):
        get_item = _GET_ITEMS.get(id(base))
        if get_item is not None:
            break
    else:
        return WRONG_TYPE
    try:
        return get_item(container, index)
    except IndexError:
        return MISSING


_INDEXED = (Kind.SEQUENCE, Kind.TEXT, Kind.BYTES)
_INDEXED_TYPES: tuple[type, ...] = (list, tuple, deque, str, bytes)
_GET_ITEMS: dict[int, Callable[[AppValue, int], AppValue]] = {
    id(cls): cls.__dict__["__getitem__"] for cls in _INDEXED_TYPES
}

_HARMLESS_KEYS: dict[int, frozenset[int]] = {
    id(str): frozenset(map(id, (str, int, float, bool, type(None), tuple, frozenset))),
    id(int): frozenset(map(id, (int, float, str, bytes, type(None), tuple))),
    id(bytes): frozenset(map(id, (bytes, int, float, bool, type(None), tuple))),
}
"""For a key of a type: the types of keys that it may be compared with by a lookup. A
lookup compares keys of equal hash, which would run the `__eq__` of an app's key; texts
and bytes have equal hashes, and comparing them warns under `python -b`."""

_ABSENT = object()


def find_key(mapping: AppValue, key: AppValue) -> AppValue:
    """The value under a text, whole number or bytes; missing (size) if it is huge."""
    harmless = _HARMLESS_KEYS.get(id(type(key)))
    if harmless is None:
        kind = kind_of(key)
        if kind is Kind.TEXT:
            return find_key(mapping, plain_text(key))
        if kind is Kind.NUMBER:
            number = plain_number(key)
            if type(number) is float and number.is_integer():
                number = int(number)
            return find_key(mapping, number) if type(number) is int else MISSING
        return key if kind is Kind.MISSING else WRONG_TYPE
    if dict.__len__(mapping) > ITEMS_LIMIT:
        return TOO_LARGE
    if harmless.issuperset(map(id, map(type, dict.__iter__(mapping)))):
        # dict.get, unlike [], does not call the __missing__ of a subclass.
        value = dict.get(mapping, key, _ABSENT)
        return MISSING if value is _ABSENT else value
    for candidate, value in list(dict.items(mapping)):
        if _same_key(candidate, key):
            return value
    return MISSING


def _same_key(candidate: AppValue, key: AppValue) -> bool:
    """Whether a key of a mapping is this one; `key` is an exact str, int or bytes."""
    kind = kind_of(candidate)
    if kind is not kind_of(key):
        return False
    if kind is Kind.TEXT:
        return plain_text(candidate) == key
    if kind is Kind.NUMBER:
        return plain_number(candidate) == key
    return bytes.__eq__(key, candidate)
