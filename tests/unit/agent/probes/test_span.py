"""Calls as spans: below what is current, on every kind of call, in nobody's way."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from itertools import pairwise
from types import ModuleType, SimpleNamespace

import pytest

from remora.agent.request import RequestContext, serve_request
from remora.agent.request.trace import read_traceparent

TEXT = """
    import asyncio

    def outer(work=None):
        return inner(1) if work is None else work()

    def inner(amount, password=""):
        return amount

    def fails(value):
        raise KeyError(value)

    async def later(number):
        await asyncio.sleep(0)
        return await below(number)

    async def below(number):
        await asyncio.sleep(0)
        return number

    def items(count):
        for number in range(count):
            yield inner(number)

    def send(url, headers=None):
        return headers

    def recurse(depth):
        return depth and recurse(depth - 1)
"""

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(autouse=True)
def own_context():
    """What a test opens ends with it."""
    serve_request(None)
    yield
    serve_request(None)


@pytest.fixture
def shop(load):
    return load("shop_span", TEXT)


def span(bench, *functions: str, **keys: object) -> None:
    for function in functions:
        table = {"span": True, "id": function, **keys}
        bench.add(f"shop_span:{function}", **table)
        assert bench.status(function).state.value == "installed"


def spans(bench) -> dict[object, dict]:
    assert all(record["kind"] == "span" for record in bench.records)
    return {record["probe"]: record for record in bench.records}


def test_a_call_inside_another_is_below_its_span(bench, shop) -> None:
    span(bench, "outer", "inner")
    assert shop.outer() == 1
    found = spans(bench)
    outer, inner = found["outer"], found["inner"]
    assert inner["trace"] == outer["trace"]
    assert inner["parent"] == outer["span"]
    assert "parent" not in outer
    assert outer["name"] == "shop_span:outer"
    assert len(outer["trace"]) == 32
    assert len(outer["span"]) == 16
    assert outer["duration_ms"] >= inner["duration_ms"] >= 0
    assert outer["time"] <= inner["time"]
    # and nothing stays open
    shop.inner(1)
    assert "parent" not in bench.records[-1]
    assert bench.records[-1]["trace"] != outer["trace"]


def test_name_and_attributes_are_taken_from_the_call(bench, shop) -> None:
    table = {
        "name": "pay {amount}",
        "attributes": {"amount": "amount", "hidden": "password"},
    }
    span(bench, "inner", span=table, when="amount > 1")
    shop.inner(1)
    shop.inner(5, "hunter2")
    (record,) = bench.records
    assert record["name"] == "pay 5"
    assert record["values"]["amount"] == 5
    assert "hunter2" not in str(record)


def test_a_failure_is_told_and_leaves_nothing_open(bench, shop) -> None:
    span(bench, "fails", "inner")
    with pytest.raises(KeyError):
        shop.fails("x")
    shop.inner(1)
    failed, after = bench.records
    assert failed["error"] == "KeyError: x"
    assert "parent" not in after


def test_recursion_is_a_chain(bench, shop) -> None:
    span(bench, "recurse")
    shop.recurse(3)
    chain = list(reversed(bench.records))
    assert len(chain) == 4
    for parent, child in pairwise(chain):
        assert child["parent"] == parent["span"]


def test_tasks_keep_their_spans_apart(bench, shop) -> None:
    span(bench, "later", "below", limit={"rate": "100000/s", "time": "100%"})

    async def main() -> None:
        await asyncio.gather(*(shop.later(n) for n in range(20)))

    asyncio.run(main())
    outer = {r["span"]: r for r in bench.records if r["probe"] == "later"}
    inner = [r for r in bench.records if r["probe"] == "below"]
    assert len(outer) == len(inner) == 20
    assert {r["parent"] for r in inner} == set(outer)
    assert all(outer[r["parent"]]["trace"] == r["trace"] for r in inner)


def test_threads_begin_traces_of_their_own(bench, shop) -> None:
    span(bench, "inner", "outer")

    def work() -> None:
        thread = threading.Thread(target=shop.inner, args=(1,))
        thread.start()
        thread.join(30)

    shop.outer(work)
    found = spans(bench)
    assert "parent" not in found["inner"]
    assert found["inner"]["trace"] != found["outer"]["trace"]


def test_a_generator_s_span_covers_its_life_and_is_nobody_s_parent(bench, shop) -> None:
    span(bench, "items", "inner")
    generator = shop.items(2)
    next(generator)
    shop.inner(7)
    generator.close()
    assert [r["probe"] for r in bench.records] == ["inner", "inner", "items"]
    assert all("parent" not in record for record in bench.records)


def test_a_coroutine_that_is_cancelled_ends_its_span(bench, shop) -> None:
    span(bench, "later")

    async def main() -> None:
        task = asyncio.create_task(shop.later(1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    (record,) = bench.records
    assert record["error"] == "CancelledError"


def test_spans_of_one_request_are_of_its_trace(bench, shop) -> None:
    span(bench, "inner")
    request = RequestContext()
    request.headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    serve_request(request)
    shop.inner(1)
    serve_request(RequestContext())
    shop.inner(2)
    shop.inner(3)
    named, second, third = bench.records
    assert (named["trace"], named["parent"]) == (TRACE, PARENT)
    assert second["trace"] == third["trace"] != TRACE
    assert "parent" not in second


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        "",
        "00",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0",
        "0" * 10_000_000,
    ],
)
def test_a_header_that_names_no_trace_is_ignored(text) -> None:
    assert read_traceparent(text) is None


def test_later_versions_of_the_header_are_read_as_far_as_they_are_known() -> None:
    place = read_traceparent(f"01-{TRACE}-{PARENT}-00-more")
    assert place is not None
    assert (place.trace, place.span, place.flags) == (TRACE, PARENT, "00")


class OpenTelemetry:
    """Stands in for opentelemetry.trace: what its users call, and no more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.current = contextvars.ContextVar("otel", default=(0, 0))
        module = ModuleType("opentelemetry.trace")
        module.__dict__["get_current_span"] = self.span
        monkeypatch.setitem(sys.modules, "opentelemetry.trace", module)

    def span(self) -> SimpleNamespace:
        trace, number = self.current.get()
        context = SimpleNamespace(trace_id=trace, span_id=number, trace_flags=1)
        return SimpleNamespace(get_span_context=lambda: context)


def test_the_innermost_of_opentelemetry_s_spans_and_ours_is_the_parent(
    bench, shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    otel = OpenTelemetry(monkeypatch)
    span(bench, "outer", "inner")
    trace = int(TRACE, 16)

    def inside() -> None:
        shop.inner(1)  # below our outer
        token = otel.current.set((trace, 0xB))
        shop.inner(2)  # below theirs, which began inside ours
        otel.current.reset(token)
        shop.inner(3)

    token = otel.current.set((trace, 0xA))
    shop.outer(inside)
    otel.current.reset(token)
    first, second, third, outer = bench.records
    assert outer["parent"] == f"{0xA:016x}"
    assert [r["parent"] for r in (first, second, third)] == [
        outer["span"],
        f"{0xB:016x}",
        outer["span"],
    ]
    assert {r["trace"] for r in bench.records} == {TRACE}


def test_an_opentelemetry_that_fails_costs_its_span_alone(
    bench, shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", ModuleType("broken"))
    span(bench, "inner")
    assert [shop.inner(n) for n in range(5)] == list(range(5))
    status = bench.status("inner")
    assert status.errors == 3
    bench.probes.tick()
    assert bench.status("inner").state.value == "tripped"


def test_the_trace_is_handed_on_in_a_copy_of_the_headers(bench, shop) -> None:
    span(bench, "send", span={"propagate": "headers"})
    given = {"Accept": "x"}
    sent = shop.send("u", given)
    record = bench.records[0]
    header = f"00-{record['trace']}-{record['span']}-01"
    assert sent == {"Accept": "x", "traceparent": header}
    assert given == {"Accept": "x"}
    assert "traceparent" in shop.send("u")
    assert "traceparent" in shop.send(url="u", headers=None)
    named = {"TraceParent": "other"}
    assert shop.send("u", named) is named


def test_headers_of_another_kind_are_left_alone_and_counted(bench, shop) -> None:
    span(bench, "send", span={"propagate": "headers"})
    assert shop.send("u", [("a", "b")]) == [("a", "b")]
    assert "no plain dictionary" in bench.status("send").last_error


def test_an_argument_to_hand_on_that_is_not_there_is_refused(bench, shop) -> None:
    bench.add("shop_span:inner", span={"propagate": "headers"})
    assert bench.state == "failed"
    assert "'headers', which is no parameter" in bench.reason


def test_over_its_limits_a_call_has_no_span(bench, shop) -> None:
    span(bench, "inner", limit={"hits": 2})
    for number in range(4):
        shop.inner(number)
    assert len(bench.records) == 2


def test_two_probes_of_one_function_have_a_span_each(bench, shop) -> None:
    span(bench, "inner")
    bench.add("shop_span:inner", id="second", span={"name": "again"})
    shop.inner(1)
    found = spans(bench)
    assert set(found) == {"inner", "second"}
    parents = {r.get("parent") for r in bench.records} - {None}
    assert len(parents) == 1


def test_a_span_is_removed_in_the_middle_of_its_call(bench, shop) -> None:
    code = shop.outer.__code__
    span(bench, "outer")
    shop.outer(lambda: bench.probes.remove(["outer"]))
    assert shop.outer.__code__ is code
    span(bench, "inner")
    shop.inner(1)
    assert "parent" not in bench.records[-1]


def test_a_glob_shares_the_gate_and_not_the_names(bench, shop) -> None:
    bench.add("shop_span:*", span=True)
    shop.outer()
    names = [record["name"] for record in bench.records]
    assert names == ["shop_span:inner", "shop_span:outer"]
