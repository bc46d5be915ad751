"""Every reason why a probe does not fire, as docs/reference/statuses.md lists them."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from remora.agent.probes.keeping import Keeping
from remora.agent.probes.trust import Trust
from remora.agent.runtime import originals
from remora.protocol import STATES, UNMET_LIMIT, State, parse_probe

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "statuses.md"

TEXT = """
    class Account:
        def __init__(self):
            self.name = "alice"

        @property
        def plan(self):
            raise AssertionError("code of the app ran")

    def charge(amount, account=None):
        return amount

    class Cart:
        def add(self, item):
            return item
"""

TOLD_BY_THE_AGENT = {
    "switched off by the file": "tests/faults/test_kill_switch.py",
    "choose another id": "tests/unit/agent/test_ids_that_meet.py",
    "needs a newer agent": "tests/unit/agent/control/test_link.py",
    "not installed again by itself": "tests/unit/server/api/test_server_api.py",
}
"""Reasons that arise outside the room of probes, and where they are tested."""


@pytest.fixture
def shop(load):
    return load("shop_why", TEXT)


@pytest.fixture
def clock(monkeypatch):
    """The wall clock of the agent, to be stepped."""
    clock = SimpleNamespace(now=originals.time_ns())
    monkeypatch.setattr(originals, "time_ns", lambda: clock.now)
    return clock


def add(bench, target="shop_why:charge", **keys):
    bench.add(target, **({"log": "x"} | keys))


def not_imported(bench, shop, clock):
    add(bench, "shop_that_is_not:charge")


def no_file(bench, shop, clock):
    add(bench, "shop_that_is_not.py:3")


def no_glob(bench, shop, clock):
    add(bench, "shop_that_is_not.**:*")


def wrong_name(bench, shop, clock):
    add(bench, "shop_why:chrage")


def another_app(bench, shop, clock):
    add(bench, scope={"app": "till"})


def another_version(bench, shop, clock):
    installed = metadata.version("pytest")
    add(bench, "pytest:fail", requires=f"pytest!={installed}")


def another_line(bench, shop, clock):
    file = Path(sys.modules["shop_why"].__file__)
    number = file.read_text().splitlines().index("    return amount") + 1
    add(bench, f"shop_why.py:{number}", expect="return amount + 1")


def unknown_name(bench, shop, clock):
    add(bench, when="amuont > 1")


def wrong_phase(bench, shop, clock):
    add(bench, log="{result}")


def some_places(bench, shop, clock):
    add(bench, "shop_why:*", when="amount > 1")


def no_mechanism(bench, shop, clock):
    add(bench, "builtins:locals")


def not_enabled(bench, shop, clock):
    add(bench, enabled=False)


def not_allowed(bench, shop, clock):
    table = {"id": "p", "target": "shop_why:charge", "override": {"return": "0"}}
    bench.probes.add([parse_probe(table)], "protect")


def not_signed(bench, shop, clock):
    table = {"id": "p", "target": "shop_why:charge", "override": {"return": "0"}}
    probe = parse_probe(table)
    said = SimpleNamespace(count=lambda _: None, say_once=lambda _: None)
    trust = Trust(["ed25519:x"], lambda *_: True, said)
    bench.probes.add([probe], "act", trust.refuse_all([probe], bench.instance))


def never_true(bench, shop, clock):
    add(bench, when="amount > 1000")
    for amount in range(42):
        shop.charge(amount)
    assert "in none of 42 calls" in bench.reason
    assert bench.status().unmet == 42
    assert bench.status().firings == 0


def not_read(bench, shop, clock):
    add(bench, when="account.plan == 'free' and account.name == 'bob'")
    shop.charge(1, shop.Account())
    assert bench.status().unread == (("account.plan", "property"),)
    assert "account.plan (reading it would run code of the app" in bench.reason


def over_its_rate(bench, shop, clock):
    add(bench, limit={"rate": "2/s", "time": "100%"})
    for _ in range(5):
        shop.charge(1)
    assert bench.reason.endswith("held back just now by its rate, 2/s")
    assert dict(bench.status().suppressed_by) == {"rate": 3}


def over_its_time(bench, shop, clock):
    add(bench, limit={"rate": "1000/s", "time": "0.000001%"})
    for _ in range(5):
        shop.charge(1)
    assert dict(bench.status().suppressed_by) == {"time": 4}
    assert bench.status().cpu_ns > 0


def hits_used(bench, shop, clock):
    add(bench, limit={"hits": 1})
    for _ in range(3):
        shop.charge(1)
    bench.probes.tick()
    assert dict(bench.status().suppressed_by) == {"ended": 2}


def time_over(bench, shop, clock):
    add(bench, limit={"expires": "1s"})
    clock.now += 2 * 10**9
    bench.probes.tick()


def failing(bench, shop, clock):
    def fail(record, size):
        raise MemoryError("no room")

    bench.probes.put = fail
    add(bench, limit={"rate": "1000/s"})
    for _ in range(3):
        shop.charge(1)
    bench.probes.tick()
    assert "(last: MemoryError: no room)" in bench.reason


def over_its_time_for_a_minute(bench, shop, clock):
    add(bench, limit={"rate": "1000/s", "time": "0.000001%"})
    for _ in range(6):
        for _ in range(5):
            shop.charge(1)
        clock.now += 10 * 10**9
        bench.probes.tick()
    assert "0.000001%, in 6 windows of 10 s on end: " in bench.reason


def without_a_signature(bench, shop, clock):
    table = {"id": "p", "target": "shop_why:charge"}
    sink = {"detector": "sql", "argument": "amount", "mode": "block"}
    probe = parse_probe(table | {"protect": sink})
    bench.probes.add([probe])
    trust = SimpleNamespace(vouches_for=lambda _: True, report=lambda *_: None)
    keeping = Keeping(trust, "act")
    in_force = bench.probes.in_force()
    bench.probes.keep(keeping.choose(in_force, [], bench.instance).kept)


SCENES = {
    "is not imported": not_imported,
    "no imported module has the file": no_file,
    "no module matching": no_glob,
    "did you mean": wrong_name,
    "scope app": another_app,
    "requires": another_version,
    "and not '": another_line,
    "is unknown at": unknown_name,
    "exists in phase": wrong_phase,
    "; not: ": some_places,
    "reads the frame of its caller": no_mechanism,
    "switched off by enabled = false": not_enabled,
    "REMORA_ALLOW is": not_allowed,
    "is not signed": not_signed,
    "its condition held in none of": never_true,
    "not read: ": not_read,
    "held back just now by its rate": over_its_rate,
    "held back just now by its share of time": over_its_time,
    "all its hits are used": hits_used,
    "its time is over": time_over,
    "over its share of time": over_its_time_for_a_minute,
    "failures in a row (last: ": failing,
    "kept: the push that removes it is not signed": without_a_signature,
}


def listed() -> dict[str, str]:
    """The first table of reasons: what it says, and in which state."""
    rows = re.findall(r"^\| `(.+?)` \| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("words", SCENES)
def test_the_status_alone_says_why(bench, shop, clock, words: str) -> None:
    SCENES[words](bench, shop, clock)
    assert bench.state == listed()[words]
    assert words in bench.reason, bench.reason


def test_the_page_lists_what_is_tested_and_nothing_else() -> None:
    assert listed().keys() == SCENES.keys() | TOLD_BY_THE_AGENT.keys()
    for words, file in TOLD_BY_THE_AGENT.items():
        assert words in (PAGE.parents[2] / file).read_text()


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ({"env": "dev"}, "scope env = 'dev', this is 'prod'"),
        ({"version": ">=5"}, "scope version = '>=5', this is '4.2'"),
        ({"host": "db-*"}, "scope host = 'db-*', this is 'web-1'"),
        ({"instance": "f*"}, "scope instance = 'f*', this is 'id'"),
        ({"share": "0.0001%"}, "outside the 0.0001% share"),
    ],
)
def test_a_scope_that_does_not_fit_names_the_key_and_both_values(
    bench, shop, scope, words: str
) -> None:
    add(bench, scope=scope)
    assert words in bench.reason


def test_a_firing_ends_the_talk_of_a_condition_that_never_held(bench, shop) -> None:
    add(bench, when="amount > 1")
    shop.charge(1)
    shop.charge(2)
    assert bench.reason == "installed at 1 place"
    assert (bench.status().unmet, bench.status().firings) == (1, 1)


def test_counting_in_vain_ends_and_says_so(bench, shop) -> None:
    add(bench, when="amount > 1")
    for _ in range(UNMET_LIMIT + 5):
        shop.charge(1)
    assert bench.status().unmet == UNMET_LIMIT
    assert f"in none of {UNMET_LIMIT} calls and more" in bench.reason


def test_a_test_for_missing_and_the_items_of_a_loop_are_not_called_unread(
    bench, shop
) -> None:
    when = "account is not missing and any(x.a == 1 for x in account.carts)"
    add(bench, when=when)
    shop.charge(1, shop.Account())
    assert bench.status().unread == (("account.carts", "absent"),)


def test_a_name_of_the_request_outside_any_is_unread(bench, shop) -> None:
    add(bench, when="request.path == '/pay'")
    shop.charge(1)
    assert [path for path, _ in bench.status().unread] == ["request.path"]


def test_looking_why_runs_nothing_of_the_app_and_raises_nothing(bench, shop) -> None:
    class Hostile:
        def __getattribute__(self, name):
            raise AssertionError("code of the app ran")

        __eq__ = __len__ = __getitem__ = __hash__ = None

    add(bench, when="account.plan['a'].b == 1")
    assert shop.charge(3, Hostile()) == 3
    assert bench.status().errors == 0
    assert bench.status().unmet == 1


def test_every_state_leads_only_to_states_there_are() -> None:
    words = {state.value for state in State}
    assert STATES.keys() == set(State)
    for state, meaning in STATES.items():
        assert set(meaning.leads_to) <= words
        assert ("removed" in meaning.leads_to) == (state is not State.REMOVED)
