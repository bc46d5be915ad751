"""Spans as values."""

import pytest

from remora.errors import RemoraError
from remora.protocol import parse_probe

PROBE = {"id": "p", "target": "m:f"}


@pytest.mark.parametrize(
    "span",
    [
        True,
        {"name": "charge {amount}"},
        {"attributes": {"shop.amount": "amount", "plan": "account.plan"}},
        {"name": "x", "propagate": "headers"},
    ],
)
def test_a_span_travels_whole(span):
    probe = parse_probe({**PROBE, "span": span, "keep": "error is not missing"})
    assert parse_probe(probe.to_json()) == probe
    assert parse_probe(probe.to_source()) == probe
    assert probe.to_source()["span"] == span
    assert probe.acts == (isinstance(span, dict) and "propagate" in span)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"span": "x"}, "is no table"),
        ({"span": {"wat": 1}}, "no key 'wat'"),
        ({"span": {"name": "{"}}, "span.name"),
        ({"span": {"attributes": []}}, "no table of up to 20"),
        ({"span": {"attributes": {"a b": "1"}}}, "is no name"),
        ({"span": {"attributes": {"a": "("}}}, "span.attributes.a"),
        ({"span": {"propagate": "a b"}}, "span.propagate"),
        ({"span": {"propagate": ""}}, "span.propagate"),
        ({"span": True, "log": "x"}, "span stands alone"),
        ({"span": True, "phase": "post"}, "phase 'pre'"),
        ({"span": True, "target": "m.py:3"}, "phase 'pre'"),
        ({"span": True, "request": {"kind": "custom"}}, "request stands alone"),
    ],
)
def test_a_span_that_cannot_be_is_refused(keys, words):
    with pytest.raises(RemoraError, match=words):
        parse_probe({**PROBE, **keys})
