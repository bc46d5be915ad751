"""Histograms of the wire: their buckets in order, and the quantiles read from them.

A bucket is known by its order, a number that sorts as the values in it do: exponent e
stands at 5,000 + e, its negative at -5,000 - e, and 0 at 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
"""What is shown of a distribution. Buckets are a quarter of a doubling wide, so a value
told by the middle of its bucket is at most 9.1 % off."""

_MIDDLE = 5000


def read_buckets(histogram: Mapping[str, object]) -> list[tuple[int, int]]:
    """Orders with their counts, ascending; what is no bucket is left out."""
    buckets = histogram.get("buckets")
    if not isinstance(buckets, dict):
        return []
    return sorted(
        (order, count)
        for key, count in buckets.items()
        if (order := _order(str(key))) is not None
        and isinstance(count, int)
        and 0 < count < 2**63
    )


def _order(key: str) -> int | None:
    if key == "zero":
        return 0
    negative = key.startswith("n:")
    try:
        exponent = int(key[2:] if negative else key)
    except ValueError:
        return None
    if not -4300 <= exponent < 4095:  # what a float can hold
        return None
    return -_MIDDLE - exponent if negative else _MIDDLE + exponent


def bucket_edges(order: int) -> tuple[float, float]:
    """The least and the greatest value of a bucket."""
    if order == 0:
        return 0.0, 0.0
    exponent = abs(order) - _MIDDLE
    low, high = 2 ** (exponent / 4), 2 ** ((exponent + 1) / 4)
    return (low, high) if order > 0 else (-high, -low)


def quantiles(buckets: Sequence[tuple[int, int]]) -> dict[str, float]:
    """The value below which each share of the counted lies, by name."""
    total = sum(count for _, count in buckets)
    found: dict[str, float] = {}
    passed = 0
    for order, count in buckets:
        passed += count
        for name, share in QUANTILES.items():
            if name not in found and passed >= share * total:
                found[name] = _middle(order)
    return found


def _middle(order: int) -> float:
    """The value that is as many times above the least as below the greatest."""
    if order == 0:
        return 0.0
    size = 2 ** ((abs(order) - _MIDDLE + 0.5) / 4)
    return size if order > 0 else -size
