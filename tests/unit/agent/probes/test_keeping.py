"""Signed protection against pushes that are not: what stays, what may go, and why."""

from __future__ import annotations

import itertools
import sys
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from remora import Blocked
from remora.agent.control import plan
from remora.agent.diagnostics import Diagnostics
from remora.agent.probes.keeping import Keeping
from remora.agent.probes.trust import Trust
from remora.agent.request import RequestContext, protection, serve_request
from remora.agent.runtime import originals
from remora.cli.signing import public_text, sign_all, sign_one_policy
from remora.protocol import parse_probe
from remora.protocol.policy import GRANTS, parse_policy
from remora.values import replace

KEY = Ed25519PrivateKey.generate()
NOT_SIGNED = "the push that replaces it is not signed"
TEXT = "def execute(statement):\n    return statement\n"
LEVELS = {"off": 0, "watch": 1, "block": 2}


def sink(mode: str = "block", **changes):
    protect = {"detector": "sql", "argument": "statement", "mode": mode}
    table = {"id": "p", "target": "shop_kept:execute", "protect": protect}
    return parse_probe(table | changes)


def signed(probe, key=KEY, valid_s=60.0):
    time.sleep(0.000_002)  # numbers are microseconds
    return sign_all([probe], key, valid_s)[0]


class App:
    """A process that obeys pushes as the agent does."""

    def __init__(self, bench) -> None:
        self.bench = bench
        self.allowed = "act"
        self.records: list[dict] = []
        self.trust = Trust([public_text(KEY)], self.put, Diagnostics("off"))
        self.keeping = Keeping(self.trust, self.allowed)

    def let(self, *unsigned, valid_s=60.0, target="shop_kept:*") -> None:
        time.sleep(0.000_002)  # numbers are microseconds
        table = {"unsigned": [*unsigned], "target": target}
        policy = sign_one_policy(parse_policy(table), KEY, valid_s)
        assert self.trust.accept_policy(policy.to_json(), self.bench.instance)

    def put(self, record, size, important) -> bool:
        self.records.append(record[0](*record[1:]))
        return important

    def push(self, *wanted) -> None:
        probes, instance = self.bench.probes, self.bench.instance
        choice = self.keeping.choose(probes.in_force(), wanted, instance)
        changes = plan(probes.installed(), choice.wanted)
        probes.remove(changes.remove)
        asked = (*changes.replace, *changes.add)
        refused = self.trust.refuse_all(asked, instance)
        terms = self.trust.terms(asked, self.keeping.words)
        probes.add(asked, self.allowed, refused, terms)
        probes.keep(choice.kept)

    @property
    def mode(self) -> str:
        probe = self.bench.probes.in_force().get("p")
        return "off" if probe is None or probe.protect is None else probe.protect.mode

    @property
    def reason(self) -> str:
        return next((s.reason for s in self.bench.probes.statuses()), "")


@pytest.fixture
def app(bench, load) -> App:
    load("shop_kept", TEXT)
    return App(bench)


def test_a_push_without_it_leaves_it_and_is_recorded_once(app) -> None:
    block = signed(sink())
    app.push(block)
    assert app.records == []
    for _ in range(3):
        app.push()
    assert app.mode == "block"
    assert app.reason.endswith("; kept: the push that removes it is not signed")
    (record,) = app.records
    assert record["kind"] == "refusal"
    assert record["probe"] == "p"
    assert record["message"] == "kept: the push that removes it is not signed"
    app.push(block)
    assert "kept" not in app.reason
    app.push()
    assert len(app.records) == 2


@pytest.mark.parametrize(
    "successor",
    [
        sink("off"),
        sink("watch"),
        sink("block", when="1 == 2"),
        sink("block", target="shop_kept:other"),
        sink("block", enabled=False),
        sink("block", scope={"app": "till"}),
        parse_probe({"id": "p", "target": "shop_kept:execute", "log": "x"}),
    ],
)
def test_what_is_not_signed_does_not_replace_it(app, successor) -> None:
    block = signed(sink())
    app.push(block)
    app.push(successor)
    assert app.bench.probes.installed() == {"p": block}
    assert app.reason.endswith(f"; kept: {NOT_SIGNED}")
    assert app.records[-1]["message"] == f"kept: {NOT_SIGNED}"


def test_a_successor_whose_signature_is_no_good_does_not_replace_it(app) -> None:
    earlier = signed(sink("off"))
    block = signed(sink())
    app.push(block)
    off = sink("off")
    elsewhere = signed(sink("off", scope={"app": "till"}))
    for successor, words in (
        (earlier, "an earlier version"),
        (signed(off, Ed25519PrivateKey.generate()), "not in this app's"),
        (signed(off, valid_s=0.0), "has expired"),
        (elsewhere, "signed for others"),
        (replace(sink("off"), signature=block.signature), "altered"),
    ):
        app.push(successor)
        assert app.mode == "block"
        assert "; kept: the push that replaces it is not to be trusted: " in app.reason
        assert words in app.reason


@pytest.mark.parametrize("mode", ["off", "watch"])
def test_who_signed_it_may_lower_it_and_nobody_brings_it_back(app, mode: str) -> None:
    block = signed(sink())
    app.push(block)
    lower = signed(sink(mode))
    app.push(lower)
    assert app.mode == mode
    assert app.records == []
    app.push(block)
    assert app.mode == ("watch" if mode == "watch" else "off")
    assert "an earlier version" in app.records[-1]["message"]


def test_what_was_taken_away_by_a_signature_does_not_come_back_by_a_detour(app) -> None:
    block = signed(sink())
    app.push(block)
    app.push(signed(sink("off")))
    app.push()
    assert app.reason == ""
    app.push(block)
    assert "an earlier version" in app.reason
    assert app.mode == "off"


def test_a_signed_removal_counts_in_a_process_that_never_had_the_probe(app) -> None:
    block = signed(sink())
    app.push(signed(sink("off")))
    app.push(block)
    assert "an earlier version" in app.reason


def test_what_a_key_vouched_for_in_mode_watch_stays_as_well(app) -> None:
    app.push(signed(sink("watch")))
    app.push()
    assert app.mode == "watch"
    app.push(sink("off"))
    assert app.mode == "watch"
    # nobody vouches for this one
    app.push(signed(sink("block")))
    assert app.mode == "block"


def test_an_unsigned_one_in_mode_watch_goes_with_its_push(app) -> None:
    app.push(sink("watch"))
    app.push(sink("off"))
    assert app.mode == "off"
    forged = replace(sink("watch"), signature=signed(sink()).signature)
    app.push(forged)
    assert app.mode == "watch"
    app.push()
    assert app.bench.probes.installed() == {}


def test_a_signature_of_something_else_vouches_for_nothing(app) -> None:
    look = signed(parse_probe({"id": "p", "target": "shop_kept:execute", "log": "x"}))
    app.push(look)
    app.push(replace(sink("watch"), signature=look.signature))
    assert app.mode == "watch"
    app.push()
    assert app.bench.probes.installed() == {}


def test_an_end_that_the_server_sets_changes_nothing_of_that(app) -> None:
    block = signed(sink())
    app.push(block)
    app.push(replace(block, expires_at=originals.time_ns() + 10**9))
    assert app.records == []
    app.push()
    assert app.mode == "block"


def test_what_was_never_in_force_is_not_kept(app) -> None:
    app.push(signed(sink(), Ed25519PrivateKey.generate()))
    assert "not in this app's" in app.reason
    app.push()
    assert app.bench.probes.installed() == {}


def test_with_the_end_of_its_signature_it_goes(app, monkeypatch) -> None:
    block = signed(sink())
    app.push(block)
    before = originals.time_ns()
    later = before + 61 * 10**9
    assert app.trust.ends_between(before, later)
    app.push()
    assert app.mode == "block"
    monkeypatch.setattr(originals, "time_ns", lambda: later)
    app.push()
    assert app.bench.probes.installed() == {}


def test_an_override_goes_with_its_push_as_it_always_did(app) -> None:
    table = {"id": "p", "target": "shop_kept:execute", "override": {"return": "0"}}
    app.push(signed(parse_probe(table)))
    assert app.bench.probes.in_force()
    app.push()
    assert app.bench.probes.installed() == {}


def test_a_policy_does_not_let_a_server_replace_it(app) -> None:
    app.let(*GRANTS, target="**:*")
    app.push(signed(sink()))
    app.push(sink("block", when="1 == 2"))
    assert app.reason.endswith(NOT_SIGNED)


def test_a_policy_lets_a_server_block_where_the_signed_word_watches(app) -> None:
    watch = signed(sink("watch"))
    app.push(watch)
    app.let("raise")
    app.push(sink("block"))
    assert app.mode == "watch"
    assert "the policy grants raise and not block" in app.reason
    app.let("block")
    app.push(sink("block"))
    assert app.mode == "block"
    assert protection.blocks
    assert "kept" not in app.reason


@pytest.mark.parametrize(
    "successor",
    [None, sink("watch"), sink("off"), sink("block", when="1 == 2"),
     sink("block", scope={"app": "till"}), sink("block", target="shop_kept:other")],
)  # fmt: skip
def test_what_was_raised_goes_back_to_the_signed_word_and_no_lower(
    app, successor
) -> None:
    watch = signed(sink("watch"))
    app.push(watch)
    app.let("block")
    app.push(sink("block"))
    app.push(*([] if successor is None else [successor]))
    assert app.bench.probes.in_force() == {"p": watch}
    assert app.reason.startswith("installed at 1 place; kept: the push that re")
    app.push(sink("block"))
    assert app.mode == "block"


def test_what_was_raised_goes_back_when_the_policy_ends(app, monkeypatch) -> None:
    watch = signed(sink("watch"), valid_s=600.0)
    app.push(watch)
    app.let("block", valid_s=60.0)
    app.push(sink("block"))
    later = originals.time_ns() + 61 * 10**9
    monkeypatch.setattr(originals, "time_ns", lambda: later)
    app.bench.probes.tick()
    app.push(sink("block"))
    assert app.bench.probes.in_force() == {"p": watch}
    assert "the policy has expired" in app.reason


def test_nothing_is_raised_against_the_ceiling_and_nothing_lowered_by_it(app) -> None:
    app.allowed = "observe"
    app.keeping = Keeping(app.trust, app.allowed)
    app.push(signed(sink("watch")))
    app.let("block")
    app.push(sink("block"))
    assert app.mode == "watch"
    assert app.bench.state == "installed"
    assert "REMORA_ALLOW is 'observe'" in app.reason


def test_where_the_policy_does_not_reach_the_signed_word_goes_on(app, load) -> None:
    execute = sys.modules["shop_kept"].execute
    refund = load("shop_refund", TEXT).execute
    both = ["shop_kept:execute", "shop_refund:execute"]
    app.push(signed(sink("watch", target=both)))
    app.let("block", target="shop_kept:*")
    app.push(sink("block", target=both))
    assert app.bench.status().site_count == 2
    request = RequestContext()
    request.source = {"QUERY_STRING": "q=' OR 1=1 --"}
    serve_request(request)
    try:
        # made here, as an app makes it: a constant of the code would pass
        statement = "SELECT 1 WHERE name = '{}'".format(*["' OR 1=1 --"])
        assert refund(statement) == statement
        with pytest.raises(Blocked):
            execute(statement)
    finally:
        serve_request(None)
    told = [(r["site"], r["mode"]) for r in app.bench.records]
    assert told == [("shop_refund:execute", "watch"), ("shop_kept:execute", "block")]


def test_no_order_of_pushes_lowers_it_below_the_last_signed_word(app) -> None:
    """Every sequence of three pushes a server may make of what it has seen so far."""
    words = [signed(sink()), signed(sink("watch")), signed(sink("block"))]
    seen = [*words, None, sink("watch"), sink("off"), sink("block")]
    for pushes in itertools.product(seen, repeat=3):
        app.bench.probes.clear()
        app.trust = Trust([public_text(KEY)], app.put, Diagnostics("off"))
        app.keeping = Keeping(app.trust, "act")
        app.let("block")
        last = -1
        for each in pushes:
            app.push(*([] if each is None else [each]))
            if each in words:
                last = max(last, words.index(each))
            if last >= 0:
                vouched = words[last].protect
                assert LEVELS[app.mode] >= LEVELS[vouched.mode], pushes
