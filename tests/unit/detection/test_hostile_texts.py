"""No text makes a detector raise, and none makes it slow."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.detection import Finding, Input, Inputs, NotMade, path, shell, sql, url

JUDGES = [sql.judge, shell.judge, path.judge, url.judge, url.judge_host]


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.__module__)
@settings(max_examples=150, deadline=None)
@given(
    before=st.text("/.:@$'\"\\ `[]ab;(){}h\0é\ud800", max_size=20),
    text=st.text("/.:@$'\"\\ `[]ab;(){}%0x\0é\ud800", max_size=20),
    after=st.text("/.:@$'\"\\ `[]ab;()", max_size=20),
    scheme=st.sampled_from(["", "http://", "file:", "sh -c "]),
)
def test_no_text_makes_it_raise(judge, before, text, after, scheme):
    argument = scheme + before + text + after
    verdict = judge(argument, Inputs([Input(text, "query", "x")]))
    assert verdict is None or isinstance(verdict, (Finding, NotMade))
    if isinstance(verdict, Finding):
        assert argument[verdict.start : verdict.end] == text
        assert verdict.start <= verdict.broke_from <= verdict.end


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.__module__)
@pytest.mark.parametrize(
    "piece", ["'", "[", "$a$", "/*", "\\", "`", "../", "$(", "-", "0x", "@", "a'", "''"]
)
def test_repetition_takes_linear_time(judge, piece):
    argument = piece * (100_000 // len(piece))
    inputs = Inputs([Input(piece * 3, "query", "x"), Input("x" + piece, "query", "y")])
    start = time.thread_time()
    for dialect in ("sqlite", "postgresql", "mysql") if judge is sql.judge else ((),):
        judge(argument, inputs, *([dialect] if dialect else []))
    assert time.thread_time() - start < 5  # quadratic takes minutes
