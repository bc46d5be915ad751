"""No text makes a detector raise, and none makes it slow."""

import time
from functools import partial

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


NESTED = "SELECT " + "/*" * 300_000 + " x'y"
MANY = "x" + "".join(f" w-{n}" for n in range(4000))
LONG = [f"w-{n} w" for n in range(1000, 2999)]


@pytest.mark.parametrize(
    ("judge", "argument", "texts"),
    [
        (partial(sql.judge, dialect="postgresql"), NESTED, ["x'y"]),
        (sql.judge, "SELECT " + ",".join(["a=b"] * 60_000), ["w", "x y"]),
        (sql.judge, "SELECT x" + ".a" * 9000,
         ["x" + ".a" * n for n in range(100, 1500)]),
        (sql.judge, "SELECT " + "." * 50_000 + "x'y", ["x'y"]),
        (shell.judge, "echo " + "a " * 24_000 + "z;z", ["z;z"]),
        (shell.judge, "echo" + MANY, LONG),
        (shell.judge, "echo x " + "a " * 2500,
         ["x " + "a " * n for n in range(1, 999)]),
        (path.judge, "/srv/" + "".join(f"x{n}/../y/" for n in range(4000)),
         [f"x{n}/.." for n in range(1500)]),
        (path.judge, "/" + "a" * path.PATH_LIMIT, ["../x"]),
        (url.judge, "http://" + "".join(f"h{n}." for n in range(5000)),
         [f"h{n}." for n in range(1000, 2999)]),
    ],
)  # fmt: skip
def test_what_would_take_long_is_not_made_and_says_so(judge, argument, texts):
    """Each of these took from a tenth of a second to some seconds."""
    verdict = judge(argument, Inputs([Input(text, "query", "x") for text in texts]))
    assert isinstance(verdict, NotMade)
    assert verdict.occurs
    assert verdict.reason


def test_many_inputs_are_looked_up_in_a_short_argument():
    """A command may have thousands of arguments, each of which is asked about."""
    inputs = Inputs([Input(f"-{n}x/", "query", "x") for n in range(9000)])
    asked = []
    original = Inputs.occurring
    assert [each.text for each in original(inputs, "-77x/y", asked.append)] == []
    assert asked == ["-77x/"]
