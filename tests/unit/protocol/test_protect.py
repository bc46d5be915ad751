"""The key `protect`: what it says, what it refuses, and what goes with it."""

from __future__ import annotations

import pytest

from remora.agent.probes.permission import refuse_acting
from remora.errors import ProbeError, RemoraError
from remora.protocol import parse_probe
from remora.protocol.protect import read_modes
from remora.server.domain import begin_life

SQL = {"detector": "sql", "argument": "sql"}


def probe(**keys):
    return parse_probe({"id": "p", "target": "m:f", **keys})


@pytest.mark.parametrize(
    "table",
    [
        SQL,
        {**SQL, "argument": [0, "sql", "query.text"], "dialect": "mysql"},
        {**SQL, "mode": "block"},
        {"detector": "url", "argument": 0, "allowed": ["a.b", "*.c", "10.0.0.0/8"]},
    ],
)
def test_it_comes_back_from_the_wire_and_from_its_source(table) -> None:
    made = probe(protect=table)
    assert parse_probe(made.to_json()) == made
    assert parse_probe(made.to_source()) == made


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"protect": {**SQL, "detector": "spell"}}, "detector = 'spell'"),
        ({"protect": {"detector": "sql"}}, "does not say what is judged"),
        ({"protect": {**SQL, "argument": [[0]]}}, "argument"),
        ({"protect": {**SQL, "argument": True}}, "argument"),
        ({"protect": {**SQL, "argument": 100}}, "no position"),
        ({"protect": {**SQL, "argument": "sql +"}}, "protect.argument"),
        ({"protect": {**SQL, "mode": "act"}}, "mode = 'act'"),
        ({"protect": {**SQL, "allowed": ["a"]}}, "belongs to url and host"),
        (
            {"protect": {"detector": "path", "argument": 0, "dialect": "mysql"}},
            "belongs to sql",
        ),
        (
            {"protect": {"detector": "url", "argument": 0, "allowed": ["9.9.9/99"]}},
            "no host",
        ),
        ({"protect": SQL, "log": "x"}, "stands alone"),
        ({"protect": SQL, "count": True}, "stands alone"),
        ({"protect": SQL, "limit": {"rate": "1/s"}}, "let attacks through"),
        ({"protect": SQL, "limit": {"hits": 1}}, "let attacks through"),
        ({"protect": SQL, "limit": {"expires": "1h"}}, "let attacks through"),
        ({"protect": SQL, "phase": "post"}, "too late"),
        ({"protect": {**SQL, "detector": "host"}, "phase": "fail"}, "too late"),
        ({"protect": SQL, "target": "m.py:3"}, "too late"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(keys, why) -> None:
    with pytest.raises(RemoraError, match=why):
        probe(**keys)


def test_blocking_acts_and_watching_does_not() -> None:
    blocks, watches = probe(protect={**SQL, "mode": "block"}), probe(protect=SQL)
    assert blocks.acts
    assert not watches.acts
    assert "REMORA_ALLOW" in refuse_acting(blocks, "observe")
    assert not refuse_acting(blocks, "protect")
    assert not refuse_acting(watches, "observe")


def test_a_server_neither_lets_it_expire_nor_holds_it_back_after_a_death() -> None:
    blocks = probe(protect={**SQL, "mode": "block"})
    assert begin_life(blocks, sequence=1, now=5, who="me").expires_at == 0
    assert not blocks.may_be_held
    assert probe(override={"return": "1"}).may_be_held


def test_modes_are_for_all_detectors_or_for_single_ones() -> None:
    assert set(read_modes("watch").values()) == {"watch"}
    assert read_modes("block, path=watch,url=off") == {
        "sql": "block",
        "shell": "block",
        "path": "watch",
        "url": "off",
    }
    assert read_modes("sql=block")["shell"] == "off"
    for text in ("", "on", "block,paths=off", "block,path", "block,watch"):
        with pytest.raises(ProbeError):
            read_modes(text)
