"""Quantiles read from the buckets of the wire."""

import random

import pytest

from remora.agent.actions import count_size
from remora.protocol.histogram import QUANTILES, quantiles, read_buckets


@pytest.mark.parametrize("seed", range(5))
def test_a_quantile_is_at_most_nine_percent_off(seed):
    rng = random.Random(seed)
    values = sorted(rng.lognormvariate(0, 3) for _ in range(2000))
    buckets: dict[int | str, int] = {}
    for value in values:
        count_size(buckets, value)
    wire = {"buckets": {str(key): count for key, count in buckets.items()}}
    found = quantiles(read_buckets(wire))
    for name, share in QUANTILES.items():
        exact = values[max(0, int(share * len(values)) - 1)]
        assert found[name] == pytest.approx(exact, rel=0.0906)


def test_buckets_are_in_the_order_of_their_values():
    wire = {"buckets": {"4": 1, "zero": 2, "n:0": 3, "n:4": 4, "-3": 5, "x": 6}}
    assert [count for _, count in read_buckets(wire)] == [4, 3, 2, 5, 1]
    assert quantiles(read_buckets(wire))["p50"] == 0.0
    assert quantiles(read_buckets({"buckets": {"n:0": 1}}))["p99"] == pytest.approx(
        -(2**0.125)
    )


@pytest.mark.parametrize("buckets", [None, [], {}, {"1": -1}, {"99999": 1}])
def test_what_has_no_buckets_has_no_quantiles(buckets):
    assert quantiles(read_buckets({"buckets": buckets})) == {}
