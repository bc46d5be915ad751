from __future__ import annotations

import os
import sys
import types

import pytest

from remora.agent.targets import ResolutionState, SiteKind, resolve_line
from remora.protocol import parse_target

TEXT = '''\
"""A module."""

LIMIT = 1


def charge(amount):
    """Doc."""

    if amount > LIMIT:
        return (
            amount,
            2,
        )
    return [x for x in range(amount)]


def make():
    def inner(y):
        z = y + 1
        return z

    return inner


handlers = [make(), lambda v: v]
one = lambda w: w + 1


def hidden():
    def callback():
        return "hidden"

    handlers.append(callback)


hidden()
del hidden


async def fetch(url):
    await url
    return url


def count(n):
    yield n
'''


@pytest.fixture
def module(load):
    return load("shop_l.lines", TEXT)


def test_a_line_leads_to_the_code_that_runs_it(module, site):
    found = site("shop_l/lines.py:9")
    assert found.kind is SiteKind.LINE
    assert found.function is module.charge
    assert found.holder is module.charge.__code__
    assert (found.module, found.qualname, found.line) == ("shop_l.lines", "charge", 9)
    assert found.file == os.path.realpath(module.__file__)
    assert found.target == f"{found.file}:9"


def test_the_whole_path_is_an_address_too(module, meet):
    assert meet(f"{os.path.realpath(module.__file__)}:9").sites
    assert meet("lines.py:9").sites


def test_path_segments_are_matched_whole(module, meet):
    found = meet("ines.py:9")
    assert found.sentence == "waiting: no imported module has the file ines.py"


def test_a_line_of_a_closure_is_the_code_of_all_closures(module, site):
    found = site("shop_l/lines.py:19")
    assert (found.function, found.code.co_name) == (None, "inner")
    assert found.note == "every closure of this code"


def test_the_def_line_of_a_closure_is_run_by_the_function_around_it(module, site):
    assert site("shop_l/lines.py:18").function is module.make


def test_a_lambda_runs_on_its_own_line(module, site):
    assert site("shop_l/lines.py:26").function is module.one


def test_a_function_that_no_name_leads_to_is_found(module, site):
    found = site("shop_l/lines.py:31")
    assert found.function is module.handlers[-1]


@pytest.mark.parametrize("line", [41, 42, 46])
def test_coroutines_and_generators_have_lines(module, site, line):
    assert site(f"shop_l/lines.py:{line}").function in (module.fetch, module.count)


@pytest.mark.parametrize(
    ("line", "near"),
    [
        (1, "the nearest line with code is 9"),
        (6, "the nearest line with code is 9"),
        (7, "the nearest line with code is 9"),
        (16, "the nearest lines with code are 14 and 18"),
        (40, "the nearest lines with code are 31 and 41"),
        (45, "the nearest lines with code are 42 and 46"),
        (99, "the nearest line with code is 46"),
    ],
)
def test_a_line_without_code_is_refused_with_the_nearest(module, meet, line, near):
    found = meet(f"shop_l/lines.py:{line}")
    assert found.state is ResolutionState.FAILED
    file = os.path.realpath(module.__file__)
    assert found.reason == (
        f"line {line} of {file} has no code that can run again; {near}"
    )


def test_a_file_with_no_function_has_no_line_that_could_run(load, meet):
    module = load("shop_l.empty", "X = 1\n")
    file = os.path.realpath(module.__file__)
    assert meet("shop_l/empty.py:1").reason == (
        f"{file} has no function that could run line 1"
    )


def test_several_files_are_refused_with_the_list(load, meet):
    files = [
        os.path.realpath(load(name, "def f():\n    pass\n").__file__)
        for name in ("shop_l.a.shop_models", "shop_l.b.shop_models")
    ]
    assert meet("shop_models.py:2").sentence == (
        "failed: shop_models.py means several files, write more of the path: "
        + ", ".join(sorted(files))
    )
    assert meet("b/shop_models.py:2").state is ResolutionState.RESOLVED


def test_one_file_under_two_names_has_the_line_twice(module, meet, monkeypatch):
    copy = types.ModuleType("lines_copy")
    copy.__file__ = module.__file__
    exec(compile(TEXT, module.__file__, "exec"), vars(copy))
    monkeypatch.setitem(sys.modules, "lines_copy", copy)
    found = meet("shop_l/lines.py:9")
    assert {s.module for s in found.sites} == {"shop_l.lines", "lines_copy"}
    assert {s.function for s in found.sites} == {module.charge, copy.charge}


def test_the_expected_text_is_compared_without_indentation(module, store):
    target = parse_target("shop_l/lines.py:9")
    assert resolve_line(target, store, "if amount > LIMIT:").sites
    refused = resolve_line(target, store, "if amount > 5:")
    file = os.path.realpath(module.__file__)
    assert refused.sentence == (
        f"failed: line 9 of {file} is 'if amount > LIMIT:' and not 'if amount > 5:'"
    )
    beyond = resolve_line(parse_target("shop_l/lines.py:99"), store, "x")
    assert beyond.reason == f"{file} has no line 99; expected 'x'"


def test_a_source_that_is_gone_cannot_be_compared(module, store):
    os.unlink(module.__file__)
    target = parse_target("shop_l/lines.py:9")
    assert resolve_line(target, store).sites
    assert "cannot be read" in resolve_line(target, store, "x").reason


def test_a_module_half_imported_is_waited_for(load, meet):
    seen = []
    sys.modules["ask_l"] = types.ModuleType("ask_l")
    sys.modules["ask_l"].ask = lambda: seen.append(meet("shop_l/half.py:3").sentence)
    load("shop_l.half", "import ask_l\ndef f():\n    pass\nask_l.ask()\n")
    assert seen == ["waiting: module shop_l.half is still being imported"]


def test_frozen_modules_of_the_standard_library_have_lines(meet):
    import posixpath

    line = posixpath.join.__code__.co_firstlineno + 6
    assert meet(f"posixpath.py:{line}").sites
