from __future__ import annotations

import pytest

from remora.agent.request import set_user
from remora.agent.runtime import guard

TEXT = """
    class Account:
        plan = "class attribute"
        def __init__(self, plan):
            self.plan = plan

    def charge(amount, account=None, *rest, currency="EUR", **more):
        return amount * 2

    def clash(result, request, user, error=None, target=0):
        return result

    def fails(value):
        raise KeyError(value)

    def secret(password, token=1):
        return password

    def packed(remora):
        return remora
"""


@pytest.fixture
def shop(load):
    return load("shop_compile", TEXT)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"when": "amuont > 1"}, "did you mean 'amount'"),
        ({"when": "resutl > 1", "phase": "post"}, "did you mean 'result'"),
        ({"when": "result > 1"}, "'result' exists in phase post only"),
        ({"when": "error is None", "phase": "post"}, "'error' exists in phase fail"),
        ({"log": "{duration_ms}"}, "exists in phase fail or post only"),
        ({"log": "{amuont}"}, "did you mean 'amount'"),
        ({"snapshot": ["nothing"]}, "'nothing' is unknown"),
        ({"count": {"by": ["nothing"]}}, "'nothing' is unknown"),
        ({"when": "remora.nothing"}, "'remora' is unknown"),
    ],
)
def test_a_name_that_the_call_does_not_have_is_refused(
    bench, shop, keys: dict[str, object], words: str
) -> None:
    code = shop.charge.__code__
    bench.add("shop_compile:charge", **{"log": "x", **keys})
    assert bench.state == "failed"
    assert words in bench.reason
    assert shop.charge.__code__ is code


def test_a_log_shows_values_of_the_call(bench, shop) -> None:
    bench.add(
        "shop_compile:charge",
        phase="post",
        when="amount > 1 and account.plan == 'free'",
        log="{amount} {account.plan} {result} {rest} {currency} {more} {target} {args}",
    )
    shop.charge(1, shop.Account("free"))
    shop.charge(5, shop.Account("paid"))
    shop.charge(5, shop.Account("free"), 1, currency="USD", tip=2)
    (message,) = bench.messages
    assert message.startswith("5 free 10 (1")
    assert " USD {'tip': 2} shop_compile:charge (5," in message
    assert bench.status().firings == 1


def test_the_call_s_own_names_win_and_ours_stay_reachable(bench, shop) -> None:
    set_user("alice", {})
    bench.add(
        "shop_compile:clash",
        phase="post",
        log="{result} {request} {user} {target} {remora.result} {remora.user.id} "
        "{remora.target}",
    )
    shop.clash(1, 2, 3, target=4)
    assert bench.messages == ["1 2 3 4 1 alice shop_compile:clash"]


def test_a_parameter_called_remora_hides_our_names(bench, shop) -> None:
    bench.add("shop_compile:packed", log="{remora.user}")
    shop.packed({"user": 1})
    assert bench.state == "installed", bench.reason
    assert len(bench.records) == 1


def test_fail_sees_the_error(bench, shop) -> None:
    bench.add(
        "shop_compile:fails",
        phase="fail",
        when="type_name(error) == 'KeyError'",
        log="{value}: {error}",
        snapshot=["value", "locals", "stack"],
    )
    with pytest.raises(KeyError):
        shop.fails("x")
    (record,) = bench.records
    assert record["phase"] == "fail"
    assert record["message"].startswith("x: ")
    assert record["values"]["value"] == "x"
    assert record["values"]["locals"] == {"value": "x"}
    assert record["stack"][0]["function"] == "fails"
    assert record["duration_ms"] >= 0 if "duration_ms" in record else True


def test_a_snapshot_takes_arguments_and_the_caller_s_stack(bench, shop) -> None:
    bench.add("shop_compile:charge", snapshot=["arguments", "stack", "amount"])
    shop.charge(1, None, 2, currency="USD", x=3)
    (record,) = bench.records
    assert record["kind"] == "snapshot"
    assert record["values"]["amount"] == 1
    assert record["values"]["arguments"]["currency"] == "USD"
    assert set(record["values"]["arguments"]) == {
        *("amount", "account", "currency", "rest", "more"),
    }
    functions = [frame["function"] for frame in record["stack"]]
    assert (
        functions[0] == test_a_snapshot_takes_arguments_and_the_caller_s_stack.__name__
    )


@pytest.mark.parametrize(
    ("target", "snapshot", "positional"),
    [
        ("shop_compile:charge", ["arguments"], ["amount", "account", "*rest"]),
        ("shop_counted:Desk.take", ["arguments"], ["item", "*rest"]),
        ("shop_counted:Desk.every", ["arguments"], ["item"]),
        ("shop_counted:Desk.plain", ["arguments"], ["item"]),
        ("shop_counted:Desk", ["arguments"], ["name"]),
        ("shop_compile:charge", ["amount"], None),
    ],
)
def test_a_snapshot_of_arguments_counts_them_as_a_caller_does(
    bench, shop, load, target: str, snapshot, positional
) -> None:
    desk = load(
        "shop_counted",
        """
        class Desk:
            def __init__(self, name): pass
            def take(self, item, *rest, key=1): pass
            @classmethod
            def every(cls, item): pass
            @staticmethod
            def plain(item): pass
        """,
    ).Desk
    bench.add(target, snapshot=snapshot)
    shop.charge(1, None, 2, currency="USD", x=3)
    made = desk("d")
    made.take(1)
    made.every(1)
    made.plain(1)
    (record,) = bench.records
    assert record.get("positional") == positional


def test_secrets_are_redacted_by_name(bench, shop) -> None:
    bench.add(
        "shop_compile:secret",
        log="{password} {token}",
        snapshot=["password", "arguments"],
        count={"by": ["password"]},
    )
    shop.secret("hunter2", token="hunter3")
    bench.probes.ship()
    assert len(bench.records) == 2
    assert "hunter" not in str(bench.records)


def test_a_count_by_keys_with_measures(bench, shop) -> None:
    bench.add(
        "shop_compile:charge",
        phase="post",
        count={
            "by": ["account.plan", "currency"],
            "sum": "amount",
            "max": "result",
            "histogram": "duration_ms",
        },
    )
    for plan in ("free", "paid", "free"):
        shop.charge(5, shop.Account(plan))
    assert bench.status().errors == 0, bench.status().last_error
    bench.probes.ship()
    (record,) = bench.records
    rows = {row["key"][0]: row for row in record["rows"]}
    assert rows["free"]["count"] == 2
    assert rows["free"]["sum"] == 10
    assert rows["free"]["max"] == 10
    assert sum(rows["free"]["histogram"]["buckets"].values()) == 2
    assert bench.status().firings == 3


@pytest.mark.parametrize("by", [[], ["currency"], ["amount", "currency"]])
def test_a_count_by_any_number_of_keys(bench, shop, by: list[str]) -> None:
    bench.add("shop_compile:charge", count={"by": by})
    for _ in range(3):
        shop.charge(1)
    bench.probes.ship()
    (record,) = bench.records
    assert [row["count"] for row in record["rows"]] == [3]
    assert len(record["rows"][0]["key"]) == len(by)


def test_no_code_of_the_app_runs_for_a_condition(bench, load, exploding) -> None:
    module = load("shop_exploding", "def f(value, other):\n    return None\n")
    bench.add(
        "shop_exploding:f",
        when="value.name == 'x' or value == 3 or len(value) > 2 or value in other",
        log="{value}",
    )
    bench.add("shop_exploding:f", id="log", log="{value} {other}")
    bench.add("shop_exploding:f", id="snap", snapshot=["value", "arguments"])
    bench.add(
        "shop_exploding:f",
        id="count",
        count={"by": ["value"], "sum": "value", "histogram": "other"},
    )
    module.f(exploding(), exploding(list))
    bench.probes.ship()
    assert {s.errors for s in bench.probes.statuses()} == {0}
    assert len(bench.records) == 3


def test_a_condition_that_fails_inside_is_contained_and_trips_the_probe(
    bench, shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.add("shop_compile:charge", log="x")
    active = bench.probes._active["p"]

    def broken(*_: object) -> object:
        raise MemoryError("no room")

    monkeypatch.setattr(active.firings, "put", broken)
    for _ in range(5):
        assert shop.charge(2) == 4
    assert bench.status().errors == 3
    bench.probes.tick()
    assert bench.state == "tripped"
    assert (
        bench.reason == "switched off: 3 failures in a row (last: MemoryError: no room)"
    )
    assert bench.status().site_count == 0


def test_a_queue_that_is_full_is_counted(bench, shop) -> None:
    bench.full = True
    bench.add("shop_compile:charge", log="x")
    shop.charge(1)
    assert bench.status().dropped == 1
    assert bench.status().errors == 0


def test_a_ctrl_c_while_a_firing_begins_leaves_no_mark_of_ours(
    bench, shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting(set):
        def add(self, ident):
            super().add(ident)
            raise KeyboardInterrupt

    bench.add("shop_compile:charge", log="x")
    busy = Interrupting()
    bench.add("shop_compile:charge", log="x")
    monkeypatch.setattr(guard, "busy", busy)
    with pytest.raises(KeyboardInterrupt):
        shop.charge(1)
    assert busy == set()
    assert bench.status().errors == 0


def test_averages_and_callers_are_counted(bench, shop) -> None:
    count = {"by": ["currency", "stack"], "average": "amount"}
    bench.add("shop_compile:charge", count=count)

    def first() -> None:
        shop.charge(1)
        shop.charge(2)

    def second() -> None:
        shop.charge(6)

    for call in (first, second, second, first):
        call()
    bench.probes.ship()
    (record,) = bench.records
    assert record["by"] == ["currency", "stack"]
    rows = {
        row["key"][1][0].split(" (")[0].rpartition(".")[2]: [] for row in record["rows"]
    }
    for row in record["rows"]:
        innermost, *outer = row["key"][1]
        assert "test_compile.py:" in innermost
        assert "test_averages_and_callers" in outer[0]
        rows[innermost.split(" (")[0].rpartition(".")[2]].append(
            (row["count"], row["average"])
        )
    # each line that calls is a way of its own
    assert sorted(rows) == ["first", "second"]
    assert sum(count for count, _ in rows["first"]) == 4
    assert sum(a["sum"] for _, a in rows["second"]) == 12


def test_only_the_top_rows_are_reported(bench, shop) -> None:
    bench.add("shop_compile:charge", count={"by": ["amount"], "top": 2})
    for amount in (1, 1, 1, 2, 2, 3, 4):
        shop.charge(amount)
    bench.probes.ship()
    (record,) = bench.records
    assert [(row["key"][0], row["count"]) for row in record["rows"][:2]] == [
        (1, 3),
        (2, 2),
    ]
    assert record["rows_cut"] == 2
    assert record["top"] == 2
    assert record["count_error"] == 0
    assert bench.status().firings == 7


def test_a_target_called_from_two_places_by_a_generator_keeps_its_callers(
    bench, shop
) -> None:
    bench.add("shop_compile:charge", count={"by": ["stack"], "top": 5})

    def numbers():
        yield shop.charge(1)
        yield shop.charge(2)

    list(numbers())
    bench.probes.ship()
    lines = {row["key"][0][0].rpartition(":")[2] for row in bench.records[0]["rows"]}
    assert len(lines) == 2


def test_chosen_callers_show_their_locals(bench, shop) -> None:
    bench.add(
        "shop_compile:charge", snapshot=["stack"], frames=["*:*.customer_pays", "x"]
    )

    def customer_pays(basket: str) -> None:
        shop.charge(1)

    customer_pays("full")
    (record,) = bench.records
    shown = [frame for frame in record["stack"] if "locals" in frame]
    assert [frame["locals"]["basket"] for frame in shown] == ["full"]
