"""`any(c for x in a)` and `all(…)`: a condition for each item, bounded as a whole.

What each operation of the language may look at is bounded, but a thousand times that is
seconds. So the operations of a loop share its steps: each counts down what it will look
at, by weights that make a step about a microsecond at most (docs/expressions.md). A
loop without steps left is missing (size), never a guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.expression import operations
from remora.expression.containers import (
    ITEMS_LIMIT,
    TEXT_SCAN_LIMIT,
    Kind,
    first_items,
    kind_of,
    length,
    read_item,
)
from remora.expression.functions import FUNCTIONS
from remora.expression.missing import TOO_LARGE, Missing
from remora.expression.reading import AppValue

if TYPE_CHECKING:
    from collections.abc import Callable

    Steps = list[int]

LOOP_STEPS = 2**15
"""Of one loop: some 30 ms at worst, and a thousand items with thirty steps each."""

_WEIGHTS: dict[AppValue, int] = {
    operations.is_less: operations.TEXT_PER_STEP,
    operations.is_at_most: operations.TEXT_PER_STEP,
    operations.is_greater: operations.TEXT_PER_STEP,
    operations.is_at_least: operations.TEXT_PER_STEP,
    FUNCTIONS["startswith"]: operations.TEXT_PER_STEP,
    FUNCTIONS["endswith"]: operations.TEXT_PER_STEP,
    FUNCTIONS["lower"]: 32,
    FUNCTIONS["upper"]: 32,
    FUNCTIONS["any"]: TEXT_SCAN_LIMIT,
    FUNCTIONS["all"]: TEXT_SCAN_LIMIT,
    FUNCTIONS["min"]: operations.TEXT_PER_STEP,
    FUNCTIONS["max"]: operations.TEXT_PER_STEP,
    FUNCTIONS["str"]: TEXT_SCAN_LIMIT,
    read_item: TEXT_SCAN_LIMIT,
}
"""Code points or bytes of an argument that are one step; each item of a container is
one for all of them. Operations that are not here look at nothing that grows."""

_COMPARING = {
    operations.is_equal,
    operations.is_not_equal,
    operations.is_in,
    operations.is_not_in,
}
"""These count what they look at themselves."""

SEARCH_WEIGHT = 512
"""Code points that a search for a part looks at in one step."""

PATTERN_WEIGHT = 8
"""Code points that a pattern is matched with in one step."""


def any_match(
    container: AppValue, condition: Callable[..., bool], *bound: AppValue
) -> AppValue:
    """Whether the condition holds for an item; missing (size) if that stays open."""
    return _find(container, condition, bound, wanted=True)


def all_match(
    container: AppValue, condition: Callable[..., bool], *bound: AppValue
) -> AppValue:
    """Whether the condition holds for every item; missing (size) if that stays open."""
    return _find(container, condition, bound, wanted=False)


def _find(
    container: AppValue,
    condition: Callable[..., bool],
    bound: tuple[AppValue, ...],
    *,
    wanted: bool,
) -> AppValue:
    """`wanted` at the first item for which the condition is that, else the opposite."""
    items = first_items(container, ITEMS_LIMIT)
    if type(items) is Missing:
        return items
    steps = [LOOP_STEPS]
    for item in items:
        held = condition(steps, item, *bound)
        if steps[0] < 0:
            return TOO_LARGE
        if held is wanted:
            return wanted
    return TOO_LARGE if length(container) != len(items) else not wanted


def counted(function: Callable[..., AppValue]) -> Callable[..., AppValue] | None:
    """The same with the loop's steps as its first argument.

    None where it looks at nothing that grows, and may stay as it is.
    """
    if function in _COMPARING:
        return lambda steps, left, right: _compare(function, steps, left, right)
    if function is FUNCTIONS["contains"]:
        return lambda steps, container, item: _compare(
            operations.is_in, steps, item, container
        )
    weight = _WEIGHTS.get(function)
    return None if weight is None else weighed(function, weight)


def weighed(function: Callable[..., AppValue], weight: int) -> Callable[..., AppValue]:
    """A function that takes its arguments' weight from the steps first."""

    def run(steps: Steps, *values: AppValue) -> AppValue:
        for value in values:
            _take(steps, value, weight)
        return function(*values) if steps[0] >= 0 else TOO_LARGE

    return run


def _compare(
    compare: Callable[..., bool], steps: Steps, left: AppValue, right: AppValue
) -> bool:
    if compare is operations.is_in or compare is operations.is_not_in:
        _take(steps, right, SEARCH_WEIGHT)
    return steps[0] >= 0 and compare(left, right, steps)


def _take(steps: Steps, value: AppValue, weight: int) -> None:
    size = length(value)
    if type(size) is Missing:
        return
    kind = kind_of(value)
    if kind is Kind.TEXT or kind is Kind.BYTES:
        steps[0] -= min(size, TEXT_SCAN_LIMIT) // weight
    else:
        steps[0] -= min(size, ITEMS_LIMIT)
