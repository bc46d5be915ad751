"""Every key of a probe with values that nobody should write: one error, or none."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.errors import RemoraError
from remora.protocol import parse_probe, probe_reading

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**70),
    st.floats(allow_nan=True),
    st.sampled_from(
        ["", "x", "amount", "{", "stack", "10s", "KeyError: {x}", "\ud800"]
    ),
    st.text(max_size=5),
)
KEYS = st.sampled_from(
    """return raise arguments mode name level by sum average histogram top every kind
    attributes propagate rate hits time expires text tree x""".split()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=6,
)
WHOLE = {
    "id": "p",
    "target": "m:f",
    "log": "x",
    "snapshot": ["amount", "stack"],
    "frames": ["m.*"],
    "count": {"by": ["a", "stack"], "average": "b", "top": 3, "every": "5s"},
    "set": {"n": "a"},
    "keep": "error is missing",
    "logger": {"name": "n", "level": "info"},
    "override": {"raise": "KeyError: {a}", "mode": "watch"},
    "limit": {"hits": 3},
}


@pytest.mark.parametrize("key", sorted(probe_reading._READERS))
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_key_with_any_value_is_read_whole_or_refused(key, data):
    table = {**WHOLE, key: data.draw(VALUES)}
    try:
        made = parse_probe(table)
    except RemoraError:
        return
    source = made.to_source()
    assert parse_probe(source) == made
    wire = json.loads(json.dumps(made.to_json()))
    assert parse_probe(wire) == made


@pytest.mark.parametrize("key", ["count", "override", "span", "logger", "limit", "set"])
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_table_with_any_entry_is_read_whole_or_refused(key, data):
    inside = data.draw(st.dictionaries(KEYS, VALUES, max_size=3))
    table = {"id": "p", "target": "m:f", "log": "x", key: inside}
    if key == "span":
        del table["log"]
    try:
        made = parse_probe(table)
    except RemoraError:
        return
    assert parse_probe(json.loads(json.dumps(made.to_json()))) == made
