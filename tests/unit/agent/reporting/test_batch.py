import json

import pytest

from remora.agent.reporting import Batcher, Drops, Queue
from remora.agent.reporting.batch import BATCH_BYTES, encode_record


@pytest.fixture
def drops(heard):
    return Drops(Queue(), heard)


def encode(value, drops):
    return encode_record((lambda: value,), lambda record: record, drops)


def test_text_is_utf_8(drops):
    assert encode({"m": "grüße ✓"}, drops) == '{"m":"grüße ✓"}'.encode()


def test_a_lone_surrogate_is_spelled_out(drops):
    data = encode({"m": "a\udc80b"}, drops)
    assert json.loads(data) == {"m": "a\\udc80b"}


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_what_is_no_json_is_counted(value, drops):
    assert encode({"v": value}, drops) is None
    assert drops.totals == {"not-encodable": 1}


def test_an_encoder_that_fails_costs_its_record_only(drops):
    def fail(value):
        raise RecursionError(value)

    assert encode_record((fail, 1), lambda record: record, drops) is None
    assert encode([], drops) is None
    assert encode({}, drops) is None
    assert drops.totals == {"not-encodable": 3}


def test_a_record_has_a_bound(drops):
    assert encode({"v": "x" * 300_000}, drops) is None
    assert drops.totals == {"too-large": 1}


def test_records_are_prepared_before_they_are_written(drops):
    data = encode_record(
        (lambda: {"a": 1},), lambda record: {**record, "seen": True}, drops
    )
    assert json.loads(data) == {"a": 1, "seen": True}


def test_a_batch_ends_by_count(drops):
    batcher = Batcher(drops)
    for _ in range(500):
        assert not batcher.is_full
        assert batcher.add(b'{"a":1}', 5.0) is None
    assert batcher.is_full
    assert batcher.due == 6.0
    assert len(batcher.seal().records) == 500
    assert batcher.due is None


def test_a_batch_ends_by_size_and_its_message_stays_below_the_limit(drops):
    batcher = Batcher(drops)
    record = json.dumps({"v": "x" * 100_000}).encode()
    sealed = None
    while sealed is None:
        sealed = batcher.add(record, 0.0)
    message = b"".join(sealed.pieces("0" * 32, 4096))
    assert BATCH_BYTES - 110_000 < len(message) <= BATCH_BYTES
    assert len(json.loads(message)["records"]) == 5


def test_a_batch_is_the_message_of_the_protocol(drops):
    drops.add("too-large", 2)
    batcher = Batcher(drops)
    batcher.add(b'{"a":1}', 0.0)
    batcher.add(b'{"b":2}', 0.0)
    batch = batcher.seal()
    message = json.loads(b"".join(batch.pieces("f" * 32, 1)))
    assert message["records"] == [{"a": 1}, {"b": 2}]
    assert message["drops"] == {"too-large": 2}
    assert message["instance"] == "f" * 32
    assert len(message["batch"]) == 32
    assert message["sent"] > 10**18


def test_an_empty_batch_carries_counts(drops):
    drops.add("too-large")
    message = json.loads(b"".join(Batcher(drops).seal().pieces("0", 10)))
    assert message["records"] == []
    assert message["drops"] == {"too-large": 1}
