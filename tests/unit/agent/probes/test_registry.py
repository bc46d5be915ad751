from __future__ import annotations

import importlib
import sys
from importlib import metadata

import pytest

from remora.agent.probes import Handle
from remora.agent.runtime import originals
from remora.errors import HookError, TargetError

TEXT = """
    def charge(amount):
        return amount

    def refund(amount):
        return -amount

    class Cart:
        def add(self, item):
            return item
        def drop(self, item):
            return item
"""

SECOND = 1_000_000_000


@pytest.fixture
def shop(load):
    return load("shop_registry", TEXT)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Wall clock of the agent, to be stepped."""

    class Clock:
        now = originals.time_ns()

    monkeypatch.setattr(originals, "time_ns", lambda: Clock.now)
    return Clock


def test_a_probe_waits_for_its_module_and_installs_at_the_import(bench, write) -> None:
    write("shop_late", TEXT)
    bench.add("shop_late:charge", log="{amount}")
    assert bench.state == "waiting"
    assert "shop_late" in bench.reason
    assert "not imported" in bench.reason
    late = importlib.import_module("shop_late")
    assert bench.state == "installed"
    late.charge(7)
    assert bench.messages == ["7"]


def test_a_name_that_is_not_there_fails_and_names_a_near_one(bench, shop) -> None:
    bench.add("shop_registry:chrage", log="x")
    assert bench.state == "failed"
    assert "did you mean 'charge'?" in bench.reason


def test_a_reload_is_probed_again_and_the_old_function_too(bench, shop) -> None:
    bench.add("shop_registry:charge", log="{amount}")
    old = shop.charge
    importlib.reload(shop)
    assert shop.charge is not old
    shop.charge(1)
    old(2)
    assert bench.messages == ["1", "2"]
    code = shop.charge.__code__
    bench.probes.remove(["p"])
    assert shop.charge.__code__ is not code
    shop.charge(3)
    old(3)
    assert len(bench.records) == 2


def test_a_module_dropped_and_imported_again_is_probed_again(bench, shop) -> None:
    bench.add("shop_registry:charge", log="{amount}")
    del sys.modules["shop_registry"]
    bench.store.look()
    again = importlib.import_module("shop_registry")
    assert again is not shop
    again.charge(1)
    assert bench.messages == ["1"]


def test_a_probe_of_the_same_id_replaces_the_first(bench, shop) -> None:
    bench.add("shop_registry:charge", log="first")
    bench.add("shop_registry:refund", log="second")
    shop.charge(1)
    shop.refund(1)
    assert bench.messages == ["second"]


def test_removal_restores_the_code_and_reports_what_was_counted(bench, shop) -> None:
    code = shop.charge.__code__
    bench.add("shop_registry:charge", count=True)
    shop.charge(1)
    bench.probes.remove(["p", "unknown"])
    assert shop.charge.__code__ is code
    assert [r["rows"][0]["count"] for r in bench.records] == [1]
    assert bench.probes.statuses() == []


def test_globs_and_exclusions_choose_sites(bench, shop) -> None:
    bench.add(["shop_registry:*", "!shop_registry:Cart.*"], log="{target}")
    shop.charge(1)
    shop.refund(1)
    shop.Cart().add(1)
    assert bench.messages == ["shop_registry:charge", "shop_registry:refund"]
    assert bench.status().site_count == 2


def test_a_requirement_that_is_not_met_is_a_status(bench) -> None:
    pytest_version = metadata.version("pytest")
    bench.add("pytest:raises", log="x", requires="pytest<1")
    assert bench.state == "failed"
    assert bench.reason == f"requires pytest<1, but {pytest_version} is installed"
    bench.add("pytest:raises", log="x", requires="other>=1")
    assert "belongs to pytest" in bench.reason
    bench.add("json:dumps", log="x", requires="pytest")
    assert "no distribution is known" in bench.reason
    bench.add("pytest:raises", log="x", requires="PyTest>=1")
    assert bench.state == "installed"
    bench.probes.remove(["p"])


def test_a_probe_with_a_requirement_is_placed_by_the_next_round(bench, write) -> None:
    write("shop_required", TEXT)
    bench.add("shop_required:charge", log="x", requires="shop")
    bench.add("shop_required:charge", id="over", log="x", requires="shop")
    bench.probes._active["over"].firings.limiter.close("over")
    bench.probes.tick()
    module = importlib.import_module("shop_required")
    code = module.charge.__code__
    assert bench.wakes
    assert bench.state == "waiting"
    bench.probes.tick()
    assert "no distribution is known" in bench.reason
    assert bench.status("over").state.value == "expired"
    assert module.charge.__code__ is code


@pytest.mark.parametrize(
    ("scope", "state"),
    [
        ({"app": "shop", "env": "prod"}, "installed"),
        ({"app": "other"}, "failed"),
        ({"version": ">=5"}, "failed"),
        ({"host": "web-*"}, "installed"),
        ({"host": "db-*"}, "failed"),
    ],
)
def test_the_agent_checks_the_scope_itself(
    bench, shop, scope: dict[str, str], state: str
) -> None:
    bench.add("shop_registry:charge", log="x", scope=scope)
    assert bench.state == state, bench.reason


def test_a_probe_that_is_not_enabled_says_so(bench, shop) -> None:
    bench.add("shop_registry:charge", log="x", enabled=False)
    assert (bench.state, bench.reason) == ("failed", "switched off by enabled = false")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("builtins:type", "ask it for the type of every object"),
        ("builtins:locals", "reads the frame of its caller"),
    ],
)
def test_what_no_mechanism_diverts_says_why(
    bench, shop, target: str, words: str
) -> None:
    bench.add(target, log="x")
    assert bench.state == "failed"
    assert words in bench.reason


def test_hits_end_a_probe_and_give_the_code_back(bench, shop) -> None:
    code = shop.charge.__code__
    bench.add("shop_registry:charge", log="x", limit={"hits": 2})
    for _ in range(4):
        shop.charge(1)
    assert len(bench.records) == 2
    bench.probes.tick()
    assert shop.charge.__code__ is code
    assert bench.state == "expired"
    assert bench.reason == "switched off: all its hits are used"


def test_hits_end_a_count_too(bench, shop) -> None:
    code = shop.charge.__code__
    bench.add("shop_registry:charge", count=True, limit={"hits": 2})
    for _ in range(4):
        shop.charge(1)
    bench.probes.tick()
    assert bench.state == "expired"
    assert shop.charge.__code__ is code


def test_expiry_ends_a_probe_even_without_calls(bench, shop, clock) -> None:
    code = shop.charge.__code__
    bench.add("shop_registry:charge", count=True, limit={"expires": "10s"})
    shop.charge(1)
    clock.now += 11 * SECOND
    bench.probes.tick()
    bench.probes.tick()
    assert bench.state == "expired"
    assert bench.reason == "switched off: its time is over"
    assert shop.charge.__code__ is code
    assert [r["rows"][0]["count"] for r in bench.records] == [1]


def test_a_probe_that_is_over_stays_so_when_a_module_comes(bench, shop, clock) -> None:
    bench.add("shop_registry:charge", log="x", limit={"expires": "10s"})
    clock.now += 11 * SECOND
    bench.probes.tick()
    importlib.reload(shop)
    shop.charge(1)
    assert bench.state == "expired"
    assert bench.records == []


def test_a_rate_that_is_reached_shows_as_limited(bench, shop) -> None:
    bench.add("shop_registry:charge", log="x", limit={"rate": "2/s"})
    for _ in range(5):
        shop.charge(1)
    status = bench.status()
    assert status.state.value == "limited"
    assert (status.firings, status.suppressed, len(bench.records)) == (5, 3, 2)


def test_a_count_is_reported_each_interval(bench, shop, clock) -> None:
    bench.add("shop_registry:charge", count={"every": "10s"})
    shop.charge(1)
    clock.now += 9 * SECOND
    bench.probes.tick()
    assert bench.records == []
    clock.now += 2 * SECOND
    bench.probes.tick()
    (record,) = bench.records
    assert record["end"] - record["start"] == 11 * SECOND


def test_one_probe_that_fails_to_place_leaves_nothing_half_done(bench, shop) -> None:
    add, charge = shop.Cart.add.__code__, shop.charge.__code__
    bench.add("shop_registry:*", log="{amount}")
    assert bench.state == "partly"
    assert "'amount' is unknown at shop_registry:Cart.add" in bench.reason
    assert shop.Cart.add.__code__ is add
    assert shop.charge.__code__ is not charge


def test_two_probes_and_a_local_hook_share_one_function(bench, shop) -> None:
    code = shop.charge.__code__
    seen: list[object] = []
    bench.add("shop_registry:charge", id="a", log="a")
    handle = Handle(
        "shop_registry:charge",
        {"pre": lambda amount: seen.append(amount)},
        bench.probes,
    )
    bench.add("shop_registry:charge", id="b", log="b")
    shop.charge(1)
    assert (bench.messages, seen) == (["a", "b"], [1])
    bench.probes.remove(["a"])
    shop.charge(2)
    handle.remove()
    shop.charge(3)
    assert (bench.messages, seen) == (["a", "b", "b", "b"], [1, 2])
    bench.probes.remove(["b"])
    assert shop.charge.__code__ is code


def test_a_local_hook_waits_for_its_module(bench, write) -> None:
    write("shop_later", TEXT)
    seen: list[object] = []
    handle = Handle(
        "shop_later:charge", {"pre": lambda amount: seen.append(amount)}, bench.probes
    )
    assert handle.state == "waiting"
    assert "not imported" in handle.reason
    assert handle.sites == []
    importlib.import_module("shop_later").charge(3)
    assert seen == [3]
    assert handle.state == "installed"
    assert handle.sites == ["shop_later:charge"]
    assert "installed" in repr(handle)
    with handle:
        pass
    assert handle.state == "removed"
    handle.remove()


def test_a_local_hook_that_does_not_fit_what_comes_says_so(bench, write) -> None:
    write("shop_misfit", TEXT)
    handle = Handle("shop_misfit:charge", {"pre": lambda amuont: None}, bench.probes)
    module = importlib.import_module("shop_misfit")
    assert handle.state == "failed"
    assert "did you mean 'amount'" in handle.reason
    assert module.charge(1) == 1
    handle.remove()


def test_a_text_that_is_no_target_is_refused(bench) -> None:
    with pytest.raises(TargetError):
        Handle("no target", {"pre": lambda: None}, bench.probes)
    with pytest.raises(HookError, match="has no pre, post or fail"):
        Handle("json:dumps", {"pre": None}, bench.probes)


def test_an_alias_is_found_where_it_lives(bench) -> None:
    bench.add("os.path:join", log="{a}")
    assert bench.state == "installed"
    assert bench.status().sites[0].site == "posixpath:join"
    bench.probes.remove(["p"])


def test_a_status_shows_where_how_and_why(bench, shop) -> None:
    bench.add("shop_registry:charge", log="x")
    (site,) = bench.status().sites
    assert site.site == "shop_registry:charge"
    assert (site.kind, site.mechanism, site.line) == ("function", "code swap", 2)
    assert site.file.endswith("shop_registry.py")
    assert "every reference is reached" in site.why


def test_a_nested_function_is_probed_wherever_it_is_kept(bench, load) -> None:
    module = load(
        "shop_nested",
        """
        def make():
            def inner(value):
                return value
            return inner
        kept = make()
        """,
    )
    bench.add("shop_nested:make.<locals>.inner", log="{value}")
    assert bench.state == "installed"
    (site,) = bench.status().sites
    assert (site.kind, site.mechanism) == ("nested function", "code swap of closures")
    module.kept(1)
    module.make()(2)
    assert bench.messages == ["1", "2"]
