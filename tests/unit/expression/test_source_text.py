"""Source text is parsed although another thread disturbs it."""

import ast

import pytest

from remora.expression import source_text
from remora.expression.source_text import parse_expression, parse_source


@pytest.fixture
def disturbed(monkeypatch):
    """`ast.parse` that fails as on CPython 3.11 where two threads parse at a time."""
    calls = []
    parse = ast.parse

    def fail_twice(*args, **kwargs):
        calls.append(args)
        if len(calls) < 3:
            raise SystemError("AST constructor recursion depth mismatch")
        return parse(*args, **kwargs)

    monkeypatch.setattr(source_text.ast, "parse", fail_twice)
    return calls


def test_what_two_threads_made_fail_is_parsed_again(disturbed):
    assert ast.unparse(parse_source("a = 1")) == "a = 1"
    assert len(disturbed) == 3
    assert ast.unparse(parse_expression("a > 1")) == "a > 1"


def test_a_mistake_in_the_text_is_told():
    with pytest.raises(SyntaxError):
        parse_expression("a >")
