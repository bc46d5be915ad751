"""What the app drops is not kept alive by a probe on it, and is counted no longer."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any
from weakref import ref

import pytest

from remora.agent.hooks import HookTable
from remora.agent.interception import Step
from remora.agent.probes import Handle
from remora.agent.runtime import facts
from remora.agent.targets import Site, SiteKind

TEXT = """
import functools

def plain(value):
    return value

class Parent:
    def method(self, value):
        return value

class Child(Parent):
    def method(self, value):
        return super().method(value)

    @property
    def shown(self):
        return super().__repr__()

def make(added):
    def inner(value):
        return inner and value + added
    return inner

kept = make(1)

def decorate(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper

@decorate
def decorated(value):
    return value
"""

TARGETS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda m: m.plain,
    "Child.method": lambda m: m.Child.method,
    "Child.shown": lambda m: m.Child.shown.fget,
    "kept": lambda m: m.kept,
    "decorated": lambda m: m.decorated.__wrapped__,
    "make.<locals>.inner": lambda m: m.kept,
    "decorate.<locals>.wrapper": lambda m: m.decorated,
    "*": lambda m: m.Child.method,
}


def forget(bench, name: str) -> None:
    """Let everybody notice that the module has left, as a tick of the agent does."""
    sys.modules.pop(name, None)
    bench.store.look()
    gc.collect()
    bench.probes.tick()


@pytest.mark.parametrize("path", TARGETS)
def test_functions_of_a_module_that_left_are_not_kept_alive(
    bench, load, path: str
) -> None:
    module = load("shop_left", TEXT)
    bench.add(f"shop_left:{path}", log="fired")
    handle = Handle(f"shop_left:{path}", {"pre": lambda: None}, bench.probes)
    assert bench.state == "installed", bench.reason
    dropped = [ref(TARGETS[path](module)), ref(module.make), ref(module.Child)]
    del module
    forget(bench, "shop_left")
    assert [reference() for reference in dropped] == [None] * 3
    assert len(bench.probes.hooks) == 0
    assert (bench.status().site_count, bench.status().sites) == (0, ())
    assert bench.reason.startswith("no module" if path == "*" else "module shop_left")
    assert handle.sites == []
    handle.remove()


@pytest.mark.skipif(not facts.CAN_MONITOR, reason="lines are injected here")
def test_code_with_a_probed_line_is_not_kept_alive(bench, load) -> None:
    module = load("shop_line", TEXT)
    bench.add("shop_line.py:5", log="{value}")
    module.plain(1)
    assert bench.messages == ["1"]
    dropped = [ref(module.plain), ref(module.plain.__code__)]
    del module
    forget(bench, "shop_line")
    assert [reference() for reference in dropped] == [None] * 2
    assert len(bench.probes.hooks) == 0
    assert [sys.monitoring.get_tool(n) for n in (3, 4, 5)] == [None] * 3


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("plain", lambda m: m.plain),
        ("Child.method", lambda m: m.Child().method),
        ("kept", lambda m: m.kept),
        ("make.<locals>.inner", lambda m: m.kept),
    ],
)
def test_what_is_still_used_fires_though_its_module_left(
    bench, load, path: str, call: Callable[[Any], Any]
) -> None:
    module = load("shop_used", TEXT)
    used = call(module)
    code = getattr(used, "__func__", used).__code__
    bench.add(f"shop_used:{path}", log="{value}")
    hooked = getattr(used, "__func__", used)
    assert hooked.__code__ is not code
    del module
    forget(bench, "shop_used")
    expected = used(1)
    assert bench.messages == ["1"]
    assert bench.status().site_count == 1
    bench.add(f"shop_used:{path}", log="again", id="q")
    used(2)
    assert bench.messages == ["1", "2"]
    bench.probes.remove(["p", "q"])
    assert hooked.__code__ is code
    assert used(1) == expected
    assert bench.messages == ["1", "2"]


def test_a_module_imported_again_has_the_probe_and_the_old_one_goes(
    bench, load
) -> None:
    module = load("shop_again", TEXT)
    bench.add("shop_again:plain", log="{value}")
    old = ref(module.plain)
    del module, sys.modules["shop_again"]
    module = importlib.import_module("shop_again")
    gc.collect()
    assert old() is None
    module.plain(5)
    assert bench.messages == ["5"]
    assert bench.status().site_count == 1


def test_a_thousand_reloads_leave_one_site(bench, load) -> None:
    text = "def f(v): return v\nclass C:\n    def m(self): super()\n"
    module, code = load("shop_many", text), compile(text, "shop_many.py", "exec")
    bench.add("shop_many:*", log="fired")
    old: list[ref[object]] = []
    record = bench.store.find("shop_many")
    for _ in range(1000):
        old += [ref(module.f), ref(module.C)]
        exec(code, vars(module))
        bench.probes.module_loaded(record)
    gc.collect()
    bench.probes.tick()
    assert [reference() for reference in old if reference() is not None] == []
    assert len(bench.probes.hooks) == 2
    assert bench.status().site_count == 2
    module.f(1)
    assert bench.messages == ["fired"]


def test_a_function_that_returns_to_its_name_is_cheap_again(bench, load) -> None:
    module = load("shop_mock", TEXT)
    original = module.plain
    bench.add("shop_mock:plain", log="{value}")
    quick = len(original.__code__.co_code)
    record = bench.store.find("shop_mock")
    module.plain = lambda value: value
    bench.probes.module_loaded(record)
    assert len(original.__code__.co_code) > quick
    original(1)
    module.plain = original
    bench.probes.module_loaded(record)
    assert len(original.__code__.co_code) == quick
    original(2)
    assert bench.messages == ["1", "2"]


def test_an_identity_that_is_used_again_is_no_site_of_ours() -> None:
    table, seen = HookTable(), []

    def step(name: str) -> Step:
        return Step("pre", lambda: seen.append(name), (), _raise, None)

    code = _function.__code__
    first = FunctionType(code, globals())
    identity = id(first)
    entry = table.install(_site(first), step("first"))
    del first
    kept: list[FunctionType] = []
    while not kept or id(kept[-1]) != identity:
        kept.append(FunctionType(code, globals()))
        assert len(kept) < 100_000
    second = kept[-1]
    assert entry.is_gone
    other = table.install(_site(second), step("second"))
    second()
    assert seen == ["second"]
    assert len(table) == 1
    assert entry.remove()
    second()
    assert seen == ["second"] * 2
    other.remove()
    assert len(table) == 0


def _raise(error: BaseException) -> None:
    raise error


def _function() -> None:
    """Be code for functions that are made of it."""


def _site(function: FunctionType) -> Site:
    module = ModuleType("made")
    return Site(
        module=module.__name__,
        qualname="f",
        kind=SiteKind.FUNCTION,
        owner={},
        name="f",
        holder=function,
        function=function,
        code=function.__code__,
        own=True,
        file=__file__,
        line=1,
        note="",
    )
