"""Every reference to a function reaches its hooks, and running calls are left alone."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from remora.agent.probes import Handle

pytestmark = pytest.mark.usefixtures("mechanism")

Hook = Callable[..., Handle]


@pytest.fixture
def seen() -> list[object]:
    return []


def holders(function: Any) -> dict[str, Callable[[object], object]]:
    """The ways in which programs keep functions."""

    def by_default(value, target=function):
        return target(value)

    class Holder:
        __slots__ = ("target",)

        def __init__(self):
            self.target = function

    callbacks = [function]
    routes = {"/": (function, "GET")}
    return {
        "alias": function,
        "default argument": by_default,
        "partial": functools.partial(function),
        "list of callbacks": lambda value: callbacks[0](value),
        "tuple in a table": lambda value: routes["/"][0](value),
        "slot of an object": Holder().target,
        "closure": lambda value: function(value),
        "map": lambda value: next(map(function, [value])),
    }


@pytest.mark.parametrize("how", list(holders(print)))
def test_a_reference_stored_earlier_reaches_the_hook_and_is_let_go(
    app: ModuleType, hook: Hook, seen: list[object], how: str
) -> None:
    stored = holders(app.function)[how]
    handle = hook("function", pre=lambda value: seen.append(value))
    assert stored("one") == ("one", 2)
    assert seen == ["one"]
    handle.remove()
    assert stored("two") == ("two", 2)
    assert seen == ["one"]


@pytest.mark.parametrize(
    ("target", "store"),
    [
        ("Child.method", lambda m: m.Child().method),
        ("Child.build", lambda m: m.Child.build),
        ("Child.static", lambda m: m.Child.static),
        ("Child.__call__", lambda m: m.Child()),
        ("Parent.method", lambda m: m.Child().method),
        ("Parent.build", lambda m: m.Child.build),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bound_method_stored_earlier_reaches_the_hook(
    app: ModuleType,
    hook: Hook,
    seen: list[object],
    target: str,
    store: Callable[[ModuleType], Callable[[object], object]],
) -> None:
    stored = store(app)
    before = stored("one")
    hook(target, pre=lambda value: seen.append(value))
    assert stored("one") == before
    assert seen == ["one"]


def test_identity_of_functions_and_class_access_is_kept(
    app: ModuleType, hook: Hook
) -> None:
    function, method = app.function, app.Child.method
    bound = app.Child().method
    hook("function", pre=lambda: None)
    hook("Child.method", pre=lambda: None)
    assert app.function is function
    assert app.Child.method is method
    assert bound == bound.__self__.method
    assert hash(bound) == hash(bound.__self__.method)


def test_a_subclass_that_overrides_without_super_does_not_fire(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    class Other(app.Parent):
        def method(self, value):
            return value

    hook("Parent.method", pre=lambda value: seen.append(value))
    assert Other().method(1) == 1
    assert seen == []
    app.Parent().method(2)
    assert seen == [2]


def test_callers_that_are_specialised_already_notice_at_once(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    def caller() -> None:
        app.function(1)

    for _ in range(200):
        caller()
    handle = hook("function", pre=lambda: seen.append(1))
    for _ in range(200):
        caller()
    assert len(seen) == 200
    handle.remove()
    for _ in range(200):
        caller()
    assert len(seen) == 200


def test_other_closures_of_one_def_are_not_disturbed(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    hook("closure", pre=lambda value: seen.append(value))
    assert app.closure("a") == ("a", 11)
    assert app.peek() == 11
    other, _ = app.make(0)
    assert other("b") == ("b", 1)
    assert seen == ["a"]


def test_a_generator_that_is_suspended_goes_on_as_it_began(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    early = app.generator("early")
    assert next(early) == "early"
    handle = hook("generator", pre=lambda value: seen.append(value), post=lambda: None)
    late = app.generator("late")
    assert next(late) == "late"
    assert seen == ["late"]
    assert next(early) == "second"
    handle.remove()
    assert next(late) == "second"
    assert app.LOG == []
    with pytest.raises(StopIteration) as stop:
        late.send("end")
    assert stop.value.value == [None, "end"]
    early.close()
    assert app.LOG == ["generator ended"] * 2
    assert seen == ["late"]


def test_a_function_may_be_hooked_and_unhooked_from_within_its_own_call(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    handles: list[Handle] = []

    def judge(value):
        if not handles:
            handles.append(hook("function", pre=lambda: seen.append("pre")))
        else:
            handles[0].remove()
        return value

    app.judge = judge
    code = app.function.__code__
    assert app.function(1) == (1, 2)
    assert seen == []
    assert app.function(2) == (2, 2)
    assert seen == ["pre"]
    assert app.function.__code__ is code


def test_defaults_changed_while_hooked_are_honoured(
    app: ModuleType, hook: Hook
) -> None:
    hook("function", pre=lambda: None)
    app.function.__defaults__ = (7,)
    assert app.function(1) == (1, 7)
    hook("anonymous", pre=lambda: None)
    app.anonymous.__kwdefaults__ = {"extra": 8}
    assert app.anonymous(1) == (1, 8)


def test_an_object_passed_to_a_hooked_call_is_not_kept_alive(
    app: ModuleType, hook: Hook
) -> None:
    class Thing:
        pass

    hook("function", pre=lambda call: None, post=lambda result, call: None)
    thing = Thing()
    reference = weakref.ref(thing)
    app.function(thing)
    del thing
    assert reference() is None


def test_a_function_that_was_hooked_can_be_collected(
    app: ModuleType, hook: Hook
) -> None:
    app.short_lived = app.make(1)[0]
    reference = weakref.ref(app.short_lived)
    hook("short_lived", pre=lambda: None).remove()
    del app.short_lived
    gc.collect()
    assert reference() is None


def test_a_hook_that_calls_its_own_target_does_not_fire_again(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    def again(value):
        seen.append(value)
        app.function("inner")

    hook("function", pre=again)
    app.function("outer")
    assert seen == ["outer"]


def test_threads_that_call_meanwhile_lose_nothing(
    app: ModuleType, hook: Hook, mechanism: str
) -> None:
    wrong: list[object] = []
    done = threading.Event()

    def work() -> None:
        child = app.Child()
        while not done.is_set():
            if child.method("x") != ("child", ("parent", "x"), ()):
                wrong.append("method")
            if list(app.generator("x")) != ["x", "second"]:
                wrong.append("generator")
            app.LOG.clear()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        # steps inside code take longer to make, the more with four threads beside
        for _ in range(150 if mechanism == "code swap" else 10):
            first = hook("Child.method", pre=lambda: None, post=lambda result: None)
            second = hook("generator", pre=lambda value: None, fail=lambda error: None)
            first.remove()
            second.remove()
    finally:
        done.set()
        for thread in threads:
            thread.join(30)
    assert wrong == []


def test_tasks_of_one_loop_keep_their_calls_apart(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    async def slow(value):
        await asyncio.sleep(0)
        return value

    app.slow = slow

    def note(call, result):
        seen.append((call.state["value"], result))

    def remember(call, value):
        call.state["value"] = value

    hook("slow", pre=remember, post=note)

    async def main() -> list[object]:
        return await asyncio.gather(*(app.slow(n) for n in range(20)))

    assert asyncio.run(main()) == list(range(20))
    assert sorted(seen) == [(n, n) for n in range(20)]
