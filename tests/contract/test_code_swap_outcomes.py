"""What hooks may ask for, in which order they count, and what a bad hook cannot do."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import sys
import threading
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest

from remora.agent.hooks import Arguments, Raise, Return
from remora.agent.probes import Handle
from remora.agent.runtime import guard
from remora.errors import HookError

pytestmark = pytest.mark.usefixtures("mechanism")

Hook = Callable[..., Handle]


@pytest.fixture
def seen() -> list[object]:
    return []


def test_pre_can_change_arguments_of_every_kind(app: ModuleType, hook: Hook) -> None:
    hook(
        "all_kinds",
        pre=lambda: Arguments(value="v", second="s", third="t", key="k", new="n"),
    )
    assert app.all_kinds(1, 2, 3, "rest", key=4, more=5) == (
        *("v", "s", "t", ("rest",), "k", 5),
        {"more": 5, "new": "n"},
    )


@pytest.mark.parametrize("target", ["coroutine", "generator", "async_generator"])
def test_arguments_reach_code_of_every_nature(
    app: ModuleType, hook: Hook, target: str
) -> None:
    hook(target, pre=lambda value: Arguments(value=value * 2), post=lambda: None)

    async def first(items):
        async for item in items:
            return item
        return None

    made = getattr(app, target)(4)
    if target == "coroutine":
        assert asyncio.run(made) == (8, None)
    elif target == "generator":
        assert list(made) == [8, "second"]
    else:
        assert asyncio.run(first(made)) == 8


def test_pre_can_return_without_running_the_function(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    app.judge = seen.append
    hook("function", pre=lambda: Return(None))
    assert app.function(1) is None
    assert seen == []


def test_post_and_fail_see_what_pre_decided(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    error = KeyError("refused")
    hook(
        "function",
        pre=lambda value: Return("early") if value == 1 else Raise(error),
        post=lambda result: seen.append(result),
        fail=lambda error: seen.append(error),
    )
    assert app.function(1) == "early"
    with pytest.raises(KeyError):
        app.function(2)
    assert seen == ["early", error]


def test_post_can_replace_the_result_or_raise(app: ModuleType, hook: Hook) -> None:
    error = PermissionError("no")
    hook(
        "function",
        post=lambda value, result: Return((result, "seen")) if value else Raise(error),
    )
    assert app.function(1) == ((1, 2), "seen")
    with pytest.raises(PermissionError) as raised:
        app.function(0)
    assert raised.value is error


def test_fail_can_return_instead_or_raise_something_else(
    app: ModuleType, hook: Hook
) -> None:
    other = LookupError("other")
    handle = hook("function", fail=lambda error: Return("rescued"))
    assert app.function("boom") == "rescued"
    handle.remove()
    hook("function", fail=lambda error: Raise(other))
    with pytest.raises(LookupError) as raised:
        app.function("boom")
    assert raised.value is other
    assert raised.value.__context__ is app.FAILURE


def test_a_failure_that_is_replaced_does_not_reach_post(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    hook("function", post=lambda: seen.append(1), fail=lambda: Return("rescued"))
    assert app.function("boom") == "rescued"
    assert seen == []


def test_hooks_run_in_order_and_leave_in_reverse(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    for number in (1, 2, 3):
        hook(
            "function",
            pre=lambda n=number: seen.append(("pre", n)),
            post=lambda n=number: seen.append(("post", n)),
            fail=lambda n=number: seen.append(("fail", n)),
        )
    app.function(1)
    with pytest.raises(app.Failure):
        app.function("boom")
    assert seen == [
        *(("pre", 1), ("pre", 2), ("pre", 3)),
        *(("post", 3), ("post", 2), ("post", 1)),
        *(("pre", 1), ("pre", 2), ("pre", 3)),
        *(("fail", 3), ("fail", 2), ("fail", 1)),
    ]


def test_the_first_outcome_decides_a_phase(app: ModuleType, hook: Hook) -> None:
    hook("function", pre=lambda: None, post=lambda result: Return(("first", result)))
    hook("function", pre=lambda: Return("second"), post=lambda: None)
    hook("function", pre=lambda: Return("third"))
    assert app.function(1) == ("first", "second")


def test_hooks_can_leave_one_by_one(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    code = app.function.__code__
    handles = [hook("function", pre=lambda n=n: seen.append(n)) for n in range(3)]
    handles[1].remove()
    app.function(1)
    assert seen == [0, 2]
    handles[0].remove()
    handles[0].remove()
    handles[2].remove()
    assert app.function.__code__ is code


def liar() -> object:
    class Liar:
        @property
        def __class__(self):
            raise ZeroDivisionError("no class")

    return Liar()


JUNK: list[Callable[[], object]] = [
    lambda: 42,
    lambda: "text",
    lambda: Return,
    lambda: Arguments(nonsense=1),
    lambda: SimpleNamespace(__class__=Return),
    liar,
]


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("phase", ["pre", "post"])
def test_a_junk_outcome_is_refused_and_counted(
    app: ModuleType, hook: Hook, junk: Callable[[], object], phase: str
) -> None:
    handle = hook("function", **{phase: junk})
    assert app.function(1) == (1, 2)
    assert handle.errors == 1


def test_arguments_cannot_be_changed_after_the_call(
    app: ModuleType, hook: Hook
) -> None:
    handle = hook("function", post=lambda: Arguments(value=1))
    assert app.function(1) == (1, 2)
    assert handle.errors == 1


def test_raise_takes_exceptions_only() -> None:
    with pytest.raises(HookError, match="takes an exception, not a str"):
        Raise("text")  # pyright: ignore[reportArgumentType]


class Wild(BaseException):
    def __str__(self) -> str:
        raise ZeroDivisionError


ESCAPES = [
    ValueError("x"),
    SystemExit(3),
    GeneratorExit(),
    StopIteration(1),
    StopAsyncIteration(),
    asyncio.CancelledError(),
    MemoryError(),
    RecursionError(),
    BaseExceptionGroup("g", [ValueError(1)]),
    Wild("x"),
]


@pytest.mark.parametrize("error", ESCAPES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("phase", ["pre", "post", "fail"])
@pytest.mark.parametrize("target", ["function", "generator", "coroutine"])
def test_no_exception_of_a_hook_reaches_the_app(
    app: ModuleType, hook: Hook, phase: str, target: str, error: BaseException
) -> None:
    def escape():
        raise error

    handle = hook(target, **{phase: escape})

    def call(value):
        made = getattr(app, target)(value)
        if target == "generator":
            return list(made)
        return asyncio.run(made) if target == "coroutine" else made

    if phase == "fail":
        with pytest.raises(app.Failure) as raised:
            call("boom")
        assert raised.value is app.FAILURE
        assert raised.value.__context__ is None
    else:
        assert call("one")
    assert handle.errors == 1
    assert type(error).__name__ in handle.describe()["reason"] or handle.errors < 3


def test_a_hook_is_switched_off_after_three_failures(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    def fails(value):
        seen.append(value)
        raise ValueError("bad hook")

    handle = hook("function", pre=fails)
    for number in range(5):
        assert app.function(number) == (number, 2)
    assert seen == [0, 1, 2]
    assert handle.errors == 3
    assert handle.state == "tripped"
    assert handle.reason.endswith("3 failures; the last: ValueError: bad hook")


def test_a_ctrl_c_inside_a_hook_is_delivered_to_the_main_thread(
    app: ModuleType, hook: Hook
) -> None:
    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    handle = hook("function", pre=interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            app.function(1)
            for _ in range(1000):
                pass
    finally:
        signal.signal(signal.SIGINT, before)
    assert handle.errors == 0


class Interrupting(set):
    """A guard at which a Ctrl-C arrives, just when a thread has been marked."""

    armed = False

    def add(self, ident):
        super().add(ident)
        if self.armed:
            raise KeyboardInterrupt


def test_a_ctrl_c_while_a_hook_begins_leaves_no_mark_of_ours(
    app: ModuleType, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Interrupting()
    monkeypatch.setattr(guard, "busy", busy)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    hook("function", pre=lambda: None)
    busy.armed = True
    try:
        with pytest.raises(KeyboardInterrupt):
            app.function(1)
            for _ in range(1000):
                pass
    finally:
        busy.armed = False
        signal.signal(signal.SIGINT, before)
    assert busy == set()


def interrupted():
    raise KeyboardInterrupt


def test_an_async_hook_is_awaited_in_the_apps_task(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    async def pre(value):
        await asyncio.sleep(0)
        seen.append((asyncio.current_task(), value))
        return Arguments(value=value + 1)

    async def post(result):
        await asyncio.sleep(0)
        return Return((result, "post"))

    async def target(value):
        seen.append(value)
        return value

    app.target = target
    hook("target", pre=pre, post=post)

    async def main() -> object:
        result = await app.target(1)
        assert seen == [(asyncio.current_task(), 1), 2]
        return result

    assert asyncio.run(main()) == (2, "post")


def test_the_apps_cancellation_passes_through_an_async_hook(
    app: ModuleType, hook: Hook
) -> None:
    async def waits():
        await asyncio.Event().wait()

    handle = hook("coroutine", pre=waits)

    async def main() -> None:
        task = asyncio.create_task(app.coroutine(1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    assert handle.errors == 0


def test_a_cancellation_that_an_async_hook_made_itself_is_contained(
    app: ModuleType, hook: Hook
) -> None:
    async def cancelled():
        raise asyncio.CancelledError

    handle = hook("coroutine", pre=cancelled)
    assert asyncio.run(app.coroutine(1)) == (1, None)
    assert handle.errors == 1
    running = app.coroutine(1)
    running.send(None)
    running.close()
    assert handle.errors == 2


def test_closing_a_coroutine_inside_an_async_hook_passes(
    app: ModuleType, hook: Hook
) -> None:
    async def waits():
        await app.pause()

    handle = hook("coroutine", pre=waits)
    running = app.coroutine(1)
    running.send(None)
    running.close()
    assert handle.errors == 0


@pytest.mark.parametrize(
    ("target", "phases", "words"),
    [
        ("function", {"pre": lambda valeu: None}, "did you mean 'value'"),
        ("function", {"pre": lambda result: None}, "asks for 'result'"),
        ("function", {"post": lambda error: None}, "asks for 'error'"),
        ("function", {"pre": lambda *, value: None}, "keyword-only parameters"),
        ("function", {"pre": lambda *args: None}, "args and kwargs as plain"),
        ("function", {"pre": print}, "is no Python function"),
        ("function", {"pre": functools.partial(print)}, "is no Python function"),
        ("function", {"pre": 42}, "cannot be called"),
        ("function", {}, "has no pre, post or fail"),
        ("function", {"pre": lambda odd=1, value=2: None}, "put it last"),
        ("functoin", {"pre": lambda: None}, "did you mean 'function'"),
        ("LOG", {"pre": lambda: None}, "LOG"),
        ("Child.__class__", {"pre": lambda: None}, "__class__"),
    ],
)
def test_a_hook_that_does_not_fit_is_refused_at_once(
    app: ModuleType, hook: Hook, target: str, phases: dict[str, object], words: str
) -> None:
    code = app.function.__code__
    with pytest.raises(HookError, match=words.replace("(", "\\(")):
        hook(target, **phases)
    assert app.function.__code__ is code


def test_an_async_hook_on_a_plain_function_is_refused(
    app: ModuleType, hook: Hook
) -> None:
    async def pre():
        pass

    for target in ("function", "generator"):
        with pytest.raises(HookError, match="nothing there could await it"):
            hook(target, pre=pre)


def test_names_of_the_call_win_over_ours(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    def clash(result, call, args):
        return result, call, args

    app.clash = clash
    hook(
        "clash",
        post=lambda result, call, args, remora_result, remora_call, remora_args: (
            seen.append(
                (result, call, args, remora_result, remora_call.site, remora_args)
            )
        ),
    )
    app.clash(1, 2, 3)
    assert seen == [(1, 2, 3, (1, 2, 3), f"{app.__name__}:clash", (1, 2, 3))]


def test_hooks_may_be_methods_and_callable_objects(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    class Watcher:
        def note(self, value):
            seen.append(("method", value))

        def __call__(self, value, unknown=1):
            seen.append(("object", value, unknown))

    hook("function", pre=Watcher().note)
    hook("function", pre=Watcher())
    app.function(1)
    assert seen == [("method", 1), ("object", 1, 1)]


def test_packed_arguments_are_given_on_request(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    hook("all_kinds", pre=lambda args, kwargs: seen.append((args, kwargs)))
    hook("all_kinds", pre=lambda rest, more: seen.append((rest, more)))
    app.all_kinds(1, 2, 3, 4, key=5, more=6)
    assert seen == [
        ((1, 2, 3, 4), {"key": 5, "other": 5, "more": 6}),
        ((4,), {"more": 6}),
    ]


def test_a_hook_that_fails_keeps_nothing_of_the_app_alive(
    app: ModuleType, hook: Hook
) -> None:
    hook("function", pre=lambda: 1 / 0, fail=lambda: 1 / 0)
    before = sys.getrefcount(app.FAILURE)
    for _ in range(5):
        with contextlib.suppress(app.Failure):
            app.function("boom")
    app.FAILURE.__traceback__ = None
    after = sys.getrefcount(app.FAILURE)
    assert after == before
