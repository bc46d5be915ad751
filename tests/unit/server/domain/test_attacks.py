"""Attacks as agents tell of them: nothing in one gets past its bounds."""

import ipaddress

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from remora.errors import WireError
from remora.server.domain import (
    Block,
    BlockIndex,
    blocked_in,
    meant_actor,
    parse_batch,
    read_actor,
)

ID = f"{1:032x}"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=3000)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(0, 1) | TEXT,
    lambda inside: (
        st.lists(inside, max_size=4)
        | st.dictionaries(st.text("abc$", max_size=3), inside, max_size=4)
    ),
    max_leaves=12,
)
FRAME = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("file", "line", "function", "source", "before"), JSON)
    | {"own": st.booleans()},
)
KEYS = (
    *("sentence", "source", "parameter", "value", "value_marked", "statement"),
    *("statement_marked", "before", "after", "actor", "not_made", "thread", "more"),
)
RECORD = st.fixed_dictionaries(
    {
        "kind": st.just("attack"),
        "time": st.integers(0, 2**63 - 1),
        "detector": st.just("sql"),
        "mode": st.sampled_from(["watch", "block"]),
        "blocked": st.booleans(),
    },
    optional=dict.fromkeys(KEYS, JSON)
    | {
        "request": st.none()
        | st.dictionaries(st.sampled_from(["id", "path", "route"]), JSON),
        "user": st.none() | st.dictionaries(st.sampled_from(["id", "plan"]), JSON),
        "stack": JSON | st.lists(FRAME, max_size=40),
    },
)


def parsed(record):
    return parse_batch(ID, ID, [record], {}, app="shop").attacks[0]


@given(RECORD)
def test_whatever_an_agent_says_is_read_and_bounded(record):
    _, stored, attack = parsed(record)
    body = msgspec.json.decode(stored.body)
    assert len(stored.body) < 2**19
    assert len(body["stack"]) <= 32
    for key in ("value", "statement"):
        start, end = body.get(f"{key}_marked", [0, len(body[key])])
        assert 0 <= start <= end <= len(body[key]) <= 8000
    assert attack.actor == "unknown" or attack.actor.startswith(("user:", "address:"))
    assert len(attack.vulnerability("shop")) == 16
    # What was stored says the same when it is read again.
    assert parsed(body)[2] == attack


@given(JSON, st.sampled_from(["detector", "mode", "blocked"]))
@example([], "mode")
def test_a_record_without_its_essentials_is_refused(value, key):
    whole = {"detector": "sql", "mode": "watch", "blocked": False}
    assume(not isinstance(value, bool | str))
    with pytest.raises(WireError, match=key):
        parsed({"kind": "attack", "time": 1, **whole, key: value})


@pytest.mark.parametrize(
    ("actor", "kept"),
    [
        ("user:a:b", "user:a:b"),
        ("user:", "unknown"),
        ("address:192.0.2.7", "address:192.0.2.7"),
        ("address:::ffff:192.0.2.7", "address:192.0.2.7"),
        ("address:2001:DB8::1", "address:2001:db8::1"),
        ("address:192.0.2.7:80", "unknown"),
        ("network:10.0.0.0/8", "unknown"),
        (None, "unknown"),
    ],
)
def test_an_actor_has_one_of_three_forms(actor, kept):
    record = {"kind": "attack", "time": 1, "detector": "sql", "mode": "watch"}
    assert parsed(record | {"blocked": False, "actor": actor})[2].actor == kept


@pytest.mark.parametrize(
    ("text", "actor"),
    [
        ("user:alice", "user:alice"),
        ("192.0.2.7", "address:192.0.2.7"),
        ("192.0.2.7/32", "address:192.0.2.7"),
        ("address:2001:db8::1", "address:2001:db8::1"),
        ("2001:db8::5/64", "network:2001:db8::/64"),
        ("network:10.1.2.3/8", "network:10.0.0.0/8"),
    ],
)
def test_what_a_person_writes_means_one_actor(text, actor):
    assert read_actor(text) == meant_actor(text) == actor


def test_who_looks_for_nobody_in_particular_finds_what_was_asked_for():
    assert meant_actor("unknown") == "unknown"
    assert meant_actor("") == ""


def a_block(actor, app=""):
    return Block(app, actor, "", 1, "ann")


@given(
    st.lists(st.tuples(st.ip_addresses(v=4), st.integers(8, 31)), max_size=10),
    st.ip_addresses(v=4),
)
def test_a_network_blocks_the_addresses_in_it_and_no_other(networks, address):
    made = [ipaddress.ip_network(each, strict=False) for each in networks]
    index = BlockIndex(a_block(f"network:{each}") for each in made)
    found = index.find("shop", f"address:{address}")
    assert (found is not None) == any(address in each for each in made)


def test_a_block_of_one_app_concerns_no_other():
    blocks = [a_block("user:a", "shop"), a_block("address:192.0.2.7")]
    index = BlockIndex(blocks)
    assert index.find("shop", "user:a") == blocks[0]
    assert index.find("blog", "user:a") is None
    assert index.find("blog", "address:192.0.2.7") == blocks[1]
    assert index.find("blog", "address:2001:db8::1") is None
    assert blocked_in("shop", blocks).actors == ("address:192.0.2.7", "user:a")
    assert blocked_in("blog", blocks).actors == ("address:192.0.2.7",)
    assert blocked_in("shop", []).name == ""
