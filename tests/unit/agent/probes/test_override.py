"""Probes that change the run: on every kind of call, and only as they say."""

from __future__ import annotations

import asyncio
import threading

import pytest

from remora.agent.probes.permission import refuse_acting
from remora.protocol import parse_probe

TEXT = """
    calls = []

    def charge(amount, name="new", *rest, **more):
        calls.append((amount, name, rest, more))
        return amount * 2

    def fails(value):
        raise KeyError(value)

    async def later(amount):
        calls.append(amount)
        return amount * 2

    def items(count):
        yield from range(count)
        return "end"

    async def stream(count):
        for i in range(count):
            yield i

    class Cart:
        def add(self, item, quantity=1):
            return (item, quantity)

    def outer(password):
        return charge(1)
"""


@pytest.fixture
def shop(load):
    return load("shop_override", TEXT)


def override(bench, function: str, table: dict[str, object], **keys: object) -> None:
    bench.add(f"shop_override:{function}", override=table, **keys)
    assert bench.state == "installed", bench.reason


def test_a_call_returns_what_the_probe_says_without_running(bench, shop) -> None:
    override(bench, "charge", {"return": "[amount, 'free']"}, when="amount > 5")
    assert shop.charge(1) == 2
    assert shop.charge(7) == [7, "free"]
    assert [call[0] for call in shop.calls] == [1]
    (record,) = bench.records
    assert record["kind"] == "override"
    assert record["override"] == {"kind": "return", "value": [7, "free"], "mode": "act"}
    assert bench.status().firings == 1


def test_an_object_of_the_app_is_handed_on_itself(bench, shop) -> None:
    override(bench, "charge", {"return": "more['given']"})
    given = object()
    assert shop.charge(1, given=given) is given


def test_a_result_is_replaced_after_the_call(bench, shop) -> None:
    override(bench, "charge", {"return": "result + 1"}, phase="post", when="amount > 5")
    assert shop.charge(1) == 2
    assert shop.charge(7) == 15
    assert len(shop.calls) == 2


def test_a_call_raises_a_builtin_exception(bench, shop) -> None:
    override(bench, "charge", {"raise": "PermissionError: not {amount}"})
    with pytest.raises(PermissionError, match=r"^not 7$"):
        shop.charge(7)
    assert shop.calls == []
    assert bench.records[0]["override"]["value"] == "PermissionError: not 7"


def test_an_exception_is_swallowed_or_replaced(bench, shop) -> None:
    override(bench, "fails", {"return": "value"}, phase="fail")
    assert shop.fails(3) == 3
    bench.probes.clear()
    override(bench, "fails", {"raise": "ValueError: {error}"}, phase="fail")
    with pytest.raises(ValueError, match="3") as caught:
        shop.fails(3)
    assert isinstance(caught.value.__context__, KeyError)


def test_a_call_goes_on_with_other_arguments(bench, shop) -> None:
    override(
        bench,
        "charge",
        {"arguments": {"name": "'old'", "amount": "amount + 1", "tip": "amount"}},
    )
    assert shop.charge(1, "new", 5) == 4
    assert shop.calls == [(2, "old", (5,), {"tip": 1})]


def test_methods_take_other_arguments_by_name(bench, shop) -> None:
    override(bench, "Cart.add", {"arguments": {"quantity": "3"}})
    assert shop.Cart().add("pen") == ("pen", 3)


def test_a_coroutine_returns_what_the_probe_says(bench, shop) -> None:
    override(bench, "later", {"return": "amount"}, when="amount > 5")
    assert asyncio.run(shop.later(1)) == 2
    assert asyncio.run(shop.later(7)) == 7
    assert shop.calls == [1]


def test_a_generator_ends_at_once_with_the_value(bench, shop) -> None:
    override(bench, "items", {"return": "'none'"}, when="count > 2")
    assert list(shop.items(2)) == [0, 1]
    generator = shop.items(3)
    with pytest.raises(StopIteration) as end:
        next(generator)
    assert end.value.value == "none"


def test_an_async_generator_ends_or_raises(bench, shop) -> None:
    async def read(count: int) -> list[int]:
        return [i async for i in shop.stream(count)]

    override(bench, "stream", {"return": "None"}, when="count == 2")
    assert asyncio.run(read(2)) == []
    assert asyncio.run(read(1)) == [0]
    bench.probes.clear()
    override(bench, "stream", {"raise": "OSError: closed"})
    with pytest.raises(OSError, match="closed"):
        asyncio.run(read(1))


def test_watching_changes_nothing_and_says_what_it_would_do(bench, shop) -> None:
    override(bench, "charge", {"return": "0", "mode": "watch"})
    assert shop.charge(1) == 2
    assert bench.records[0]["override"] == {
        "kind": "return",
        "value": 0,
        "mode": "watch",
    }


def test_a_missing_value_leaves_the_call_alone_and_is_counted(bench, shop) -> None:
    override(bench, "charge", {"return": "more['absent']"})
    for _ in range(5):
        assert shop.charge(1) == 2
    status = bench.status()
    assert status.state.value == "installed"
    assert status.errors == 5
    assert status.last_error == "override: a value is missing (absent)"
    assert bench.records == []


def test_arguments_that_do_not_fit_leave_the_call_alone(bench, shop) -> None:
    override(bench, "charge", {"arguments": {"rest": "5"}})
    assert shop.charge(1) == 2
    assert "takes rest as a tuple" in bench.status().last_error


def test_an_argument_that_the_target_has_not_is_refused(bench, shop) -> None:
    code = shop.Cart.add.__code__
    bench.add("shop_override:Cart.add", override={"arguments": {"count": "1"}})
    assert bench.state == "failed"
    assert "'count', which is no parameter" in bench.reason
    assert shop.Cart.add.__code__ is code


def test_an_override_holds_for_every_call_while_its_records_keep_a_pace(
    bench, shop
) -> None:
    override(bench, "charge", {"return": "0"}, limit={"time": "100%"})
    assert [shop.charge(1) for _ in range(1000)] == [0] * 1000
    assert bench.status().firings == 1000
    assert 0 < len(bench.records) < 500
    assert shop.calls == []


def test_written_limits_bound_an_override(bench, shop) -> None:
    override(bench, "charge", {"return": "0"}, limit={"hits": 2})
    assert [shop.charge(1) for _ in range(4)] == [0, 0, 2, 2]
    bench.probes.clear()
    override(bench, "charge", {"return": "0"}, limit={"rate": "1/h"})
    assert [shop.charge(1) for _ in range(3)] == [0, 2, 2]
    assert bench.status().suppressed == 2


def test_its_log_and_its_count_see_the_firing_once(bench, shop) -> None:
    override(bench, "charge", {"return": "0"}, log="fixed {amount}", count=True)
    assert shop.charge(4) == 0
    (record,) = bench.records
    assert record["kind"] == "log"
    assert record["message"] == "fixed 4"
    assert record["override"]["value"] == 0
    assert bench.status().firings == 1


def test_secrets_are_handed_on_and_not_reported(bench, shop) -> None:
    override(bench, "outer", {"return": "password"})
    assert shop.outer("hunter2") == "hunter2"
    bench.probes.clear()
    override(bench, "outer", {"raise": "ValueError: {password}"})
    with pytest.raises(ValueError, match="hunter2"):
        shop.outer("hunter2")
    assert "hunter2" not in str(bench.records)


def test_a_glob_gives_each_function_its_own_arguments(bench, shop) -> None:
    bench.add("shop_override:*", override={"arguments": {"amount": "9"}})
    assert bench.state == "partly"
    assert shop.charge(1) == 18
    assert asyncio.run(shop.later(1)) == 18
    assert list(shop.items(2)) == [0, 1]


def test_removal_in_the_middle_of_a_call_ends_the_override(bench, shop) -> None:
    code = shop.items.__code__
    override(bench, "items", {"return": "'replaced'"}, phase="post")
    generator = shop.items(1)
    assert next(generator) == 0
    bench.probes.clear()
    with pytest.raises(StopIteration):
        next(generator)
    assert shop.items.__code__ is code


def test_threads_get_each_its_own_value(bench, shop) -> None:
    override(bench, "charge", {"return": "amount"})
    wrong: list[object] = []

    def call(number: int) -> None:
        wrong.extend(r for _ in range(300) if (r := shop.charge(number)) != number)

    threads = [threading.Thread(target=call, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert bench.status().firings == 1200


def test_c_functions_return_what_the_probe_says(bench) -> None:
    import zlib

    bench.add("zlib:crc32", override={"return": "7"}, when="len(args[0]) == 4")
    assert bench.state == "installed", bench.reason
    assert zlib.crc32(b"fake") == 7
    assert zlib.crc32(b"") == 0


@pytest.mark.parametrize("allowed", ["observe", "protect"])
def test_a_server_s_override_needs_the_app_s_permission(
    bench, shop, allowed: str
) -> None:
    code = shop.charge.__code__
    probe = parse_probe(
        {"id": "p", "target": "shop_override:charge", "override": {"return": "0"}}
    )
    bench.probes.add([probe], allowed)
    assert bench.state == "failed"
    assert f"REMORA_ALLOW is '{allowed}' here" in bench.reason
    assert shop.charge.__code__ is code
    bench.probes.add([probe], "act")
    assert shop.charge(1) == 0


def test_watching_needs_no_permission() -> None:
    table = {"return": "0", "mode": "watch"}
    probe = parse_probe({"id": "p", "target": "m:f", "override": table})
    assert refuse_acting(probe, "observe") == ""
