"""set and keep as values."""

import pytest

from remora.errors import RemoraError
from remora.protocol import parse_probe

PROBE = {"id": "p", "target": "m:f"}


def test_notes_and_keep_travel_whole():
    probe = parse_probe(
        {
            **PROBE,
            "log": "x",
            "set": {"began": "now_ms", "order": "order.id"},
            "keep": "remora.error is not missing or duration_ms > 5",
        }
    )
    assert parse_probe(probe.to_json()) == probe
    assert parse_probe(probe.to_source()) == probe
    assert dict(probe.notes)["began"].text == "now_ms"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"set": {}}, "no table of 1 to 20"),
        ({"set": "x"}, "no table of 1 to 20"),
        ({"set": {"_x": "1"}}, "is no name"),
        ({"set": {"a b": "1"}}, "is no name"),
        ({"set": {"a": "("}}, "set.a"),
        ({"log": "x", "keep": "amount > 1"}, "has no 'amount'"),
        ({"log": "x", "keep": "result"}, "has no 'result'"),
        ({"count": True, "keep": "error is missing"}, "keep holds records back"),
    ],
)
def test_what_cannot_be_noted_or_kept_is_refused(keys, words):
    with pytest.raises(RemoraError, match=words):
        parse_probe({**PROBE, **keys})
