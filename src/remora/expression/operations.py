"""The operators of the language on any two values, in bounded time.

A comparison is true, false or undecided: undecided (something is missing, or beyond the
bounds) makes both it and its negation false. `find_unread` says afterwards which reads
left it so.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

from remora.expression.containers import (
    ITEMS_LIMIT,
    TEXT_SCAN_LIMIT,
    Kind,
    find_key,
    first_entries,
    first_items,
    kind_of,
    length,
    plain_number,
    plain_text,
    read_item,
)
from remora.expression.missing import (
    MISSING,
    TOO_LARGE,
    UNDEFINED,
    WRONG_TYPE,
    Missing,
)
from remora.expression.reading import AppValue, read_attribute
from remora.expression.tree import children

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from remora.expression.tree import Tree

EQUALITY_STEPS = 2000
"""Pairs of values that one comparison of containers looks at: about 1 ms at most."""

TEXT_PER_STEP = 16_384
"""Code points or bytes that are compared in the time of one such pair."""

EQUALITY_DEPTH = 20

_MISSING = Kind.MISSING

INT_BITS_LIMIT = 4096
"""Bits of an integer that takes part in arithmetic: products stay below 1 µs."""


def is_equal(left: AppValue, right: AppValue, steps: list[int] | None = None) -> bool:
    """`==`: by value for builtins, by identity for the app's objects.

    `steps` are what is left to do; it is counted down, and undecided is what is below.
    """
    return _decide(left, right, steps) is True


def is_not_equal(
    left: AppValue, right: AppValue, steps: list[int] | None = None
) -> bool:
    """`!=`: false as well where it is undecided."""
    return _decide(left, right, steps) is False


def _decide(left: AppValue, right: AppValue, steps: list[int] | None) -> bool | None:
    kind, other = kind_of(left), kind_of(right)
    if kind is _MISSING or other is _MISSING:
        return None
    if kind is not other:
        return False
    return _equal(left, right, [EQUALITY_STEPS] if steps is None else steps, 0)


def _equal(
    left: AppValue, right: AppValue, steps: list[int], depth: int
) -> bool | None:
    kind, other = kind_of(left), kind_of(right)
    if kind is Kind.MISSING or other is Kind.MISSING:
        return None
    if kind is not other:
        return False
    if kind is Kind.NUMBER:
        return plain_number(left) == plain_number(right)
    if kind is Kind.TEXT or kind is Kind.BYTES:
        return _equal_texts(left, right, kind, steps)
    if kind is Kind.NOTHING or kind is Kind.BOOL or kind is Kind.OBJECT:
        return left is right
    return _equal_containers(left, right, kind, steps, depth)


def _equal_texts(
    left: AppValue, right: AppValue, kind: Kind, steps: list[int]
) -> bool | None:
    size = length(left)
    if size != length(right):
        return False
    if size > TEXT_SCAN_LIMIT:
        return True if left is right else None
    if size >= TEXT_PER_STEP:
        steps[0] -= size // TEXT_PER_STEP
        if steps[0] < 0:
            return None
    if kind is Kind.TEXT:
        return str.__eq__(left, right)
    return bytes.__eq__(left, right)


def _equal_containers(
    left: AppValue, right: AppValue, kind: Kind, steps: list[int], depth: int
) -> bool | None:
    size = length(left)
    if size != length(right):
        return False
    if left is right:
        return True
    if size > ITEMS_LIMIT or depth >= EQUALITY_DEPTH:
        return None
    steps[0] -= 1 + size
    if steps[0] < 0:
        return None
    ours, theirs = first_items(left, ITEMS_LIMIT), first_items(right, ITEMS_LIMIT)
    if type(ours) is Missing or type(theirs) is Missing or len(ours) != len(theirs):
        return None
    if kind is Kind.SEQUENCE:
        return _all_decided(
            _equal(ours[index], theirs[index], steps, depth + 1)
            for index in range(len(ours))
        )
    if kind is Kind.SET:
        return _all_decided(contains(right, item) for item in ours)
    return _all_decided(
        _equal(value, find_key(right, key), steps, depth + 1)
        for key, value in first_entries(left, ITEMS_LIMIT)
    )


def _all_decided(verdicts: Iterable[bool | None]) -> bool | None:
    """False if one is false, else undecided if one is."""
    undecided = False
    for verdict in verdicts:
        if verdict is False:
            return False
        undecided = undecided or verdict is None
    return None if undecided else True


def is_less(left: AppValue, right: AppValue) -> bool:
    """`<` between two numbers, two texts or two bytes; false for anything else."""
    pair = _ordered(left, right)
    return pair is not None and pair[0] < pair[1]


def is_at_most(left: AppValue, right: AppValue) -> bool:
    """`<=` between two numbers, two texts or two bytes; false for anything else."""
    pair = _ordered(left, right)
    return pair is not None and pair[0] <= pair[1]


def is_greater(left: AppValue, right: AppValue) -> bool:
    """`>` between two numbers, two texts or two bytes; false for anything else."""
    return is_less(right, left)


def is_at_least(left: AppValue, right: AppValue) -> bool:
    """`>=` between two numbers, two texts or two bytes; false for anything else."""
    return is_at_most(right, left)


_ORDERED = (Kind.NUMBER, Kind.TEXT, Kind.BYTES)


def _ordered(left: AppValue, right: AppValue) -> tuple[AppValue, AppValue] | None:
    kind = kind_of(left)
    if kind is not kind_of(right) or kind not in _ORDERED:
        return None
    if kind is Kind.NUMBER:
        pair = plain_number(left), plain_number(right)
    elif min(length(left), length(right)) > TEXT_SCAN_LIMIT:
        return None
    elif kind is Kind.TEXT:
        pair = plain_text(left), plain_text(right)
    elif kind is Kind.BYTES and type(left) is type(right) is bytes:
        pair = left, right
    else:
        return None
    return None if type(pair[0]) is Missing or type(pair[1]) is Missing else pair


def is_in(item: AppValue, container: AppValue, steps: list[int] | None = None) -> bool:
    """`in`: an item of a container, a key of a mapping, a part of a text."""
    return contains(container, item, steps) is True


def is_not_in(
    item: AppValue, container: AppValue, steps: list[int] | None = None
) -> bool:
    """`not in`: false as well where it is undecided or there is no container."""
    return contains(container, item, steps) is False


def is_text_in(item: AppValue, choices: frozenset[str]) -> bool:
    """`in` a list of constant texts, for an item that is no exact str."""
    if kind_of(item) is not Kind.TEXT:
        return False
    text = plain_text(item)
    return type(text) is str and text in choices


def is_text_not_in(item: AppValue, choices: frozenset[str]) -> bool:
    """`not in` a list of constant texts, for an item that is no exact str."""
    return kind_of(item) is not _MISSING and not is_text_in(item, choices)


def contains(
    container: AppValue, item: AppValue, steps: list[int] | None = None
) -> bool | None:
    """Whether the container holds the item; None where that is not decided.

    `steps` are as of `is_equal`, and what is not given is enough for this alone.
    """
    kind, wanted = kind_of(container), kind_of(item)
    if wanted is Kind.MISSING:
        return None
    if kind is Kind.TEXT and wanted is Kind.TEXT:
        return _has_part(container, item, str)
    if kind is Kind.BYTES and wanted is Kind.BYTES:
        return _has_part(container, item, bytes)
    if kind is Kind.MAPPING:
        found = find_key(container, item)
        if found is TOO_LARGE:
            return None
        return found is not MISSING and found is not WRONG_TYPE
    if kind is not Kind.SEQUENCE and kind is not Kind.SET:
        return None
    items = first_items(container, ITEMS_LIMIT)
    steps = [EQUALITY_STEPS] if steps is None else steps
    undecided = length(container) != len(items)
    for candidate in items:
        verdict = _equal(candidate, item, steps, 1)
        if verdict is True:
            return True
        undecided = undecided or verdict is None
    return None if undecided else False


def _has_part(text: AppValue, part: AppValue, cls: type[str | bytes]) -> bool | None:
    if cls.find(text, part, 0, TEXT_SCAN_LIMIT) >= 0:
        return True
    return None if cls.__len__(text) > TEXT_SCAN_LIMIT else False


def is_true(value: AppValue) -> bool:
    """What counts as true: all but missing, None, False, 0, and what is empty."""
    cls = type(value)
    if cls is bool:
        return value
    kind = kind_of(value)
    if kind is Kind.OBJECT:
        return True
    if kind is Kind.NUMBER:
        number = plain_number(value)
        return type(number) is not Missing and number != 0
    if kind is Kind.NOTHING or kind is Kind.MISSING:
        return False
    return length(value) != 0


def add(left: AppValue, right: AppValue) -> AppValue:
    """`+` on numbers."""
    pair = _operands(left, right)
    return pair if type(pair) is Missing else _bounded(operator.add, pair)


def subtract(left: AppValue, right: AppValue) -> AppValue:
    """`-` on numbers."""
    pair = _operands(left, right)
    return pair if type(pair) is Missing else _bounded(operator.sub, pair)


def multiply(left: AppValue, right: AppValue) -> AppValue:
    """`*` on numbers."""
    pair = _operands(left, right)
    return pair if type(pair) is Missing else _bounded(operator.mul, pair)


def divide(left: AppValue, right: AppValue) -> AppValue:
    """`/` on numbers; missing (arithmetic) for a division by zero."""
    pair = _operands(left, right)
    return pair if type(pair) is Missing else _bounded(operator.truediv, pair)


def floor_divide(left: AppValue, right: AppValue) -> AppValue:
    """`//` on numbers, towards minus infinity."""
    pair = _operands(left, right)
    return pair if type(pair) is Missing else _bounded(operator.floordiv, pair)


def remainder(left: AppValue, right: AppValue) -> AppValue:
    """`%` on numbers, with the sign of the divisor."""
    pair = _operands(left, right)
    return pair if type(pair) is Missing else _bounded(operator.mod, pair)


def negate(value: AppValue) -> AppValue:
    """`-` before a number."""
    return subtract(0, value) if type(value) is not float else -value


def _operands(left: AppValue, right: AppValue) -> AppValue:
    if type(left) is Missing:
        return left
    if type(right) is Missing:
        return right
    if kind_of(left) is not Kind.NUMBER or kind_of(right) is not Kind.NUMBER:
        return WRONG_TYPE
    pair = plain_number(left), plain_number(right)
    for number in pair:
        if type(number) is Missing:
            return number
        if type(number) is int and number.bit_length() > INT_BITS_LIMIT:
            return TOO_LARGE
    return pair


def _bounded(
    operation: Callable[[AppValue, AppValue], AppValue], pair: tuple[AppValue, AppValue]
) -> AppValue:
    try:
        result = operation(*pair)
    except ArithmeticError:
        return UNDEFINED
    if type(result) is int and result.bit_length() > INT_BITS_LIMIT:
        return TOO_LARGE
    return result


def find_unread(
    tree: Tree, value_of: Callable[[str], AppValue], found: dict[str, str]
) -> None:
    """Add the reads of a tree that lead to nothing to `found`, each with its reason.

    `value_of` gives the value of a name. What a tree itself asks to be missing is not
    among them, nor what it reads of the items of a loop.
    """
    if not isinstance(tree, tuple) or tree[0] == "missing":
        return
    if _is_path(tree):
        value, text = _follow(tree, value_of)
        if type(value) is Missing:
            found[text] = value.reason
        return
    for part in tree[3:4] if tree[0] == "loop" else children(tree):
        find_unread(part, value_of, found)


def _is_path(tree: Tree) -> bool:
    """Whether this is a name, or attributes and constant items of one."""
    if not isinstance(tree, tuple):
        return False
    if tree[0] == "item":
        return not isinstance(tree[2], tuple) and _is_path(tree[1])
    return tree[0] == "name" or (tree[0] == "attribute" and _is_path(tree[1]))


def _follow(tree: Tree, value_of: Callable[[str], AppValue]) -> tuple[AppValue, str]:
    """The value at the end of a path, or where it breaks off, and the way there."""
    if tree[0] == "name":
        return value_of(tree[1]), tree[1]
    owner, text = _follow(tree[1], value_of)
    if type(owner) is Missing:
        return owner, text
    if tree[0] == "attribute":
        return read_attribute(owner, tree[2]), f"{text}.{tree[2]}"
    return read_item(owner, tree[2]), f"{text}[{tree[2]!r}]"
