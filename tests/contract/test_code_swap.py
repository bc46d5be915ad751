"""The transparency contract of code swap: every kind of code, in every phase."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

import pytest

from remora.agent.probes import Handle
from remora.agent.targets import is_trampoline, without_injection

pytestmark = pytest.mark.usefixtures("mechanism")


def drain(generator: Any) -> list[object]:
    """Everything that a generator yields, and what it returns."""
    items = []
    while True:
        try:
            items.append(next(generator))
        except StopIteration as stop:
            return [*items, stop.value]


async def drain_async(generator: Any) -> list[object]:
    return [item async for item in generator]


def steps_of(awaitable: Any) -> tuple[int, object]:
    """How often a coroutine pauses, and what it returns."""
    iterator, pauses = awaitable.__await__(), 0
    while True:
        try:
            next(iterator)
            pauses += 1
        except StopIteration as stop:
            return pauses, stop.value


def delete(child: Any) -> object:
    del child.shown
    return child.value


def assign(child: Any, value: object) -> object:
    child.shown = value
    return child.value


def with_value(app: ModuleType, value: object) -> Any:
    """A child that holds a value its constructor would refuse."""
    child = app.Child()
    child.value = value
    return child


async def enter(manager: Any) -> object:
    async with manager as value:
        return value


def enter_plain(manager: Any) -> object:
    with manager as value:
        return value


@dataclass(frozen=True)
class Kind:
    """A target, the function whose code is swapped, and a call with one value."""

    target: str
    function: Callable[[ModuleType], FunctionType]
    call: Callable[[ModuleType, object], object]
    argument: str = "value"
    calls: int = 1


KINDS = {
    "function": Kind("function", lambda m: m.function, lambda m, v: m.function(v)),
    "closure": Kind("closure", lambda m: m.closure, lambda m, v: m.closure(v)[0]),
    "lambda": Kind("anonymous", lambda m: m.anonymous, lambda m, v: m.anonymous(v)),
    "decorated": Kind(
        "decorated", lambda m: m.decorated.__wrapped__, lambda m, v: m.decorated(v)
    ),
    "method": Kind(
        "Child.method", lambda m: m.Child.method, lambda m, v: m.Child().method(v, 1)
    ),
    "classmethod": Kind(
        "Child.build", lambda m: m.Child.build.__func__, lambda m, v: m.Child.build(v)
    ),
    "staticmethod": Kind(
        "Child.static", lambda m: m.Child.static, lambda m, v: m.Child.static(v)
    ),
    "property get": Kind(
        "Child.shown",
        lambda m: m.Child.shown.fget,
        lambda m, v: with_value(m, v).shown,
        "self",
    ),
    "property set": Kind(
        "Child.shown.set",
        lambda m: m.Child.shown.fset,
        lambda m, v: assign(m.Child(), v),
    ),
    "property delete": Kind(
        "Child.shown.delete",
        lambda m: m.Child.shown.fdel,
        lambda m, v: delete(with_value(m, v)),
        "self",
    ),
    "cached_property": Kind(
        "Child.kept",
        lambda m: m.Child.__dict__["kept"].func,
        lambda m, v: with_value(m, v).kept,
        "self",
    ),
    "__call__": Kind(
        "Child.__call__", lambda m: m.Child.__call__, lambda m, v: m.Child()(v)
    ),
    "__init__": Kind(
        "Child.__init__", lambda m: m.Child.__init__, lambda m, v: m.Child(v).value
    ),
    "__eq__": Kind(
        "Child.__eq__",
        lambda m: m.Child.__eq__,
        lambda m, v: m.Child("one") == v,
        "other",
    ),
    "dataclass __init__": Kind(
        "Point.__init__", lambda m: m.Point.__init__, lambda m, v: m.Point(1, v).y, "y"
    ),
    "dataclass __eq__": Kind(
        "Point.__eq__",
        lambda m: m.Point.__eq__,
        lambda m, v: m.judge(v) and m.Point(1, v) == m.Point(1, v),
        "other",
    ),
    "dataclass __lt__": Kind(
        "Point.__lt__",
        lambda m: m.Point.__lt__,
        lambda m, v: m.judge(v) and m.Point(1, v) < m.Point(2, v),
        "other",
    ),
    "slots method": Kind(
        "Slotted.method",
        lambda m: m.Slotted.method,
        lambda m, v: m.Slotted(1).method(v),
    ),
    "slots __init__": Kind(
        "Slotted.__init__",
        lambda m: m.Slotted.__init__,
        lambda m, v: m.Slotted(v).value,
    ),
    "recursion": Kind(
        "recursive", lambda m: m.recursive, lambda m, v: m.recursive(v), calls=4
    ),
    "all parameter kinds": Kind(
        "all_kinds",
        lambda m: m.all_kinds,
        lambda m, v: m.all_kinds(v, 1, 2, 3, 4, key=5, more=6, value=7),
    ),
    "parameters in cells": Kind(
        "cells", lambda m: m.cells, lambda m, v: m.cells(v, 1, 2, key=3, other=4)
    ),
    "coroutine": Kind(
        "coroutine", lambda m: m.coroutine, lambda m, v: steps_of(m.coroutine(v))
    ),
    "types.coroutine": Kind(
        "old_style", lambda m: m.old_style, lambda m, v: drain(m.old_style(v))
    ),
    "generator": Kind(
        "generator", lambda m: m.generator, lambda m, v: drain(m.generator(v))
    ),
    "async generator": Kind(
        "async_generator",
        lambda m: m.async_generator,
        lambda m, v: asyncio.run(drain_async(m.async_generator(v))),
    ),
    "contextmanager": Kind(
        "context",
        lambda m: m.context.__wrapped__,
        lambda m, v: enter_plain(m.context(v)),
    ),
    "asynccontextmanager": Kind(
        "async_context",
        lambda m: m.async_context.__wrapped__,
        lambda m, v: asyncio.run(enter(m.async_context(v))),
    ),
}

FAIL_OUTSIDE = {"dataclass __eq__", "dataclass __lt__"}
"""Generated code that has no way to fail: the failure comes before the call."""

PHASES = {
    "pre": ("pre",),
    "post": ("post",),
    "fail": ("fail",),
    "all": ("pre", "post", "fail"),
}


@pytest.fixture(params=KINDS, ids=str)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def kind(name: str) -> Kind:
    return KINDS[name]


@pytest.fixture(params=PHASES, ids=str)
def phases(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return PHASES[request.param]


def recorder(seen: list[tuple[str, object]], phase: str) -> Callable[..., None]:
    if phase == "post":
        return lambda result: seen.append(("post", result))
    if phase == "fail":
        return lambda error: seen.append(("fail", error))
    return lambda call: seen.append(("pre", call.arguments))


@pytest.fixture
def seen() -> list[tuple[str, object]]:
    return []


@pytest.fixture
def handle(
    hook: Callable[..., Handle],
    kind: Kind,
    phases: tuple[str, ...],
    seen: list[tuple[str, object]],
    before: dict[str, object],
) -> Handle:
    return hook(kind.target, **{phase: recorder(seen, phase) for phase in phases})


def facts(app: ModuleType, kind: Kind) -> dict[str, object]:
    """All that code can ask about the function without calling it."""
    function = kind.function(app)
    return {
        "signature": inspect.signature(function),
        "name": function.__name__,
        "qualname": function.__qualname__,
        "doc": function.__doc__,
        "module": function.__module__,
        "defaults": function.__defaults__,
        "kwdefaults": function.__kwdefaults__,
        "annotations": function.__annotations__,
        "dict": copy.copy(function.__dict__),
        "closure": function.__closure__,
        "globals": id(function.__globals__),
        "identity": id(function),
        "is coroutine": inspect.iscoroutinefunction(function),
        "is generator": inspect.isgeneratorfunction(function),
        "is async generator": inspect.isasyncgenfunction(function),
        "arguments": inspect.getfullargspec(function),
        "free": function.__code__.co_freevars,
        "code name": (function.__code__.co_name, function.__code__.co_qualname),
        "place": (function.__code__.co_filename, function.__code__.co_firstlineno),
    }


@pytest.fixture
def before(app: ModuleType, kind: Kind) -> dict[str, object]:
    """Facts, code and results of the subject before anything was hooked."""
    return {
        "facts": facts(app, kind),
        "code": kind.function(app).__code__,
        "result": kind.call(app, "one"),
    }


def test_a_hooked_call_gives_the_same_result(
    app: ModuleType,
    kind: Kind,
    phases: tuple[str, ...],
    handle: Handle,
    seen: list[tuple[str, object]],
    before: dict[str, object],
) -> None:
    assert handle.state == "installed", handle.reason
    result = kind.call(app, "one")
    assert result == before["result"]
    assert type(result) is type(before["result"])
    told = [phase for phase, _ in seen]
    assert told.count("pre") == (kind.calls if "pre" in phases else 0)
    assert told.count("post") == (kind.calls if "post" in phases else 0)
    assert "fail" not in told
    assert all(kind.argument in got for phase, got in seen if phase == "pre")
    assert handle.errors == 0


def test_a_hooked_call_raises_the_same_exception_from_the_same_place(
    app: ModuleType,
    name: str,
    kind: Kind,
    phases: tuple[str, ...],
    handle: Handle,
    seen: list[tuple[str, object]],
    before: dict[str, object],
) -> None:
    with pytest.raises(app.Failure) as raised:
        kind.call(app, "boom")
    assert raised.value is app.FAILURE
    assert raised.value.__context__ is None
    assert raised.value.__cause__ is None
    frames = [without_injection(entry.frame.code.raw) for entry in raised.traceback]
    assert frames[-1] is app.judge.__code__
    if name in FAIL_OUTSIDE:
        return
    assert before["code"] in frames[-3:]
    if handle.describe()["sites"][0]["mechanism"] == "inlined":
        assert not any(is_trampoline(code) for code in frames)
    failures = [got for phase, got in seen if phase == "fail"]
    assert len(failures) == (kind.calls if "fail" in phases else 0)
    assert all(error is app.FAILURE for error in failures)
    assert handle.errors == 0


def test_a_hooked_function_looks_the_same(
    app: ModuleType, kind: Kind, handle: Handle, before: dict[str, object]
) -> None:
    assert kind.function(app).__code__ is not before["code"]
    assert facts(app, kind) == before["facts"]


def test_removal_restores_the_very_same_code(
    app: ModuleType,
    kind: Kind,
    handle: Handle,
    seen: list[tuple[str, object]],
    before: dict[str, object],
) -> None:
    kind.call(app, "one")
    handle.remove()
    seen.clear()
    assert kind.function(app).__code__ is before["code"]
    assert facts(app, kind) == before["facts"]
    if kind.target != "closure":
        assert kind.call(app, "one") == before["result"]
    with pytest.raises(app.Failure):
        kind.call(app, "boom")
    assert seen == []
    assert handle.state == "removed"


def test_the_wrong_arguments_are_refused_in_the_same_words(
    app: ModuleType, kind: Kind, hook: Callable[..., Handle]
) -> None:
    function = kind.function(app)
    with pytest.raises(TypeError) as bare:
        function()
    hook(kind.target, pre=lambda: None)
    with pytest.raises(TypeError) as hooked:
        function()
    assert str(hooked.value) == str(bare.value)


@pytest.mark.parametrize("target", ["function", "generator", "coroutine", "all_kinds"])
def test_a_hooked_function_is_pickled_by_reference(
    app: ModuleType, hook: Callable[..., Handle], target: str
) -> None:
    hook(target, pre=lambda: None, post=lambda result: None)
    function = getattr(app, target)
    assert pickle.loads(pickle.dumps(function)) is function
