"""`remora protect` against a fake server: what is shown, sent and refused."""

from __future__ import annotations

import pytest

APP = {
    "app": "shop",
    "instances": 3,
    "guarded": 2,
    "unprotected": 1,
    "complaints": ["unprotected: no request was seen"],
    "packs": [
        {
            "pack": "sql",
            "detector": "sql",
            "modes": {"block": 2},
            "guarded": ["sqlite3"],
            "waiting": ["asyncpg"],
            "flaws": [{"probe": "psycopg", "reason": "too old", "instances": 2}],
            "checks": 70,
            "not_made": {"the check failed": 2},
        },
        {
            "pack": "others",
            "detector": "path",
            "modes": {"watch": 1, "off": 1},
            "guarded": [],
            "waiting": [],
            "flaws": [],
            "checks": 0,
        },
        {
            "pack": "url",
            "detector": "url",
            "modes": {"off": 2},
            "guarded": ["connect"],
            "waiting": [],
            "flaws": [],
            "checks": 0,
        },
    ],
}
RULE = {
    "id": "0a1b",
    "mode": "watch",
    "app": "shop",
    "detector": "sql",
    "route": "/console/*",
    "reason": "operators write SQL",
    "created_by": "ann",
    "created": 1,
    "expires_at": 1_700_000_000_000_000_000,
    "decided": 4,
    "instances": 3,
    "unreported": 1,
    "refusals": [{"reason": "it lowers sql", "instances": 2}],
}


def test_protection_is_shown_by_app_with_what_is_wrong(operator, server):
    server.answers["GET protection"] = {"apps": [APP]}
    server.answers["GET rules"] = {"rules": [RULE, RULE | {"app": "blog", "id": "b"}]}
    ran = operator("protect", "--app", "shop")
    assert ran.status == 0
    assert ran.lines[0] == "shop: 2 of 3 instances are guarded"
    assert "no request was seen" in ran.lines[1]
    assert ran.lines[2].split()[:4] == ["sql", "block", "at", "sqlite3"]
    assert "not imported: asyncpg" in ran.lines[2]
    assert ran.lines[3].strip() == "2 checks not made: the check failed"
    assert ran.lines[4].strip() == "psycopg in 2: too old"
    assert "others (path)" in ran.lines[5]
    assert "watch in 1  off in 1  at nothing" in ran.lines[5]
    assert "url  off but for rules  at connect" in ran.lines[6]
    text = "\n".join(ran.lines[6:])
    assert "detector sql, route /console/*" in text
    assert "0a1b does not hold in 2 instances: it lowers sql" in text
    assert "0a1b is not known to 1 instances so far" in text
    assert "blog" not in text


def test_before_the_first_instance_it_says_what_to_do(operator, server):
    server.answers["GET protection"] = {"apps": []}
    server.answers["GET rules"] = {"rules": []}
    assert "--protect watch" in operator("protect").lines[0]


def test_a_mode_is_set_for_a_route(operator, server):
    server.answers["POST rules"] = RULE
    ran = operator(
        *["protect", "set", "--app", "shop", "--detector", "sql", "--mode", "watch"],
        *["--route", "/console/*", "--reason", "operators write SQL"],
    )
    assert ran.lines[0].startswith(
        "rule 0a1b: watch for detector sql, route /console/* in shop until 2023-11-14"
    )
    sent = {"app": "shop", "detector": "sql", "mode": "watch", "route": "/console/*"}
    sent["reason"] = "operators write SQL"
    assert server.asked == [("POST", "/api/v1/rules", sent)]


def test_an_exception_has_an_end_unless_somebody_says_never(operator, server):
    server.answers["POST rules"] = RULE | {"expires_at": 0, "app": ""}
    ran = operator("protect", "except", "a1", "--reason", "a false alarm")
    assert "in every app until it is removed" in ran.lines[0]
    sent = {"vulnerability": "a1", "mode": "watch", "reason": "a false alarm"}
    assert server.asked == [("POST", "/api/v1/rules", sent | {"expires": "30d"})]
    words = ["--parameter", "query:q", "--expires", "never", "--reason", "x"]
    operator("protect", "--app", "shop", "except", *words)
    _, _, sent = server.asked[-1]
    assert sent == {
        "app": "shop",
        "parameter": "query:q",
        "mode": "watch",
        "reason": "x",
        "expires": "never",
    }


def test_an_exception_from_nothing_is_refused_before_anything_is_sent(operator, server):
    ran = operator("protect", "except", "--reason", "x", "--detector", "sql")
    assert ran.status != 0
    assert "exception from what" in ran.err
    assert server.asked == []


@pytest.mark.parametrize("words", [["set", "--mode", "watch"], ["except", "a1"]])
def test_nothing_is_changed_without_a_reason(operator, server, words):
    assert operator("protect", *words).status != 0
    assert server.asked == []


def test_a_rule_is_taken_out(operator, server):
    server.answers["DELETE rules/0a1b"] = {}
    assert operator("protect", "remove", "0a1b").lines == ["removed rule 0a1b"]


def test_ps_says_how_each_instance_is_protected(operator, server):
    pack = {"pack": "sql", "mode": "block", "places": 6, "flaws": []}
    flaw = {"probe": "psycopg", "state": "failed", "reason": "too old"}
    protection = {"complaint": "", "packs": [pack | {"flaws": [flaw]}]}
    first = server.instances[0]
    server.instances = [
        first | {"protection": protection},
        first | {"protection": protection | {"complaint": "unprotected: x"}},
        first | {"protection": None},
    ]
    lines = operator("ps").lines
    assert "block 6" in lines[1]
    assert "unprotected" in lines[2]
    assert "block" not in lines[3]
    assert any("sql psycopg failed: too old" in line for line in lines[4:])
