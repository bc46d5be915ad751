"""What a snapshot costs in the app's thread, beside json.dumps of the same values.

Run: PYTHONPATH=src python benchmarks/capture.py
"""

import decimal
import json
import sys
import time

from remora.agent.capture import capture, capture_fields

LOCALS = {
    "quantity": 3,
    "name": "running shoes",
    "tags": ["sale", "new"],
    "price": {"net": 10.5, "vat": 2},
    "coupon": None,
}
ROUNDS = 31
CALLS = 300


class Node:
    """An object with as many fields as are shown, each an object again."""

    def __init__(self, depth: int) -> None:
        for number in range(20):
            setattr(self, f"field{number}", Node(depth - 1) if depth else number)


def tree(depth: int) -> object:
    return {f"key{n}": tree(depth - 1) for n in range(20)} if depth else "é" * 255


def median_us(variants, calls):
    """The variants interleaved, so that the load of the machine meets all of them."""
    times = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, call in variants.items():
            start = time.process_time_ns()
            for _ in range(calls):
                call()
            times[name].append((time.process_time_ns() - start) / calls / 1000)
    return {name: sorted(taken)[ROUNDS // 2] for name, taken in times.items()}


def main():
    small = median_us(
        {
            "json.dumps of 5 locals": lambda: json.dumps(LOCALS),
            "snapshot of 5 locals": lambda: capture_fields(LOCALS),
        },
        CALLS,
    )
    large = {
        "texts": tree(3),
        "objects": Node(2),
        "decimals": [[decimal.Decimal(n) for n in range(100)] for _ in range(100)],
        "integers": [list(range(100)) for _ in range(100)],
        "odd keys": {(n, n): {n: object()} for n in range(1000)},
    }
    largest = median_us(
        {
            f"largest snapshot: {name}": lambda value=value: capture(value)
            for name, value in large.items()
        },
        3,
    )
    print(f"CPython {sys.version.split()[0]}, median CPU in µs")
    for name, taken in {**small, **largest}.items():
        print(f"  {name:32} {taken:8.1f}")
    ratio = small["snapshot of 5 locals"] / small["json.dumps of 5 locals"]
    print(f"  snapshot / json.dumps            {ratio:8.2f}  (budget 2)")
    worst = max(largest.values())
    print(f"  largest                          {worst:8.1f}  (budget 1000)")


if __name__ == "__main__":
    main()
