"""Where in the app's own log a message goes."""

import pytest

from remora.errors import RemoraError
from remora.protocol import Logger, parse_probe

PROBE = {"id": "p", "target": "m:f", "log": "x"}


def test_a_logger_travels_whole():
    probe = parse_probe({**PROBE, "logger": "shop"})
    assert probe.logger == Logger("shop", "info")
    assert parse_probe(probe.to_json()) == probe
    assert parse_probe(probe.to_source()) == probe


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"logger": ""}, "logger.name"),
        ({"logger": 5}, "logger"),
        ({"logger": {"level": "info"}}, "logger.name"),
        ({"logger": {"name": "a", "level": "loud"}}, "logger.level"),
        ({"logger": {"name": "a", "to": "b"}}, "no key 'to'"),
        ({"logger": "a", "log": None, "count": True}, "there is no log"),
    ],
)
def test_a_logger_that_is_none_is_refused(keys, words):
    table = {k: v for k, v in {**PROBE, **keys}.items() if v is not None}
    with pytest.raises(RemoraError, match=words):
        parse_probe(table)
