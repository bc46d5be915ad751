"""Coroutines and generators under hooks: send, throw, close, cancellation."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from types import ModuleType

import pytest

from remora.agent.hooks import Raise, Return
from remora.agent.probes import Handle

pytestmark = pytest.mark.usefixtures("mechanism")

Hook = Callable[..., Handle]

PHASES = ["bare", "pre", "post", "fail", "all"]


@pytest.fixture
def seen() -> list[str]:
    return []


@pytest.fixture(params=PHASES)
def under(
    request: pytest.FixtureRequest, hook: Hook, seen: list[str]
) -> Callable[[str], None]:
    """Hooks a subject in the phases of this run; bare is the check of the test."""

    def put(target: str) -> None:
        chosen = ["pre", "post", "fail"] if request.param == "all" else [request.param]
        if request.param != "bare":
            hook(target, **{p: lambda p=p: seen.append(p) for p in chosen})

    return put


def test_a_generator_takes_what_is_sent(
    app: ModuleType, under: Callable[[str], None]
) -> None:
    under("generator")
    running = app.generator("value")
    assert inspect.isgenerator(running)
    assert running.__name__ == "generator"
    assert next(running) == "value"
    assert running.send("a") == "second"
    with pytest.raises(StopIteration) as stop:
        running.send("b")
    assert stop.value.value == ["a", "b"]
    with pytest.raises(StopIteration):
        next(running)


def test_an_exception_thrown_into_a_generator_can_be_caught_there(
    app: ModuleType, under: Callable[[str], None], seen: list[str]
) -> None:
    under("generator")
    running = app.generator("value")
    next(running)
    assert running.throw(ValueError("thrown")) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == ["thrown"]
    assert "fail" not in seen


def test_an_exception_thrown_into_a_generator_comes_out_as_itself(
    app: ModuleType, under: Callable[[str], None]
) -> None:
    under("generator")
    running = app.generator("value")
    next(running)
    error = KeyError("thrown")
    with pytest.raises(KeyError) as raised:
        running.throw(error)
    assert raised.value is error
    assert app.LOG == ["generator ended"]


def test_closing_a_generator_runs_its_end_and_is_no_failure(
    app: ModuleType, under: Callable[[str], None], seen: list[str]
) -> None:
    under("generator")
    running = app.generator("value")
    next(running)
    running.close()
    assert app.LOG == ["generator ended"]
    assert set(seen) <= {"pre"}
    next(left := app.generator("value"))
    del left
    assert app.LOG == ["generator ended"] * 2


def test_an_async_generator_takes_what_is_sent(
    app: ModuleType, under: Callable[[str], None]
) -> None:
    under("async_generator")

    async def main() -> None:
        running = app.async_generator("value")
        assert inspect.isasyncgen(running)
        assert await running.asend(None) == "value"
        assert await running.asend("a") == "second"
        assert await running.asend("b") == ["a", "b"]
        with pytest.raises(StopAsyncIteration):
            await running.asend("c")

    asyncio.run(main())


def test_an_async_generator_takes_what_is_thrown(
    app: ModuleType, under: Callable[[str], None]
) -> None:
    under("async_generator")

    async def main() -> None:
        running = app.async_generator("value")
        await running.__anext__()
        assert await running.athrow(ValueError("thrown")) == "caught"
        assert await running.__anext__() == ["thrown"]
        running = app.async_generator("value")
        await running.__anext__()
        error = KeyError("thrown")
        with pytest.raises(KeyError) as raised:
            await running.athrow(error)
        assert raised.value is error

    asyncio.run(main())


def test_an_async_generator_is_closed(
    app: ModuleType, under: Callable[[str], None], seen: list[str]
) -> None:
    under("async_generator")

    async def main() -> None:
        running = app.async_generator("value")
        await running.__anext__()
        await running.aclose()
        assert app.LOG == ["async generator ended"]
        async for _ in app.async_generator("value"):
            break
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert app.LOG == ["async generator ended"] * 2
    assert set(seen) <= {"pre"}


def test_a_loop_that_ends_closes_an_async_generator_that_waits_in_its_end(
    app: ModuleType, under: Callable[[str], None]
) -> None:
    told: list[object] = []

    async def lingers():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            app.LOG.append("closed")

    app.lingers = lingers
    under("lingers")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, c: told.append(c))
        app.kept = app.lingers()
        await app.kept.__anext__()

    asyncio.run(main())
    assert app.LOG == ["closed"]
    assert told == []


def test_cancellation_passes_through_a_coroutine(
    app: ModuleType, under: Callable[[str], None], seen: list[str]
) -> None:
    async def waits(value):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            app.LOG.append(error.args)
            raise

    app.waits = waits
    under("waits")

    async def main() -> None:
        task = asyncio.create_task(app.waits(1))
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await app.waits(2)

    asyncio.run(main())
    assert len(app.LOG) == 2
    assert "post" not in seen


def test_a_coroutine_closed_before_its_end_is_no_failure(
    app: ModuleType, under: Callable[[str], None], seen: list[str]
) -> None:
    under("coroutine")
    running = app.coroutine(1)
    running.send(None)
    running.close()
    assert set(seen) <= {"pre"}


def test_a_coroutine_that_is_never_awaited_warns_once_with_its_own_name(
    app: ModuleType, under: Callable[[str], None], seen: list[str]
) -> None:
    under("coroutine")
    with pytest.warns(RuntimeWarning, match="coroutine 'coroutine' was never") as told:
        app.coroutine(1)
    assert len(told) == 1
    assert seen == []


def test_pre_fires_when_the_body_starts(
    app: ModuleType, hook: Hook, seen: list[str]
) -> None:
    for target in ("generator", "coroutine", "async_generator"):
        hook(target, pre=lambda: seen.append("pre"))
    running = app.generator(1)
    assert seen == []
    next(running)
    assert seen == ["pre"]
    waiting = app.coroutine(1)
    assert seen == ["pre"]
    waiting.send(None)
    assert seen == ["pre", "pre"]
    waiting.close()
    step = app.async_generator(1).asend(None)
    assert seen == ["pre", "pre"]
    with pytest.raises(StopIteration):
        step.send(None)
    assert seen == ["pre", "pre", "pre"]


def test_outcomes_end_generators_and_coroutines(app: ModuleType, hook: Hook) -> None:
    for target in ("generator", "coroutine", "async_generator"):
        hook(target, pre=lambda value: Return("instead") if value == "skip" else None)
    with pytest.raises(StopIteration) as stop:
        next(app.generator("skip"))
    assert stop.value.value == "instead"
    assert asyncio.run(app.coroutine("skip")) == "instead"

    async def main() -> list[object]:
        return [item async for item in app.async_generator("skip")]

    assert asyncio.run(main()) == []


def test_a_raise_ends_generators_and_coroutines(app: ModuleType, hook: Hook) -> None:
    error = PermissionError("no")
    for target in ("generator", "coroutine", "async_generator"):
        hook(target, pre=lambda: Raise(error))
    with pytest.raises(PermissionError) as raised:
        next(app.generator(1))
    assert raised.value is error
    with pytest.raises(PermissionError):
        asyncio.run(app.coroutine(1))

    async def main() -> None:
        async for _ in app.async_generator(1):
            pass

    with pytest.raises(PermissionError):
        asyncio.run(main())
