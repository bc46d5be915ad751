"""Bytecode: taken apart, put together, with calls in it."""

from __future__ import annotations

import ast
import asyncio.base_events
import contextlib
import dataclasses
import json.decoder
import types
from collections.abc import Iterator

import pytest

from remora.agent.config import self_tests_must_fail
from remora.agent.interception.line_starts import first_line, returns_to
from remora.agent.runtime import facts
from remora.agent.targets.code import all_code, lines_of

if not facts.CAN_EDIT_CODE:
    pytest.skip("bytecode of another interpreter", allow_module_level=True)

from remora.agent.interception import line_trial
from remora.agent.interception.bytecode import assemble, take_apart
from remora.agent.interception.line_injection import Gate, bound_names, inject

MODULES = [ast, asyncio.base_events, contextlib, dataclasses, json.decoder]


def codes(module: types.ModuleType) -> Iterator[types.CodeType]:
    assert module.__file__ is not None
    with open(module.__file__, encoding="utf-8") as source:
        whole = compile(source.read(), module.__file__, "exec")
    return (code for code in all_code(whole) if code.co_flags & 1)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_what_is_taken_apart_is_put_together_to_the_same_bytes(module) -> None:
    for code in codes(module):
        raw, locations, handlers = assemble(take_apart(code), code.co_firstlineno)
        same = code.replace(co_linetable=locations)
        assert raw == code.co_code
        assert handlers == code.co_exceptiontable
        assert list(same.co_positions()) == list(code.co_positions())


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_call_on_every_line_keeps_what_is_around_it(module) -> None:
    for code in codes(module):
        lines = lines_of(code)
        made = inject(code, {line: Gate(print, ()) for line in lines}, code.co_consts)
        assert lines_of(made) == lines
        assert made.co_stacksize > code.co_stacksize
        assert len(made.co_exceptiontable) >= len(code.co_exceptiontable)


@pytest.mark.skipif(self_tests_must_fail(), reason="self-tests are set to fail")
def test_the_trial_of_this_interpreter_succeeds() -> None:
    assert line_trial.failure() == ""


def test_the_trial_fails_where_self_tests_are_to_fail(monkeypatch) -> None:
    monkeypatch.setenv("REMORA_SELF_TESTS", "fail")
    assert line_trial.failure.__wrapped__() == "self-tests are set to fail"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("pass", {"a", "b"}),
        ("x = 1", {"a", "b", "x"}),
        ("if a:\n        x = 1", {"a", "b"}),
        ("if a:\n        x = 1\n    else:\n        x = 2", {"a", "b", "x"}),
        ("del a", {"b"}),
        ("for x in b: pass", {"a", "b"}),
        ("while a:\n        x = 1", {"a", "b"}),
        ("try:\n        x = a()\n    except ValueError:\n        y = 1", {"a", "b"}),
        ("try:\n        x = a()\n    finally:\n        y = 1", {"a", "b", "x", "y"}),
        ("try:\n        x = 1\n    except E as e:\n        x = 2", {"a", "b", "x"}),
        ("f = lambda: b", {"a", "f"}),
        ("with a as x:\n        y = 1", {"a", "b"}),
        ("import x", {"a", "b", "x"}),
    ],
)
def test_what_surely_has_a_value(body: str, names: set[str]) -> None:
    text = f"def f(a, b):\n    {body}\n    return 1\n"
    space: dict[str, types.FunctionType] = {}
    exec(text, space)
    code = space["f"].__code__
    assert bound_names(code, text.count("\n")) == names


def test_lines_that_come_back_are_known() -> None:
    def spread(a):
        return max(
            a,
            1,
        )

    code = spread.__code__
    line = code.co_firstlineno
    assert first_line(code) == line
    assert len(returns_to(code, line + 1)) == 1
    assert not returns_to(code, line + 2)
