"""Histograms of aggregates (docs/protocol.md, Record) as a line of bars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BARS = "▁▂▃▄▅▆▇█"

WIDTH = 16
"""Bars of a line: fits beside the other columns in 80."""


def draw_histogram(histogram: Mapping[str, object]) -> str:
    """The buckets as bars between their smallest and largest bound."""
    buckets = read_buckets(histogram)
    if not buckets:
        return ""
    low, high = buckets[0][0], buckets[-1][0]
    span = high[1] - low[1] + 1 if low[0] == high[0] else len(buckets)
    width = min(WIDTH, span)
    heights = [0] * width
    for position, (place, count) in enumerate(buckets):
        offset = place[1] - low[1] if low[0] == high[0] else position
        heights[offset * width // span] += count
    top = max(heights)
    bars = "".join(
        BARS[math.ceil(height / top * len(BARS)) - 1] if height else " "
        for height in heights
    )
    unit = str(histogram.get("unit") or "")
    ends = f"{_bound(low)} {bars} {_bound(high, upper=True)}"
    return f"{ends} {unit}".rstrip()


def read_buckets(
    histogram: Mapping[str, object],
) -> list[tuple[tuple[int, int], int]]:
    """The buckets in order of their values; what is no bucket is left out.

    The place of a bucket is its sign and its exponent, mirrored for negative values.
    """
    buckets = histogram.get("buckets")
    if not isinstance(buckets, dict):
        return []
    result: list[tuple[tuple[int, int], int]] = []
    for key, count in buckets.items():
        place = _place(str(key))
        if place is not None and isinstance(count, int) and count > 0:
            result.append((place, count))
    return sorted(result)


def _place(key: str) -> tuple[int, int] | None:
    if key == "zero":
        return (0, 0)
    negative = key.startswith("n:")
    try:
        exponent = int(key[2:] if negative else key)
    except ValueError:
        return None
    return (-1, -exponent) if negative else (1, exponent)


def _bound(place: tuple[int, int], *, upper: bool = False) -> str:
    sign, exponent = place
    if sign == 0:
        return "0"
    if sign < 0:
        exponent = -exponent
    outer = upper if sign > 0 else not upper
    try:
        value = sign * 2.0 ** ((exponent + outer) / 4)
    except OverflowError:
        return "∞" if sign > 0 else "-∞"
    return f"{value:.3g}"
