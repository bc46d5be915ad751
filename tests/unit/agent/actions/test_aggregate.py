from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from remora.agent.actions import FOLDED, Firings, Limiter, Table, plain_key
from remora.agent.actions.aggregate import ROWS_LIMIT, count_size
from remora.agent.actions.aggregate_record import make_aggregate
from remora.agent.capture import SecretNames
from remora.agent.probes.gate import Gates
from remora.expression import MISSING
from remora.protocol import Limit, parse_probe


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads are switched as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def counting() -> Table:
    return Table()


def measuring() -> Table:
    return Table()


def gate_of(table: Table) -> Callable[..., None]:
    """What a probe compiles to that counts by `k` and measures `v`."""
    probe = parse_probe(
        {
            "id": "p",
            "target": "a:f",
            "count": {
                "by": ["k"],
                "sum": "v",
                "min": "v",
                "max": "v",
                "average": "v",
                "histogram": "v",
            },
        }
    )
    firings = Firings("p", Limiter(Limit(), 5), lambda *_: True)
    site: Any = SimpleNamespace(target="a:f")
    return Gates(probe, firings, SecretNames(()), table).at(site, ("k", "v"))


def bucket_of(value: float) -> object:
    buckets: dict[int | str, int] = {}
    count_size(buckets, value)
    ((bucket, count),) = buckets.items()
    assert count == 1
    return bucket


def test_a_table_counts_by_key() -> None:
    table = counting()
    for key in ("a", "b", "a"):
        table.add(key)
    assert {key: row[0] for key, row in table.take_differences()} == {"a": 2, "b": 1}


def test_only_what_came_since_the_last_time_is_taken() -> None:
    table = measuring()
    gate = gate_of(table)
    gate("a", 1)
    table.take_differences()
    gate("a", 2.5)
    gate("a", 64)
    assert table.take_differences() == [
        ("a", [2, 66.5, 2.5, 64, {bucket_of(2.5): 1, bucket_of(64): 1}, 66.5, 2])
    ]
    assert table.firings == 3


def test_a_row_that_stood_still_is_forgotten_and_its_firings_are_not() -> None:
    table = counting()
    table.add("a")
    table.take_differences()
    assert table.take_differences() == []
    table.add("a")
    assert table.take_differences() == [("a", [1, 0, None, None, {}, 0, 0])]
    assert table.firings == 2


def test_keys_beyond_the_limit_are_folded_into_one_row() -> None:
    table = counting()
    for number in range(ROWS_LIMIT + 5):
        table.add(str(number))
    table.add("0")
    rows = dict(table.take_differences())
    assert len(rows) == ROWS_LIMIT + 1
    assert rows[FOLDED][0] == 5
    assert rows["0"][0] == 2
    assert table.firings == ROWS_LIMIT + 6


def test_what_is_no_number_is_left_out_of_the_measures() -> None:
    table = measuring()
    for value in (1, "text", None, True, MISSING, 2.0):
        gate_of(table)("a", value)
    (_, row), *_ = table.take_differences()
    assert row[:4] == [6, 3.0, 1, 2.0]
    assert sum(row[4].values()) == 2


def test_threads_that_add_at_the_same_time_lose_nothing(hurried: None) -> None:
    table, rounds = measuring(), 4000
    gate = gate_of(table)
    barrier = threading.Barrier(4)
    taken = 0

    def work() -> None:
        barrier.wait(30)
        for number in range(rounds):
            gate("x", 1)
            table.add(str(number % 7))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    barrier.wait(30)
    while any(thread.is_alive() for thread in threads):
        # in reality seconds lie between two rounds; what counts is that they overlap
        time.sleep(0.001)
        taken += sum(row[0] for _, row in table.take_differences())
    for thread in threads:
        thread.join(30)
    taken += sum(row[0] for _, row in table.take_differences())
    assert taken == 3 * rounds * 2
    assert table.firings == 3 * rounds * 2


def test_numbers_of_different_types_are_different_keys() -> None:
    assert len({plain_key(value) for value in (1, 1.0, True, "1")}) == 4


def test_keys_never_run_code_of_the_app(exploding) -> None:
    keys = {plain_key(exploding()), plain_key(exploding(str)), plain_key(MISSING)}
    assert len(keys) >= 2
    hash(plain_key([1, [2]]))


@pytest.mark.parametrize("value", [0, 0.001, 1, 1.5, 3, 1000, -5, 10**300])
def test_a_bucket_holds_what_is_within_a_quarter_of_a_doubling(value: float) -> None:
    assert bucket_of(value) == bucket_of(value * 1.0)
    if value > 0:
        assert bucket_of(value * 2) == bucket_of(value) + 4


def test_numbers_out_of_the_ordinary_have_their_own_buckets() -> None:
    assert bucket_of(0) == bucket_of(-0.0) == "zero"
    assert bucket_of(float("nan")) == "nan"
    assert bucket_of(float("inf")) == "inf"
    assert bucket_of(-1).startswith("n:")


@pytest.mark.parametrize("value", [10**400, -(10**400), 1 << 5000])
def test_integers_beyond_any_float_have_a_bucket_too(value: int) -> None:
    table = measuring()
    gate_of(table)("a", value)
    (_, row), *_ = table.take_differences()
    assert sum(row[4].values()) == 1


def test_a_record_shows_keys_and_numbers_in_the_wires_values() -> None:
    probe = parse_probe(
        {
            "id": "p",
            "target": "a:f",
            "count": {
                "by": ["x", "y"],
                "sum": "z",
                "min": "z",
                "max": "z",
                "histogram": "duration_ms",
            },
            "phase": "post",
        }
    )
    rows = [
        (("a", ("int", 3)), [2, float("inf"), 1, 2**60, {4: 2}]),
        (("a", ("missing", "no such name")), [1, 0, None, None, {}, 0, 0]),
        (FOLDED, [7, 0, None, None, {}]),
    ]
    record = make_aggregate(probe, 1, 2, rows, 0, SecretNames(()))
    assert record["by"] == ["x", "y"]
    assert record["rows_cut"] == 7
    first, second, third = record["rows"]
    assert first == {
        "key": ["a", 3],
        "count": 2,
        "sum": {"$": "float", "text": "inf"},
        "min": 1,
        "max": {"$": "int", "text": str(2**60)},
        "histogram": {"buckets": {"4": 2}, "unit": "ms"},
    }
    assert second["key"] == ["a", {"$": "missing", "reason": "no such name"}]
    assert "min" not in second
    assert third["key"] == [{"$": "missing", "reason": "folded"}] * 2


def test_a_key_of_no_expressions_is_an_empty_list() -> None:
    probe = parse_probe({"id": "p", "target": "a:f", "count": True})
    record = make_aggregate(
        probe, 1, 2, [((), [2, 0, None, None, {}])], 0, SecretNames(())
    )
    assert record["rows"] == [{"key": [], "count": 2}]


def test_a_key_with_a_secret_name_is_redacted_and_odd_texts_can_be_encoded() -> None:
    probe = parse_probe(
        {"id": "p", "target": "a:f", "count": {"by": ["user.password", "x"]}}
    )
    rows = [(("hunter2", "\ud800"), [1, 0, None, None, {}, 0, 0])]
    record = make_aggregate(probe, 1, 2, rows, 0, SecretNames(()))
    assert "hunter2" not in str(record)
    json.dumps(record, ensure_ascii=False).encode()


def test_a_sum_of_thousands_of_digits_can_be_encoded() -> None:
    probe = parse_probe({"id": "p", "target": "a:f", "count": {"sum": "x"}})
    record = make_aggregate(
        probe, 1, 2, [((), [1, 10**5000, None, None, {}])], 0, SecretNames(())
    )
    assert record["rows"][0]["sum"]["digits"] == 5001


def test_a_row_that_leaves_while_a_thread_holds_it_still_counts() -> None:
    table = counting()
    table.add("a")
    held = table._rows["a"]
    table.take_differences()
    assert table.take_differences() == []
    held[0] += 1
    assert table.take_differences() == [("a", [1, 0, None, None, {}, 0, 0])]
    assert table.take_differences() == []
    assert table.firings == 2
