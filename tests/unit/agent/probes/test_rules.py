"""Rules at work: attacks that are excepted, raised or only counted."""

from __future__ import annotations

import pytest

import remora
from remora.agent.request import RequestContext, protection, serve_request
from remora.agent.request.rules import RuleBook
from remora.protocol.rules import parse_rule

ATTACK = "' OR 1=1 --"

TEXT = """
    ran = []

    def execute(query):
        ran.append(query)
        return query

    def deep(depth, call):
        return deep(depth - 1, call) if depth else call()
"""


@pytest.fixture
def driver(load):
    return load("ruled_driver", TEXT)


@pytest.fixture
def ruled(bench):
    """Lets rules hold at the bench; they are given as their keys."""

    def rule(*tables):
        rules = [
            parse_rule({"id": f"r{number}", "reason": "x", **table})
            for number, table in enumerate(tables, 1)
        ]
        bench.probes.obey(RuleBook([], rules) if rules else None)
        return protection.rules

    yield rule
    bench.probes.obey(None)


def guard(bench, mode):
    protect = {"detector": "sql", "argument": "query", "mode": mode}
    bench.add("ruled_driver:execute", protect=protect)
    assert bench.state == "installed", bench.reason


def attack(driver, path="/x", name="q"):
    """One request whose input breaks out of the statement; whether it was blocked."""
    request = RequestContext()
    request.method, request.path, request.client = "GET", path, "192.0.2.1"
    request.source = {"QUERY_STRING": f"{name}={ATTACK}"}
    serve_request(request)
    try:
        driver.execute(f"SELECT 2 WHERE name = '{ATTACK}'")
    except remora.Blocked:
        return True
    finally:
        serve_request(None)
    return False


def test_a_watching_app_blocks_where_a_rule_says_so(bench, driver, ruled):
    guard(bench, "watch")
    ruled({"mode": "block", "route": "/admin*"})
    assert protection.blocks
    assert attack(driver, "/admin/users")
    assert not attack(driver, "/public")
    modes = [(record["mode"], record["blocked"]) for record in bench.records]
    assert modes == [("block", True), ("watch", False)]
    ruled()
    assert not protection.blocks
    assert not attack(driver, "/admin/users")


def test_an_excepted_attack_passes_and_its_record_says_why(bench, driver, ruled):
    guard(bench, "block")
    book = ruled({"mode": "watch", "parameter": "query:sql", "detector": "sql"})
    assert not attack(driver, name="sql")
    assert attack(driver, name="q")
    excepted, blocked = bench.records
    assert (excepted["mode"], excepted["blocked"]) == ("watch", False)
    assert (excepted["rule"], excepted["excepted"]) == ("r1", True)
    assert blocked["blocked"]
    assert "rule" not in blocked
    assert book.decided == {"r1": 1}


def test_an_exception_that_is_off_is_counted_and_nothing_more(bench, driver, ruled):
    guard(bench, "block")
    book = ruled({"mode": "off", "route": "/console"})
    assert not attack(driver, "/console")
    assert bench.records == []
    assert book.decided == {"r1": 1}


def test_a_place_is_its_file_function_and_line(bench, driver, ruled):
    guard(bench, "block")
    line = "driver.execute(f\"SELECT 2 WHERE name = '{ATTACK}'\")"
    place = "probes/test_rules.py:attack"
    ruled({"mode": "watch", "place": place, "line": "driver.execute(other)"})
    assert attack(driver)
    ruled({"mode": "watch", "place": place, "line": line})
    assert not attack(driver)
    ruled({"mode": "watch", "place": place})
    assert not attack(driver)


def test_a_request_that_is_condemned_gets_no_excepted_call_either(bench, driver, ruled):
    guard(bench, "block")
    ruled({"mode": "watch", "parameter": "query:sql"})
    request = RequestContext()
    request.path, request.source = "/x", {"QUERY_STRING": f"sql={ATTACK}"}
    request.condemn("an attack before")
    serve_request(request)
    try:
        with pytest.raises(remora.Blocked):
            driver.execute(f"SELECT 2 WHERE name = '{ATTACK}'")
    finally:
        serve_request(None)
    assert driver.ran == []


def test_a_condemned_request_goes_on_where_the_whole_route_is_excepted(
    bench, driver, ruled
):
    guard(bench, "block")
    ruled({"mode": "watch", "route": "/x"})
    request = RequestContext()
    request.path, request.source = "/x", {"QUERY_STRING": "q=a"}
    request.condemn("an attack before")
    serve_request(request)
    try:
        assert driver.execute("SELECT 2")
    finally:
        serve_request(None)


def test_a_known_route_counts_and_not_a_path_that_looks_like_another(
    bench, driver, ruled
):
    guard(bench, "block")
    ruled({"mode": "watch", "route": "/console/*"})
    request = RequestContext()
    request.path, request.route = "/console/../search", "/search"
    request.source = {"QUERY_STRING": f"q={ATTACK}"}
    serve_request(request)
    try:
        with pytest.raises(remora.Blocked):
            driver.execute(f"SELECT 2 WHERE name = '{ATTACK}'")
    finally:
        serve_request(None)


def test_rules_are_not_looked_at_before_there_is_an_attack(bench, driver, ruled):
    guard(bench, "block")

    class Untouched:
        def __getattr__(self, name):
            raise AssertionError(name)

    ruled({"mode": "watch", "route": "/x"})
    protection.rules = Untouched()
    request = RequestContext()
    request.path, request.source = "/x", {"QUERY_STRING": "q=O'Hara"}
    serve_request(request)
    try:
        assert driver.execute("SELECT 2 WHERE name = 'O''Hara'")
    finally:
        serve_request(None)
    assert bench.status().errors == 0
    ruled()


def test_a_rule_that_fails_lets_nothing_through(bench, driver, ruled, monkeypatch):
    guard(bench, "block")
    book = ruled({"mode": "watch", "route": "/other"})

    class Broken:
        general = book.general

        def __getattr__(self, name):
            raise ZeroDivisionError(name)

    protection.rules = Broken()
    assert attack(driver)
