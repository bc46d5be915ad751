"""Hooks come and go while the app does everything at once: nothing is lost or left."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from remora.agent.capture import SecretNames
from remora.agent.diagnostics import Diagnostics
from remora.agent.hooks import HookTable, Return
from remora.agent.modules import ModuleStore
from remora.agent.probes import Handle, Probes
from remora.agent.runtime import guard
from remora.protocol import Instance, parse_probe

NAME = "stress_app"
SECONDS = 1.0
"""Of each test: enough for some hundred changes."""

TEXT = """
def f(value):
    return value

class Thing:
    def method(self, value):
        return value
    def __del__(self):
        gone.append(1)

def items(value):
    yield value
    yield value

async def waits(value):
    await sleep(0)
    return value

gone = []
"""


@pytest.fixture
def app() -> Iterator[ModuleType]:
    module = ModuleType(NAME)
    sys.modules[NAME] = module
    exec(TEXT, vars(module))
    vars(module)["sleep"] = asyncio.sleep
    yield module
    del sys.modules[NAME]


@pytest.fixture
def probes(app: ModuleType) -> Iterator[Probes]:
    functions = [
        *(app.f, app.Thing.method, app.Thing.__del__, app.items, app.waits),
    ]
    codes = [function.__code__ for function in functions]
    store = ModuleStore(Diagnostics("off"))
    store.start()
    instance = Instance("i", "app", "dev", "0", "host", 1, 0, 0, "CPython", "0")
    table = HookTable()
    probes = Probes(
        store, table, lambda *_: True, SecretNames(()), lambda: instance, lambda: None
    )
    yield probes
    probes.clear()
    store.stop()
    assert table.settle() == 0
    assert len(table) == 0
    assert not guard.busy
    assert [function.__code__ for function in functions] == codes


def nothing() -> None:
    """Be a hook."""


def change_for(seconds: float, probes: Probes, *names: str) -> int:
    """Install, change and remove hooks on these for so long; how often."""
    end = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < end:
        handles = [
            Handle(f"{NAME}:{name}", {phase: nothing}, probes)
            for name in names
            for phase in ("pre", "post", "fail")
        ]
        for handle in handles[:: 1 if rounds % 2 else -1]:
            assert handle.errors == 0
            handle.remove()
        rounds += 1
    return rounds


def run_beside(work: list[Callable[[], object]], change: Callable[[], int]) -> int:
    """Threads that work over and over while hooks change; rounds of changes."""
    errors: list[BaseException] = []
    over = threading.Event()

    def repeat(one: Callable[[], object]) -> None:
        try:
            while not over.is_set():
                one()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=repeat, args=(one,)) for one in work]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        for thread in threads:
            thread.start()
        rounds = change()
    finally:
        over.set()
        for thread in threads:
            thread.join(20)
        sys.setswitchinterval(interval)
    assert errors == []
    return rounds


def same(call: Callable[[object], object], expected: Callable[[object], object]):
    def check() -> None:
        value = object()
        assert call(value) == expected(value)

    return check


def test_threads_call_while_hooks_come_and_go(app: ModuleType, probes: Probes) -> None:
    thing = app.Thing()
    work = [
        same(app.f, lambda value: value),
        same(thing.method, lambda value: value),
        same(lambda value: list(app.items(value)), lambda value: [value, value]),
    ]
    change = lambda: change_for(SECONDS, probes, "f", "Thing.method", "items")
    assert run_beside(work, change) >= 1


def test_two_threads_change_the_same_function(app: ModuleType, probes: Probes) -> None:
    seen: list[int] = []
    kept = Handle(f"{NAME}:f", {"pre": lambda value: seen.append(value)}, probes)
    other = lambda: change_for(0.05, probes, "f")
    run_beside([other, other], lambda: change_for(SECONDS, probes, "f"))
    seen.clear()
    assert app.f(7) == 7
    assert seen == [7]
    kept.remove()


def test_signal_handlers_call_hooked_functions(app: ModuleType, probes: Probes) -> None:
    fired: list[object] = []
    handler = lambda number, frame: fired.append(app.f(number))
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end or len(fired) < 20:
            handle = Handle(f"{NAME}:f", {"pre": nothing, "post": nothing}, probes)
            for value in range(50):
                assert app.f(value) == value
            handle.remove()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert set(fired) == {signal.SIGALRM}


def test_tasks_await_while_hooks_come_and_go(app: ModuleType, probes: Probes) -> None:
    async def work(over: asyncio.Event) -> int:
        calls = 0
        while not over.is_set():
            assert await app.waits(calls) == calls
            calls += 1
        return calls

    async def main() -> list[int]:
        over = asyncio.Event()
        tasks = [asyncio.create_task(work(over)) for _ in range(5)]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            handle = Handle(f"{NAME}:waits", {"pre": nothing, "fail": nothing}, probes)
            await asyncio.sleep(0)
            handle.remove()
            await asyncio.sleep(0)
        over.set()
        return await asyncio.gather(*tasks)

    assert all(asyncio.run(main()))


def test_the_collector_runs_a_hooked_destructor(
    app: ModuleType, probes: Probes
) -> None:
    made = 0

    def make_garbage() -> None:
        nonlocal made
        if made - len(app.gone) > 1000:
            # The other thread collects, and until it has, nobody else does: more and
            # more would be made in that time, and the next time be longer.
            time.sleep(0.001)
            return
        one, two = app.Thing(), app.Thing()
        one.other, two.other = two, one
        made += 2
        del one, two
        gc.collect(0)

    change = lambda: change_for(SECONDS, probes, "Thing.__del__")
    assert run_beside([make_garbage], change) >= 1
    gc.collect()
    assert len(app.gone) == made > 0


def test_a_hook_that_forks_leaves_both_processes_with_the_hook(
    app: ModuleType, probes: Probes
) -> None:
    children: list[int] = []

    def fork(value: int) -> Return | None:
        child = os.fork()
        if child == 0:
            return Return("child")
        children.append(child)
        return None

    for value in range(5):
        handle = Handle(f"{NAME}:f", {"pre": fork}, probes)
        result = app.f(value)
        if result == "child":
            handle.remove()
            # what pytest would do at the end is the parent's
            os._exit(0 if app.f(value) == value else 1)
        assert result == value
        handle.remove()
    statuses = [os.waitpid(child, 0)[1] for child in children]
    assert statuses == [0] * 5


def test_a_removal_and_an_addition_in_one_message_leave_the_addition(
    app: ModuleType, probes: Probes
) -> None:
    def probe(name: str, phase: str):
        keys = {"id": name, "target": f"{NAME}:f", "phase": phase}
        return parse_probe({**keys, "count": {"by": ["value"]}})

    def message() -> None:
        probes.remove(["p"])
        probes.add([probe("p", "post")])

    probes.add([probe("p", "pre"), probe("other", "pre")])
    other = lambda: probes.add([probe("other", "post")])

    def change() -> int:
        end = time.monotonic() + SECONDS
        rounds = 0
        while time.monotonic() < end:
            message()
            rounds += 1
        return rounds

    assert run_beside([same(app.f, lambda value: value), other], change) >= 1
    states = {status.probe: status.state.value for status in probes.statuses()}
    assert states == {"p": "installed", "other": "installed"}
    before = {status.probe: status.firings for status in probes.statuses()}
    app.f(1)
    after = {status.probe: status.firings for status in probes.statuses()}
    assert {name: after[name] - before[name] for name in after} == {"p": 1, "other": 1}
