"""Globs in which `*` is any text."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.errors import RemoraError
from remora.protocol import parse_probe
from remora.protocol.glob import matches_glob


@given(text=st.text("ab", max_size=8), glob=st.text("ab*", max_size=6))
def test_a_glob_means_what_the_regular_expression_means(text, glob):
    pattern = ".*".join(map(re.escape, glob.split("*")))
    assert matches_glob(text, glob) == (re.fullmatch(pattern, text) is not None)


def test_a_hostile_glob_takes_linear_time():
    start = time.process_time()
    assert not matches_glob("a" * 100_000, "*a" * 200 + "*b*" + "*a" * 40)
    assert time.process_time() - start < 2


def test_frames_travel_whole_and_need_a_stack():
    table = {"id": "p", "target": "m:f", "snapshot": ["stack"], "frames": ["shop.*"]}
    probe = parse_probe(table)
    assert parse_probe(probe.to_json()) == probe
    assert parse_probe(probe.to_source()) == probe
    assert parse_probe({**table, "frames": "shop.*"}) == probe
    for wrong in ([], 5, [5], [""], ["x"] * 11):
        with pytest.raises(RemoraError, match="frames"):
            parse_probe({**table, "frames": wrong})
    with pytest.raises(RemoraError, match="frames chooses from the stack"):
        parse_probe({**table, "snapshot": ["x"]})
