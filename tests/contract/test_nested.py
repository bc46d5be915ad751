"""Functions within functions: every closure of one `def`, whenever it was made."""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib.util
import inspect
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from remora import Arguments, Raise, Return
from remora.agent.interception import function_version, nested
from remora.agent.probes import Handle, Probes
from remora.agent.runtime import code_constants
from remora.errors import HookError

NAME = "nested_subjects"

pytestmark = pytest.mark.skipif(
    not code_constants.CAN_EXCHANGE,
    reason="refused here, as test_every_kind.py asserts",
)

Hook = Callable[..., Handle]


@pytest.fixture
def app() -> Iterator[ModuleType]:
    """The subjects, executed anew."""
    path = Path(__file__).with_name(f"{NAME}.py")
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[NAME]


@pytest.fixture
def hook(probes: Probes) -> Hook:
    """Installs a local hook on a subject."""

    def install(name: str, **phases: object) -> Handle:
        return Handle(f"{NAME}:{name}", phases, probes)

    return install


@pytest.fixture
def seen() -> list[object]:
    return []


def code_within(function: FunctionType, *names: str) -> CodeType:
    """The code of an inner function, as the constants have it just now."""
    code = function.__code__
    for name in names:
        code = next(c for c in code.co_consts if getattr(c, "co_name", "") == name)
    return code


def items_of(generator: Any) -> list[object]:
    async def collect() -> list[object]:
        return [item async for item in generator]

    return asyncio.run(collect())


def last_of(generator: Any) -> object:
    next(generator)
    with pytest.raises(StopIteration) as stop:
        generator.send("sent")
    return stop.value.value


KINDS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], object], object]] = {
    "make.<locals>.inner": (lambda m: m.make(1), lambda f: f(5)[:2], (5, 2)),
    "make_plain.<locals>.inner": (lambda m: m.make_plain(), lambda f: f(5), 5),
    "pair.<locals>.<lambda>": (lambda m: m.pair(1)[1], lambda f: f(5), (1, 5)),
    "decorate.<locals>.wrapper": (
        lambda m: m.decorate(lambda value: value),
        lambda f: f(5),
        ("decorated", 5),
    ),
    "outermost.<locals>.middle": (lambda m: m.outermost(1), lambda f: f(2)(5), 8),
    "outermost.<locals>.middle.<locals>.innermost": (
        lambda m: m.outermost(1)(2),
        lambda f: f(5),
        8,
    ),
    "make_class.<locals>.Local.method": (
        lambda m: m.make_class(1),
        lambda cls: cls().method(5),
        6,
    ),
    "make_class.<locals>.Local.__init__": (
        lambda m: m.make_class(1),
        lambda cls: cls().method(5),
        6,
    ),
    "Holder.method.<locals>.inner": (
        lambda m: m.Holder().method(),
        lambda f: f(5)[1],
        5,
    ),
    "make_generator.<locals>.inner": (
        lambda m: m.make_generator(),
        lambda f: last_of(f(5)),
        "sent",
    ),
    "make_coroutine.<locals>.inner": (
        lambda m: m.make_coroutine(),
        lambda f: asyncio.run(f(5)),
        5,
    ),
    "make_async_generator.<locals>.inner": (
        lambda m: m.make_async_generator(),
        lambda f: items_of(f(5)),
        [5, "second"],
    ),
}


@pytest.mark.parametrize("target", KINDS)
def test_closures_made_before_during_and_after_are_reached_and_let_go(
    app: ModuleType, hook: Hook, seen: list[object], target: str
) -> None:
    make, call, expected = KINDS[target]
    early = make(app)
    codes = all_codes(app, early)
    handle = hook(
        target, pre=lambda: seen.append("pre"), post=lambda: seen.append("post")
    )
    assert handle.state == "installed", handle.reason
    late = make(app)
    for closure in (early, late):
        assert call(closure) == expected
    assert seen == ["pre", "post"] * 2
    handle.remove()
    after = make(app)
    for closure in (early, late, after):
        call(closure)
        assert all_codes(app, closure) == codes
    assert seen == ["pre", "post"] * 2


def all_codes(app: ModuleType, closure: Any) -> list[int]:
    """Identities of every code object of the module, and of a closure or class."""
    functions = [
        value
        for owner in (app, app.Holder, closure)
        for value in list(vars(owner).values())
        if type(value) is FunctionType and not hasattr(value, "__wrapped__")
    ]
    if type(closure) is FunctionType:
        functions.append(closure)
    found: list[int] = []

    def walk(code: CodeType) -> None:
        found.append(id(code))
        for constant in code.co_consts:
            if type(constant) is CodeType:
                walk(constant)

    for function in functions:
        walk(function.__code__)
    return found


def test_a_decorator_is_hooked_through_all_that_it_decorates(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    wrapper = app.decorated
    handle = hook(
        "decorate.<locals>.wrapper", pre=lambda args, kwargs: seen.append(args)
    )
    assert app.decorated(1) == ("decorated", 1)

    @app.decorate
    def another(value):
        return value

    assert another(2) == ("decorated", 2)
    assert seen == [(1,), (2,)]
    assert app.decorated is wrapper
    handle.remove()
    app.decorated(3)
    assert seen == [(1,), (2,)]


def test_outcomes_change_skip_raise_and_replace(app: ModuleType, hook: Hook) -> None:
    target = "make.<locals>.inner"
    early = app.make(0)
    with hook(target, pre=lambda: Arguments(value="changed", key=7)):
        assert early("x") == ("changed", 7, (), {})
        assert app.make(0)("x", 1, other=2)[0] == "changed"
    with hook(target, pre=lambda: Return("skipped")):
        assert early("boom") == "skipped"
    with (
        hook(target, pre=lambda: Raise(KeyError("refused"))),
        pytest.raises(KeyError, match="refused"),
    ):
        early("x")
    with hook(target, post=lambda result: Return(("seen", result[0]))):
        assert early("x") == ("seen", "x")
    with hook(target, fail=lambda error: Return(repr(error))):
        assert early("boom") == "LookupError(8)"
    with pytest.raises(LookupError):
        early("boom")


def test_hooks_on_one_def_run_in_order_and_leave_one_by_one(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    target = "make_plain.<locals>.inner"
    early, code = app.make_plain(), code_within(app.make_plain, "inner")
    first = hook(target, pre=lambda: seen.append("first"))
    between = app.make_plain()
    second = hook(target, pre=lambda: seen.append("second"))
    late = app.make_plain()
    for closure in (early, between, late):
        closure(1)
    assert seen == ["first", "second"] * 3
    first.remove()
    seen.clear()
    for closure in (early, between, late, app.make_plain()):
        closure(1)
    assert seen == ["second"] * 4
    second.remove()
    for closure in (early, between, late, app.make_plain()):
        closure(1)
        assert closure.__code__ is code
    assert seen == ["second"] * 4


def test_closures_keep_their_state_their_cells_and_their_looks(
    app: ModuleType, hook: Hook
) -> None:
    closure = app.make(10)
    add, look = app.pair(5)
    cells, signature = closure.__closure__, inspect.signature(closure)
    closure(1)
    handle = hook("make.<locals>.inner", pre=lambda: None)
    other = hook("pair.<locals>.add", pre=lambda: None)
    assert closure(1)[1] == 12
    assert (add(1), look(0)) == (6, (6, 0))
    assert closure.__closure__ is cells
    assert inspect.getclosurevars(closure).nonlocals == {"n": 12}
    late = app.make(0)
    for function in (closure, late):
        assert inspect.signature(function) == signature
        assert function.__qualname__ == "make.<locals>.inner"
        assert function.__doc__ == "Count up."
        assert inspect.getsource(function).strip().startswith("def inner(value")
    with pytest.raises(TypeError, match=r"make\.<locals>\.inner\(\) missing 1"):
        late()
    handle.remove()
    other.remove()
    assert closure(1)[1] == 13
    assert add(1) == 7


def test_a_closure_that_calls_itself_fires_at_each_level(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    closure = app.make_recursive()
    hook("make_recursive.<locals>.inner", pre=lambda value: seen.append(value))
    assert closure(3) == 3
    assert seen == [3, 2, 1, 0]


def test_each_def_of_one_name_is_a_place_of_its_own(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    handle = hook("either.<locals>.inner", pre=lambda value: seen.append(value))
    assert len(handle.sites) == 2
    assert app.either(True)(1) == ("yes", 1)
    assert app.either(False)(2) == ("no", 2)
    assert seen == [1, 2]


def test_frames_that_run_already_make_hooked_closures_and_clean_ones_afterwards(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    parent = app.running()
    before = next(parent)
    handle = hook("running.<locals>.inner", pre=lambda value: seen.append(value))
    during = next(parent)
    before("before")
    during("during")
    assert seen == ["before", "during"]
    handle.remove()
    after = next(parent)
    assert before.__code__ is during.__code__ is after.__code__
    assert after.__code__ is code_within(app.running, "inner")
    after("after")
    assert seen == ["before", "during"]


def test_a_suspended_generator_of_a_closure_goes_on_as_it_began(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    closure = app.make_generator()
    early = closure(1)
    next(early)
    handle = hook("make_generator.<locals>.inner", pre=lambda value: seen.append(value))
    late = closure(2)
    next(late)
    handle.remove()
    for generator in (early, late):
        with pytest.raises(StopIteration) as stop:
            generator.send("sent")
        assert stop.value.value == "sent"
    assert seen == [2]


PARENT, INNER, KEPT = "make", "make.<locals>.inner", "kept"


@pytest.mark.parametrize(
    ("install", "remove"),
    list(
        itertools.product(itertools.permutations([PARENT, INNER, KEPT]), repeat=2),
    ),
)
def test_parent_def_and_one_closure_in_any_order(
    app: ModuleType,
    hook: Hook,
    seen: list[object],
    install: tuple[str, ...],
    remove: tuple[str, ...],
) -> None:
    parent, inner = app.make.__code__, app.kept.__code__
    handles: dict[str, Handle] = {}
    wanted: set[str] = set()

    def check() -> None:
        seen.clear()
        late = app.make(1)
        assert late(1)[:2] == (1, 2)
        app.kept(1)
        expected = [PARENT] * (PARENT in wanted) + [INNER] * (INNER in wanted)
        assert seen[: len(expected)] == expected
        assert sorted(seen[len(expected) :]) == sorted(wanted & {INNER, KEPT})

    for name in install:
        handles[name] = hook(name, pre=lambda name=name: seen.append(name))
        wanted.add(name)
        check()
    late = app.make(1)
    for name in remove:
        handles[name].remove()
        wanted.discard(name)
        check()
    assert app.make.__code__ is parent
    assert code_within(app.make, "inner") is inner
    assert app.kept.__code__ is late.__code__ is inner


def test_a_second_probe_finds_the_def_though_its_parent_is_hooked(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    hook("outermost", pre=lambda: seen.append("outermost"))
    hook("outermost.<locals>.middle", pre=lambda: seen.append("middle"))
    deep = "outermost.<locals>.middle.<locals>.innermost"
    hook(deep, pre=lambda: seen.append("first"))
    hook(deep, pre=lambda: seen.append("second"))
    assert app.outermost(1)(2)(3) == 6
    assert seen == ["outermost", "middle", "first", "second"]


def test_another_tool_on_top_of_one_closure_is_waited_for(
    app: ModuleType,
    hook: Hook,
    probes: Probes,
    seen: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nested, "_SEARCH_SHARE", 0)
    closure, other = app.make_plain(), app.make_plain()
    code = closure.__code__
    handle = hook("make_plain.<locals>.inner", pre=lambda value: seen.append(value))
    stored = [closure.__code__]
    closure.__code__ = (lambda value: ("theirs", value)).__code__
    handle.remove()
    assert probes.hooks.settle() == 1
    assert other.__code__ is app.make_plain().__code__ is code
    assert closure(1) == ("theirs", 1)
    closure.__code__ = stored.pop()
    assert closure(1) == 1
    assert seen == []
    assert probes.hooks.settle() == 0
    assert closure.__code__ is code


def test_a_glob_does_not_mean_what_is_within_functions(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    handle = hook("*", pre=lambda: seen.append("fired"))
    assert not [site for site in handle.sites if "<locals>" in site]
    assert app.make_plain.__code__ is not None
    closure = app.make_plain()
    seen.clear()
    closure(1)
    assert seen == []


def test_the_body_of_a_class_is_refused_with_the_reason(
    app: ModuleType, hook: Hook
) -> None:
    with pytest.raises(HookError, match="is the body of class Local"):
        hook("make_class.<locals>.Local", pre=lambda: None)


def test_without_the_self_test_it_is_refused_with_the_reason(
    app: ModuleType, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_constants, "CAN_EXCHANGE", False)
    with pytest.raises(HookError, match="name the place where one of them is kept"):
        hook("make.<locals>.inner", pre=lambda: None)


def test_the_status_says_how_many_closures_existed(app: ModuleType, hook: Hook) -> None:
    closures = [app.make_plain() for _ in range(3)]
    handle = hook("make_plain.<locals>.inner", pre=lambda: None)
    (site,) = handle.describe()["sites"]
    assert site["kind"] == "nested function"
    assert "(3 existed at installation)" in site["why"]
    assert len(closures) == 3


def test_closures_that_the_collector_was_told_to_forget_are_found_by_name(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    app.table = {"route": app.make_plain()}
    app.wrapped = functools.partial(app.decorate(app.make_plain()))
    gc.freeze()
    try:
        handle = hook("make_plain.<locals>.inner", pre=lambda: seen.append("fired"))
        (site,) = handle.describe()["sites"]
        assert "gc.freeze() has hidden" in site["why"]
        app.table["route"](1)
        app.wrapped(1)
        handle.remove()
        app.table["route"](1)
        assert app.table["route"].__code__ is app.make_plain().__code__
    finally:
        gc.unfreeze()
    assert seen == ["fired"] * 2


def test_nothing_more_is_held_after_removal(app: ModuleType, hook: Hook) -> None:
    code = code_within(app.make, "inner")
    before = sys.getrefcount(code)
    for _ in range(5):
        hook("make.<locals>.inner", pre=lambda: None).remove()
    assert sys.getrefcount(code) == before


def test_function_versions_survive(app: ModuleType, hook: Hook) -> None:
    closure = app.make_plain()
    before = function_version.read(closure)
    handle = hook("make_plain.<locals>.inner", pre=lambda: None)
    assert function_version.read(closure) == before
    handle.remove()
    assert function_version.read(closure) == before


def test_threads_that_make_and_call_closures_meanwhile_lose_nothing(
    app: ModuleType, hook: Hook
) -> None:
    wrong: list[object] = []
    done = threading.Event()
    kept: list[Any] = []

    def work() -> None:
        while not done.is_set():
            closure = app.make(1)
            if closure(5)[:2] != (5, 2) or app.outermost(1)(2)(3) != 6:
                wrong.append("result")
            if len(kept) < 2000:
                kept.append(closure)

    code = code_within(app.make, "inner")
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        first = hook("make.<locals>.inner", pre=lambda: None)
        second = hook("outermost.<locals>.middle.<locals>.innermost", pre=lambda: None)
        third = hook("outermost", post=lambda result: None)
        first.remove()
        second.remove()
        third.remove()
    done.set()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert {id(closure.__code__) for closure in kept} == {id(code)}
