"""The contract for callables that are objects: caches, partials, instances."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import pickle
from collections.abc import Callable
from types import ModuleType

import pytest

from remora.agent.hooks import Arguments, Raise, Return
from remora.agent.probes import Handle
from remora.agent.runtime import object_type
from remora.errors import HookError

Hook = Callable[..., Handle]

needs_memory = pytest.mark.skipif(
    not object_type.CAN_SET, reason="objects keep their class here"
)

SUBJECTS = """
import functools
import gc

@functools.lru_cache
def cached(value, extra=2):
    return judge(value), extra

partly = functools.partial(function, extra=5)
bound = functools.partial(all_kinds, 1, key="k")

class Called:
    def __init__(self, name):
        self.name = name
    def __call__(self, value):
        return self.name, judge(value)

one, two = Called("one"), Called("two")

@functools.singledispatch
def dispatched(value):
    return "object", judge(value)

@dispatched.register
def _(value: int):
    return "int", judge(value)

table = {"cached": cached, "partly": partly, "one": one}
"""


@pytest.fixture
def objects(app: ModuleType) -> ModuleType:
    exec(SUBJECTS, vars(app))
    return app


CALLED = ["cached", "partly", "one", "dispatched"]


@needs_memory
@pytest.mark.parametrize("name", CALLED)
def test_every_phase_by_every_reference(
    objects: ModuleType, hook: Hook, name: str
) -> None:
    held = getattr(objects, name)
    argument = "args" if name == "dispatched" else "value"
    seen: list[object] = []
    namespace = {"seen": seen}
    keep = eval(f"lambda {argument}: seen.append({argument})", namespace)
    expected = held("x")
    handle = hook(
        name,
        pre=keep,
        post=lambda result: seen.append(result),
        fail=lambda error: seen.append(error),
    )
    assert held("x") == expected
    assert objects.table.get(name, held)("x") == expected
    with pytest.raises(objects.Failure) as raised:
        held("boom")
    assert raised.value is objects.FAILURE
    values = [("x",), ("boom",)] if name == "dispatched" else ["x", "boom"]
    assert seen == [
        *(values[0], expected, values[0], expected),
        *(values[1], objects.FAILURE),
    ]
    handle.remove()
    held("x")
    assert len(seen) == 6
    assert getattr(objects, name) is held


@needs_memory
@pytest.mark.parametrize("name", ["cached", "partly", "one"])
def test_outcomes(objects: ModuleType, hook: Hook, name: str) -> None:
    held = getattr(objects, name)
    error = PermissionError("no")
    first = hook(name, pre=lambda value: Arguments(value=value * 2))
    assert "aa" in held("a")
    first.remove()
    second = hook(name, pre=lambda value: Return("skipped") if value else Raise(error))
    assert held("a") == "skipped"
    with pytest.raises(PermissionError) as raised:
        held("")
    assert raised.value is error
    second.remove()
    hook(name, fail=lambda error: Return("rescued"))
    assert held("boom") == "rescued"


@needs_memory
def test_a_cache_fires_on_hits_too_and_stays_a_cache(
    objects: ModuleType, hook: Hook
) -> None:
    seen: list[object] = []
    handle = hook("cached", pre=lambda value: seen.append(value))
    for _ in range(3):
        objects.cached(1)
    gc.collect()
    assert seen == [1, 1, 1]
    assert objects.cached.cache_info().hits == 2
    assert objects.cached.__class__ is functools._lru_cache_wrapper
    assert isinstance(objects.cached, functools._lru_cache_wrapper)
    assert pickle.loads(pickle.dumps(objects.cached)) is objects.cached
    assert str(inspect.signature(objects.cached)) == "(value, extra=2)"
    handle.remove()
    assert type(objects.cached) is functools._lru_cache_wrapper


@needs_memory
def test_a_cache_that_is_a_method_binds_as_before(app: ModuleType, hook: Hook) -> None:
    code = (
        "import functools\nclass Shelf:\n @functools.lru_cache\n"
        " def find(self, value): return judge(value)\n"
    )
    exec(code, vars(app))
    seen: list[object] = []
    hook("Shelf.find", pre=lambda value: seen.append(value))
    assert app.Shelf().find(4) == 4
    assert seen == [4]


@needs_memory
def test_a_partial_knows_what_is_bound_and_pickles(
    objects: ModuleType, hook: Hook
) -> None:
    seen: list[object] = []
    hook("bound", pre=lambda second, key: seen.append((second, key)))
    assert objects.bound(7)[1] == 7
    assert objects.bound(7, key="mine")[4] == "mine"
    assert seen[0][0] == 7  # pyright: ignore[reportIndexIssue]
    assert seen[1] == (7, "mine")
    for twin in (copy.copy(objects.bound), pickle.loads(pickle.dumps(objects.bound))):
        assert type(twin) is functools.partial
        assert twin(7) == objects.bound.func(1, 7, key="k")


def test_an_instance_fires_for_itself_alone(objects: ModuleType, hook: Hook) -> None:
    seen: list[object] = []
    code = objects.Called.__call__.__code__
    first = hook("one", pre=lambda value: seen.append(("one", value)))
    second = hook("two", pre=lambda value: Return("skipped"))
    third = hook("Called.__call__", post=lambda self: seen.append(self.name))
    assert objects.one(1) == ("one", 1)
    assert objects.two(1) == "skipped"
    assert objects.Called("three")(1) == ("three", 1)
    assert seen == [("one", 1), "one", "two", "three"]
    for handle in (first, second, third):
        handle.remove()
    assert objects.Called.__call__.__code__ is code


def test_a_partialmethod_fires_for_its_own_calls_alone(
    app: ModuleType, hook: Hook
) -> None:
    code = (
        "import functools\nclass Shop:\n def sell(self, amount, value=None):"
        "\n  return amount, judge(value)"
        "\n sell_two = functools.partialmethod(sell, 2)\n"
    )
    exec(code, vars(app))
    holder = vars(app.Shop)["sell_two"]
    seen: list[object] = []
    first = hook(
        "Shop.sell_two",
        pre=lambda amount, value: seen.append((amount, value)),
        fail=lambda error: seen.append(error),
    )
    second = hook("Shop.sell_two", post=lambda result: Return((result, "seen")))
    assert app.Shop().sell_two(1) == ((2, 1), "seen")
    assert app.Shop().sell(3, 4) == (3, 4)
    with pytest.raises(app.Failure):
        app.Shop().sell_two("boom")
    assert seen == [(2, 1), (2, "boom"), app.FAILURE]
    first.remove()
    second.remove()
    assert holder.func is vars(app.Shop)["sell"]
    assert app.Shop().sell_two(1) == (2, 1)


def test_without_memory_a_cache_is_refused_with_what_to_name(
    objects: ModuleType, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_type, "CAN_SET", False)
    with pytest.raises(HookError, match=r"name its function with '\.__wrapped__'"):
        hook("cached", pre=lambda: None)
