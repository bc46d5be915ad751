"""Probes that work together over a request: state, and records kept at its end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
from types import ModuleType

import pytest

from remora.agent.capture import SecretNames
from remora.agent.diagnostics import Diagnostics
from remora.agent.hooks import HookTable
from remora.agent.modules import ModuleStore
from remora.agent.probes import Probes
from remora.agent.request import Held, current_state, held, note
from remora.protocol import Instance, parse_probe

NAME = "state_app"
TEXT = """
import asyncio

def serve(environ):
    return environ["work"]()

async def serve_async(scope):
    return await scope["work"]()

def stream(environ):
    yield step(1)
    yield step(2)

def first(order):
    return order

def last(order):
    return order

def step(number):
    return number

def fails():
    step(9)
    raise KeyError("x")
"""


@pytest.fixture
def app():
    module = ModuleType(NAME)
    sys.modules[NAME] = module
    exec(TEXT, module.__dict__)
    yield module
    del sys.modules[NAME]


class Bench:
    def __init__(self) -> None:
        self.records: list[dict] = []
        self.store = ModuleStore(Diagnostics("off"))
        self.store.start()
        instance = Instance("i", "app", "dev", "0", "host", 1, 0, 0, "CPython", "0")
        self.probes = Probes(
            self.store,
            HookTable(),
            self.put,
            SecretNames(()),
            lambda: instance,
            lambda: None,
        )
        self.add("serve", request={"kind": "wsgi"})
        self.add("serve_async", request={"kind": "custom"})
        self.add("stream", request={"kind": "wsgi"})

    def put(self, record, size):
        make, *fields = record
        self.records.append(make(*fields))
        return True

    def add(self, function: str, **keys: object) -> None:
        number = len(self.probes.statuses())
        table = {"id": f"p{number}", "target": f"{NAME}:{function}", **keys}
        self.probes.add([parse_probe(table)])
        status = self.probes.statuses()[-1]
        assert status.state.value == "installed", status.reason

    @property
    def messages(self) -> list[object]:
        return [record["message"] for record in self.records]


@pytest.fixture
def bench(app):
    bench = Bench()
    yield bench
    bench.probes.clear()
    bench.store.stop()
    assert Held.total == 0


def request(app: ModuleType, work) -> object:
    return app.serve({"REQUEST_METHOD": "GET", "PATH_INFO": "/x", "work": work})


def test_a_pair_measures_from_the_entry_of_one_to_the_end_of_the_other(
    bench, app
) -> None:
    bench.add("first", set={"began": "now_ms", "order": "order"})
    bench.add("last", phase="post", log="{state.order} {now_ms - state.began >= 0}")

    def work():
        app.first(7)
        app.last(8)

    request(app, work)
    request(app, lambda: app.last(8))
    assert bench.messages[0] == "7 True"
    # the next request has a state of its own
    assert bench.messages[1].startswith("missing")
    assert [s.firings for s in bench.probes.statuses()][-2:] == [1, 2]


def test_tasks_of_one_request_share_its_state_and_other_requests_do_not(
    bench, app
) -> None:
    bench.add("first", set={"order": "order"})
    bench.add("last", log="{order}={state.order}")

    async def one(number: int) -> None:
        async def inner() -> None:
            app.first(number)
            await asyncio.sleep(0)

        async def work() -> None:
            await asyncio.create_task(inner())
            await asyncio.sleep(0)
            app.last(number)

        await app.serve_async({"work": work})

    async def main() -> None:
        await asyncio.gather(*(one(n) for n in range(20)))

    asyncio.run(main())
    assert sorted(bench.messages) == sorted(f"{n}={n}" for n in range(20))


def test_outside_a_request_threads_and_tasks_have_their_own_state(bench, app) -> None:
    bench.add("first", set={"order": "order"})
    bench.add("last", log="{order}={state.order}")

    def work(number: int) -> None:
        app.first(number)
        barrier.wait(30)
        app.last(number)

    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(bench.messages) == [f"{n}={n}" for n in range(4)]


def test_only_plain_values_are_kept_and_missing_takes_a_name_away() -> None:
    class Account:
        pass

    def check() -> None:
        names = ("plain", "object", "long", "large")
        note(names, (5, Account(), "x" * 5000, 2**5000))
        state = current_state().__dict__
        assert state["plain"] == 5
        assert type(state["object"]) is str
        assert len(state["long"]) == 1000
        assert type(state["large"]) is str
        from remora.expression import MISSING

        note(("plain",), (MISSING,))
        assert "plain" not in state
        note(tuple(f"n{i}" for i in range(500)), tuple(range(500)))
        assert len(state) == 100

    contextvars.Context().run(check)


def test_what_only_notes_counts_its_firings_and_ends_after_its_hits(bench, app) -> None:
    bench.add("first", set={"order": "order"}, limit={"hits": 2})
    for number in range(2):
        app.first(number)
    bench.probes.tick()
    assert bench.probes.statuses()[-1].firings == 2
    assert bench.probes.statuses()[-1].state.value == "expired"


KEEP = "error is not missing or request.status >= 500 or state.wanted"


def test_records_are_reported_only_if_the_request_ends_as_asked(bench, app) -> None:
    bench.add("step", log="step {number}", keep=KEEP)
    request(app, lambda: app.step(1))
    assert bench.messages == []
    assert bench.probes.statuses()[-1].suppressed == 1
    assert bench.probes.statuses()[-1].suppressed_by == (("keep", 1),)
    assert bench.probes.statuses()[-1].firings == 1
    with pytest.raises(KeyError):
        request(app, app.fails)
    assert bench.messages == ["step 9"]
    assert bench.records[0]["request"]["path"] == "/x"


def test_a_request_is_kept_by_what_another_probe_noted(bench, app) -> None:
    bench.add("step", log="step {number}", keep=KEEP)
    bench.add("first", set={"wanted": "order == 7"})

    def work(order: int):
        app.step(1)
        app.first(order)
        app.step(2)

    request(app, lambda: work(1))
    assert bench.messages == []
    request(app, lambda: work(7))
    assert bench.messages == ["step 1", "step 2"]


def test_a_request_is_kept_by_its_duration(bench, app) -> None:
    bench.add("step", log="short", keep="duration_ms < 600000")
    bench.add("step", log="long", keep="remora.duration_ms >= 600000")
    request(app, lambda: app.step(1))
    assert bench.messages == ["short"]


def test_a_stream_that_is_closed_early_ends_its_request(bench, app) -> None:
    bench.add("step", log="step {number}", keep="error is missing")
    stream = app.stream({"REQUEST_METHOD": "GET"})
    next(stream)
    assert bench.messages == []
    stream.close()
    assert bench.messages == ["step 1"]


def test_outside_a_request_records_are_reported_at_once(bench, app) -> None:
    bench.add("step", log="step {number}", keep="error is not missing")
    app.step(3)
    assert bench.messages == ["step 3"]


def test_a_request_holds_its_last_records_and_counts_the_others(bench, app) -> None:
    limit = {"rate": "1000000/s", "time": "100%"}
    bench.add("step", log="{number}", keep="error is missing", limit=limit)
    count = held.HELD_RECORDS + 20

    def work() -> None:
        for number in range(count):
            app.step(number)

    request(app, work)
    assert bench.messages == [str(n) for n in range(20, count)]
    assert bench.probes.statuses()[-1].dropped == 20


def test_all_requests_together_hold_a_bounded_number_of_bytes(
    bench, app, monkeypatch
) -> None:
    monkeypatch.setattr(held, "HELD_BYTES", 1000)
    bench.add("step", log="{number}", keep="error is missing")
    request(app, lambda: [app.step(n) for n in range(5)])
    assert 0 < len(bench.messages) < 5
    status = bench.probes.statuses()[-1]
    assert status.dropped == 5 - len(bench.messages)


def test_a_request_that_nobody_ends_gives_its_bytes_back(bench, app) -> None:
    bench.add("step", log="{number}", keep="error is missing")
    stream = app.stream({"REQUEST_METHOD": "GET"})

    context = contextvars.Context()
    context.run(next, stream)
    assert Held.total > 0
    del context, stream
    gc.collect()
    assert Held.total == 0


def test_a_failing_request_leaves_no_cycle_of_its_exception(bench, app) -> None:
    import weakref

    class Failure(Exception):
        pass

    def work() -> None:
        raise Failure

    gc.collect()
    gc.disable()
    try:
        try:
            request(app, work)
        except Failure as error:
            gone = weakref.ref(error)
        assert gone() is None
    finally:
        gc.enable()
