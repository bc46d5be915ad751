"""The operator's policy as an agent sees it: what may be done unsigned, and where."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fuzzed import VALUES, always_the_same
from hypothesis import given
from hypothesis import strategies as st

from remora.agent.diagnostics import Diagnostics
from remora.agent.probes.trust import Trust
from remora.agent.request import protection
from remora.agent.runtime import originals
from remora.cli.signing import public_text, sign_all, sign_one_policy
from remora.errors import RemoraError
from remora.protocol import parse_probe
from remora.protocol.policy import GRANTS, parse_policy

KEY = Ed25519PrivateKey.generate()
TABLE = {"unsigned": ["raise"], "target": ["shop_policy:*", "!shop_policy:root"]}
TEXT = """
    import json
    import os
    from os import getcwd
    from posixpath import join

    def charge(amount):
        return amount

    def root(amount):
        return amount

    class Cart:
        total = root
        joined = join
        entries = getcwd

        def add(self, item):
            return item

    class Encoder(json.JSONEncoder):
        pass
"""


def signed(key=KEY, valid_s=3600.0, **changes):
    return sign_one_policy(parse_policy(TABLE | changes), key, valid_s).to_json()


class Court:
    """Trust and probes of one process, as the agent puts them together."""

    def __init__(self, bench) -> None:
        self.bench = bench
        self.records: list[dict] = []
        self.trust = Trust([public_text(KEY)], self.put, Diagnostics("off"))

    def put(self, record, size, important) -> bool:
        self.records.append(record[0](*record[1:]))
        return important

    def accept(self, policy) -> bool:
        return self.trust.accept_policy(policy, self.bench.instance)

    def add(self, target="shop_policy:charge", **override):
        return self.push({"id": "p", "target": target, "override": override})

    def push(self, table):
        probe = parse_probe(table)
        refused = self.trust.refuse_all([probe], self.bench.instance)
        self.bench.states.clear()
        self.bench.probes.add([probe], "act", refused, self.trust.terms([probe], {}))
        return self.bench.status()


@pytest.fixture
def court(bench) -> Court:
    return Court(bench)


@pytest.fixture
def shop(load):
    return load("shop_policy", TEXT)


def test_what_a_policy_grants_needs_no_signature(court, shop) -> None:
    assert "is not signed" in court.add(**{"raise": "OSError: no"}).reason
    assert court.accept(signed())
    assert court.add(**{"raise": "OSError: no"}).state.value == "installed"
    with pytest.raises(OSError, match="no"):
        shop.charge(1)


def test_what_it_does_not_grant_is_refused_and_recorded(court, shop) -> None:
    court.accept(signed())
    reason = court.add(**{"return": "0"}).reason
    assert "the policy grants raise and not return" in reason
    assert shop.charge(1) == 1
    assert court.records[-1]["kind"] == "refusal"
    assert "not return" in court.records[-1]["message"]


@pytest.mark.parametrize(
    "target",
    [
        "shop_policy:root",
        "os:getenv",
        "shop_policy:getcwd",
        "shop_policy:join",
        "shop_policy:os.getenv",
        "shop_policy:Cart.total",
        "shop_policy:Cart.joined",
        "shop_policy:Cart.entries",
        "shop_policy:Encoder.default",
    ],
)
def test_it_holds_at_its_targets_alone_and_no_alias_leads_out(
    court, shop, target: str
) -> None:
    court.accept(signed())
    status = court.add(target, **{"raise": "OSError: no"})
    assert status.state.value == "failed"
    assert "is not among the targets of the policy" in status.reason
    assert shop.root(1) == 1
    assert shop.getcwd()
    assert shop.join("a", "b") == "a/b"


def test_methods_of_its_modules_are_reached(court, shop) -> None:
    court.accept(signed())
    assert court.add("shop_policy:Cart.add", **{"raise": "OSError: no"}).sites
    with pytest.raises(OSError, match="no"):
        shop.Cart().add(1)


def test_of_a_glob_only_what_is_granted_is_reached(court, shop) -> None:
    court.accept(signed())
    status = court.add("shop_policy:*", **{"raise": "OSError: no"})
    assert status.state.value == "partly"
    assert shop.root(1) == 1
    with pytest.raises(OSError, match="no"):
        shop.charge(1)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (TABLE, "it is not signed"),
        (signed(Ed25519PrivateKey.generate()), "not in this app's REMORA_PUBLIC_KEY"),
        (signed(valid_s=0.0), "has expired"),
        (signed(scope={"app": "till"}), "it is signed for others: scope app"),
        (signed() | {"unsigned": ["return"]}, "altered"),
        (signed() | {"target": ["**:*"]}, "altered"),
        (signed() | {"scope": {"env": "prod"}}, "altered"),
        (signed() | {"unsigned": ["everything"]}, "policy.unsigned"),
        (signed() | {"more": 1}, "policy has no key 'more'"),
        ({"unsigned": []}, "policy has no target"),
        ([], "policy = [] is no table"),
        (7, "policy = 7 is no table"),
    ],
)
def test_a_policy_that_may_not_be_trusted_changes_nothing(
    court, shop, policy, words: str
) -> None:
    assert not court.accept(policy)
    assert not court.accept(policy)
    (record,) = court.records
    assert record["message"].startswith("a policy is refused: ")
    assert words in record["message"]
    assert court.add(**{"raise": "OSError: no"}).state.value == "failed"


def test_a_policy_that_is_huge_or_deep_is_one_short_sentence(court) -> None:
    deep: object = []
    for _ in range(50_000):
        deep = [deep]
    for policy in (deep, TABLE | {"unsigned": deep}, TABLE | {"target": "x" * 10**6}):
        assert not court.accept(policy)
    assert all(len(record["message"]) < 600 for record in court.records)
    # the interpreter takes apart what is nested so deeply one by one
    while deep:
        (deep,) = deep


@given(key=st.sampled_from([*signed(), "other"]), value=VALUES)
@always_the_same
def test_a_policy_with_a_field_out_of_shape_is_refused(court, key, value) -> None:
    policy = signed()
    changed = policy | {key: value}
    assert court.accept(changed) is (changed == policy)


@pytest.mark.parametrize("key", ["sequence", "expires_at"])
def test_number_and_end_of_a_policy_are_signed_too(court, key: str) -> None:
    policy = signed()
    policy["signature"][key] += 1
    assert not court.accept(policy)


def test_an_earlier_policy_is_refused_and_a_later_one_replaces(court) -> None:
    wide = signed(unsigned=list(GRANTS))
    time.sleep(0.000_002)  # numbers are microseconds
    narrow = signed(unsigned=[])
    assert court.accept(wide)
    assert not court.accept(wide)
    assert court.records == []
    assert court.accept(narrow)
    assert not court.accept(wide)
    assert "an earlier version" in court.records[-1]["message"]


def test_a_signature_of_a_policy_is_none_of_a_probe(court, shop) -> None:
    signature = signed()["signature"]
    table = {"id": "p", "target": "shop_policy:charge", "override": {"return": "0"}}
    probe = parse_probe(table | {"signature": signature})
    assert "altered" in court.trust.refusal(probe, court.bench.instance)


def test_a_signed_probe_stands_on_its_own_signature(court, shop) -> None:
    court.accept(signed(unsigned=[]))
    table = {"id": "p", "target": "shop_policy:root", "override": {"return": "0"}}
    probes = sign_all([parse_probe(table)], KEY, 60.0)
    assert court.trust.refuse_all(probes, court.bench.instance) == {}
    assert court.trust.terms(probes, {}) == {}


def test_what_stands_on_a_policy_ends_with_it(court, shop, monkeypatch) -> None:
    code = shop.charge.__code__
    court.accept(signed(valid_s=60.0))
    court.add(**{"raise": "OSError: no"})
    later = originals.time_ns() + 61 * 10**9
    monkeypatch.setattr(originals, "time_ns", lambda: later)
    court.bench.probes.tick()
    assert court.bench.state == "expired"
    assert shop.charge.__code__ is code
    assert "the policy has expired" in court.add(**{"raise": "OSError: no"}).reason


def test_watching_needs_no_grant(court, shop) -> None:
    court.accept(signed(unsigned=[]))
    table = {"return": "0", "mode": "watch"}
    probe = parse_probe({"id": "p", "target": "m:f", "override": table})
    sink = {"id": "q", "target": "m:f", "protect": {"detector": "sql", "argument": 0}}
    assert (
        court.trust.refuse_all([probe, parse_probe(sink)], court.bench.instance) == {}
    )
    policy = parse_policy(signed(unsigned=[]))
    assert policy.ungranted(probe) == ""
    assert policy.ungranted(replace(probe, override=None)) == ""


@pytest.mark.parametrize(
    ("keys", "deed"),
    [
        ({"override": {"return": "0"}}, "return"),
        ({"override": {"raise": "OSError: x"}}, "raise"),
        ({"override": {"arguments": {"a": "1"}}}, "arguments"),
        ({"span": {"propagate": "headers"}}, "propagate"),
        ({"protect": {"detector": "sql", "argument": 0, "mode": "block"}}, "block"),
        ({"request": {"kind": "custom", "path": "a"}}, "request"),
    ],
)
def test_every_deed_has_its_own_grant(keys, deed: str) -> None:
    probe = parse_probe({"id": "p", "target": "m:f", **keys})
    others = [each for each in GRANTS if each != deed]
    assert parse_policy(TABLE | {"unsigned": others}).ungranted(probe) == deed
    assert parse_policy(TABLE | {"unsigned": [deed]}).ungranted(probe) == ""


def test_what_acts_in_a_way_that_has_no_grant_is_not_granted() -> None:
    keys = dict.fromkeys(("override", "span", "protect", "request"))
    probe = SimpleNamespace(needs_trust=True, **keys)
    policy = parse_policy(TABLE | {"unsigned": list(GRANTS)})
    assert policy.ungranted(probe) == "what this probe does"


@pytest.mark.parametrize(
    "value", [{**TABLE, "unsigned": "raise"}, {**TABLE, "target": []}, None, "x"]
)
def test_a_policy_that_is_none_is_one_clear_error(value) -> None:
    with pytest.raises(RemoraError):
        parse_policy(value)


def blocking(target: str) -> dict:
    protect = {"detector": "shell", "argument": 0, "mode": "block"}
    return {"id": "p", "target": target, "protect": protect}


@pytest.mark.parametrize(
    ("granted", "target", "is_reached"),
    [
        ("posix:system", "os:system", True),
        ("posix:system", "shop_policy:system", True),
        ("os:system", "os:system", False),
        ("shop_policy:*", "shop_policy:system", False),
        ("shop_policy:*", "shop_policy:charge", True),
        ("sqlite3:Cursor.*", "sqlite3:Cursor.execute", True),
        ("sqlite3:Connection.*", "sqlite3:Cursor.execute", False),
    ],
)
def test_a_policy_may_let_a_server_block_also_in_code_of_c_by_its_own_name(
    court, load, granted: str, target: str, is_reached: bool
) -> None:
    load("shop_policy", TEXT + "\n    from os import system\n    import sqlite3\n")
    court.accept(signed(unsigned=["block"], target=granted))
    status = court.push(blocking(target))
    assert (status.state.value == "installed") is is_reached, status.reason
    if not is_reached:
        assert "is not among the targets of the policy" in status.reason


def test_what_blocks_by_a_policy_ends_with_it_and_requests_are_not_refused_any_more(
    court, shop, monkeypatch
) -> None:
    code = shop.charge.__code__
    court.accept(signed(unsigned=["block"], target="shop_policy:*", valid_s=60.0))
    assert court.push(blocking("shop_policy:charge")).state.value == "installed"
    assert protection.blocks
    later = originals.time_ns() + 61 * 10**9
    monkeypatch.setattr(originals, "time_ns", lambda: later)
    court.bench.probes.tick()
    assert court.bench.state == "expired"
    assert shop.charge.__code__ is code
    assert not protection.blocks


def test_a_request_of_the_server_s_making_needs_trust(court, shop) -> None:
    # a context without inputs around a sink would take its protection away
    table = {"id": "p", "target": "shop_policy:charge"}
    table["request"] = {"kind": "custom", "path": "'/'"}
    status = court.push(table)
    assert "opens request contexts and is not signed" in status.reason
    court.accept(signed(unsigned=["request"]))
    assert court.push(table).state.value == "installed"


def test_a_policy_of_block_lists_alone_needs_no_target(court) -> None:
    policy = sign_one_policy(parse_policy({"unsigned": ["refuse"]}), KEY, 60.0)
    assert court.trust.against("refuse").startswith("it has a REMORA_PUBLIC_KEY and no")
    assert court.accept(policy.to_json())
    assert court.trust.against("refuse") == ""
    for granted in (["raise"], [], ["refuse", "raise"]):
        with pytest.raises(RemoraError, match="policy has no target"):
            parse_policy({"unsigned": granted})


def test_block_lists_are_taken_as_long_as_a_policy_grants_them(
    court, monkeypatch
) -> None:
    court.accept(signed(unsigned=["raise"]))
    assert "grants raise and not refuse" in court.trust.against("refuse")
    before = originals.time_ns()
    court.accept(signed(unsigned=["refuse"], valid_s=60.0))
    assert court.trust.against("refuse") == ""
    later = before + 61 * 10**9
    assert not court.trust.ends_between(before, before + 10**9)
    assert court.trust.ends_between(before, later)
    monkeypatch.setattr(originals, "time_ns", lambda: later)
    assert "has expired" in court.trust.against("refuse")
