"""`remora probe test` of protect and request probes, by attacks and calls on record."""

from __future__ import annotations

import functools
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzed import VALUES, always_the_same
from hypothesis import given
from hypothesis import strategies as st

from remora.agent.capture import capture
from remora.cli.dry_run import run
from remora.protocol import parse_probe

SITE = "shop.db:execute"
SOURCE = Path(__file__).parents[3] / "src"
BROKEN = "SELECT * FROM users WHERE name = '' OR 1=1 --'"


def attack(**keys):
    return {
        "kind": "attack",
        "time": 1,
        "probe": "watching",
        "site": SITE,
        "mode": "watch",
        "blocked": False,
        "detector": "sql",
        "sentence": "the input is 5 tokens where one was meant",
        "source": "query",
        "parameter": "name",
        "value": "' OR 1=1 --",
        "statement": BROKEN,
        "request": {"id": "1", "method": "GET", "path": "/users"},
        "user": None,
        "actor": "address:192.0.2.7",
        **keys,
    }


def call(statement=BROKEN, *, request=True, **recorded):
    """A snapshot of a call of the sink, with what it says of its request."""
    values = {
        f"remora.request.{name}": capture(value)[0] for name, value in recorded.items()
    }
    record = {
        "kind": "snapshot",
        "time": 1,
        "probe": "seen",
        "site": SITE,
        "phase": "pre",
        "thread": 1,
        "values": {"arguments": {"statement": capture(statement)[0]}, **values},
    }
    if request:
        record["request"] = {"id": "1", "method": "GET", "path": "/users"}
    return record


def trial(*records, protect=None, **keys):
    sink = {"detector": "sql", "argument": [0, "statement"], "mode": "block"}
    table = {"id": "p", "target": SITE, "protect": sink | (protect or {})}
    (result,), _ = run([parse_probe(table | keys)], records, {})
    return result


def test_attacks_are_counted_by_what_for_whom_and_what_would_have_followed() -> None:
    alice = attack(user={"id": "alice"}, actor="user:alice")
    result = trial(attack(), attack(), alice)
    assert (result.calls, result.fired, result.untold.total()) == (3, 3, 0)
    assert result.values == {'query name = "\' OR 1=1 --"': 3}
    assert result.users == {"client 192.0.2.7": 2, "user 'alice'": 1}
    ((outcome, count),) = result.outcomes.items()
    assert outcome.startswith("block: the input ")
    assert count == 3
    watching = trial(attack(), protect={"mode": "watch"})
    assert next(iter(watching.outcomes)).startswith("report: ")
    assert trial(attack(), protect={"mode": "off"}).quiet == 1


def test_another_dialect_or_allowed_host_is_asked_of_the_detector_anew() -> None:
    # a backslash escapes the quote in MySQL alone
    value = {"value": "a\\' OR 1=1 -- ", "statement": "SELECT 'a\\' OR 1=1 -- '"}
    assert trial(attack(**value), protect={"dialect": "sqlite"}).fired == 1
    assert trial(attack(**value), protect={"dialect": "mysql"}).quiet == 1
    url = {
        "detector": "url",
        "value": "http://10.0.0.9/",
        "statement": "http://10.0.0.9/",
        "sentence": "the input decides the host",
    }
    for allowed, fired in ([], 1), (["10.0.0.0/8"], 0), (["10.1.0.0/16"], 1):
        sink = {"detector": "url", "allowed": allowed}
        assert trial(attack(**url), protect=sink).fired == fired, allowed


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"detector": "path"}, "found by path, and the probe asks sql"),
        ({"statement": "x" * 2000}, "the statement was cut or redacted"),
        ({"value": "(redacted)' OR 1=1"}, "the statement was cut or redacted"),
    ],
)
def test_what_an_attack_does_not_tell_is_said(keys, reason: str) -> None:
    result = trial(attack(**keys))
    assert result.fired == 0
    assert reason in next(iter(result.untold))


def test_a_check_that_was_not_made_would_not_be_made_again() -> None:
    result = trial(attack(not_made="the argument is long", sentence=""))
    assert list(result.values) == ["a check not made: the argument is long"]


def test_a_condition_is_asked_of_attacks_as_far_as_they_know() -> None:
    assert trial(attack(), when="request.path == '/users'").fired == 1
    assert trial(attack(), when="request.path == '/other'").quiet == 1
    result = trial(attack(), when="len(statement) > 3")
    assert list(result.untold) == ["statement was not recorded"]


def test_attacks_say_nothing_of_other_probes_and_of_other_places() -> None:
    log = {"id": "p", "target": SITE, "log": "x"}
    (result,), _ = run([parse_probe(log)], [attack()], {})
    assert result.calls == 0
    assert trial(attack(site="shop.db:other")).calls == 0


def test_a_captured_call_is_judged_by_the_inputs_it_was_captured_with() -> None:
    broken = call(query={"name": "' OR 1=1 --"}, headers={})
    result = trial(broken)
    assert (result.fired, result.untold.total()) == (1, 0)
    assert result.values == {'query name = "\' OR 1=1 --"': 1}
    by_header = call(query={}, headers={"x-name": "' OR 1=1 --"})
    assert list(trial(by_header).values) == ['header x-name = "\' OR 1=1 --"']
    fine = call("SELECT 'bob'", query={"name": "bob"}, headers={"accept": "*/*"})
    assert trial(fine).quiet == 1
    assert trial(call(request=False)).quiet == 1


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (call(query={"name": "bob"}), "request.headers was not recorded"),
        (call(headers={}), "request.query was not recorded"),
        (
            call(query={}, headers={})
            | {"request": {"id": "1", "method": "POST", "path": "/"}},
            "the body of a request is not in records",
        ),
        (call("x" * 9999, query={}, headers={}), "statement was cut"),
    ],
)
def test_that_nothing_breaks_out_is_told_where_no_input_can_be_missing(
    record, reason: str
) -> None:
    result = trial(record)
    assert (result.fired, result.told) == (0, 0)
    assert reason in next(iter(result.untold))


@pytest.mark.parametrize(
    ("positional", "way"),
    [(["statement"], 0), (["database", "statement"], 1), (["*rest"], 0),
     (["database", "*rest"], 1)],
)  # fmt: skip
def test_an_argument_is_found_by_its_position_where_the_record_counts(
    positional: list[str], way: int
) -> None:
    broken = call(query={"name": "' OR 1=1 --"}, headers={})
    broken["values"]["arguments"] |= {"database": "d", "rest": [BROKEN]}
    counted = broken | {"positional": positional}
    assert trial(counted, protect={"argument": way}).fired == 1
    # who counts further has nothing to judge
    assert trial(counted, protect={"argument": 7}).told == 0
    result = trial(broken, protect={"argument": way})
    assert f"argument {way} was not recorded" in next(iter(result.untold))


def lookup(*addresses: str, cut=None, **recorded):
    """A captured call of a lookup, with what it led to."""
    record = call("intranet", **recorded)
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 80)) for a in addresses]
    record["values"]["result"] = capture(answers)[0] if cut is None else cut
    return record | {"phase": "post"}


HOST = {"detector": "host"}


def test_a_captured_lookup_is_judged_by_what_it_led_to() -> None:
    asked = {"query": {"host": "intranet"}, "headers": {}}

    def led(*addresses, **sink):
        record = lookup(*addresses, **asked)
        return trial(record, phase="post", protect=HOST | sink)

    assert list(led("10.0.0.7").values) == ["query host = 'intranet'"]
    assert led("93.184.216.34", "10.0.0.7").fired == 1
    assert led("93.184.216.34").quiet == 1
    assert led("10.0.0.7", allowed=["10.0.0.0/8"]).quiet == 1


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (["93.184.216.34", {"$": "text", "text": "1", "length": 9}], "in part"),
        ({"$": "list", "items": ["93.184.216.34"], "length": 2}, "in part"),
        ({"$": "tuple", "items": [], "length": 0, "cut": "time"}, "in part"),
        (functools.reduce(lambda inner, _: [inner], range(99), "1.1.1.1"), "in part"),
        (None, "add result to the snapshot"),
    ],
)
def test_of_a_lookup_that_was_recorded_in_part_nothing_good_is_told(
    result, reason: str
) -> None:
    record = lookup(cut=result, query={"host": "intranet"}, headers={})
    if result is None:
        del record["values"]["result"]
    told = trial(record, phase="post", protect=HOST)
    assert (told.fired, told.told) == (0, 0)
    assert reason in next(iter(told.untold))


def test_the_name_of_an_archive_s_member_needs_no_inputs() -> None:
    protect = {"detector": "member"}
    assert trial(call("../../etc/passwd"), protect=protect).fired == 1
    assert trial(call("docs/readme"), protect=protect).quiet == 1


@given(value=VALUES, key=st.sampled_from([*attack(), "arguments", "phase", "values"]))
@always_the_same
def test_a_lying_record_is_judged_or_not_told_and_breaks_nothing(value, key) -> None:
    for record in (attack(), call(query={"name": "bob"}, headers={"a": "b"})):
        result = trial(record | {key: value})
        assert result.calls == result.fired + result.quiet + result.untold.total()
    captured = call()
    for name in ("query", "headers"):
        captured["values"][f"remora.request.{name}"] = value
    captured["values"]["arguments"]["statement"] = value
    assert trial(captured).calls == 1
    environ = {"kind": "wsgi", "environ": "environ", "user": "who"}
    assert opened(environ, environ=value, who=value).calls == 1


def opened(request, **values):
    recorded = {name: capture(value)[0] for name, value in values.items()}
    record = {
        "kind": "snapshot",
        "probe": "seen",
        "site": SITE,
        "phase": "pre",
        "values": {"arguments": recorded},
    }
    table = {"id": "p", "target": SITE, "request": request}
    (result,), _ = run([parse_probe(table)], [record], {})
    return result


def test_a_request_probe_is_told_by_its_expressions() -> None:
    request = {"kind": "custom", "method": "'GET'", "path": "path", "user": "who"}
    result = opened(request, path="/pay", who="alice")
    assert result.outcomes == {"open a request GET /pay": 1}
    assert result.users == {"user 'alice'": 1}
    assert result.values == {"method = 'GET', path = '/pay'": 1}
    result = opened(request, path="/pay")
    assert list(result.untold) == ["who was not recorded"]
    added = opened({"kind": "details", "route": "path"}, path="/<id>")
    assert added.outcomes == {"add to a request": 1}


def test_gateways_requests_are_told_by_their_dictionaries() -> None:
    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/a"}
    environ["REMOTE_ADDR"] = "192.0.2.9"
    wsgi = {"kind": "wsgi", "environ": "environ"}
    result = opened(wsgi, environ=environ)
    assert result.outcomes == {"open a request GET /a": 1}
    assert result.users == {"client 192.0.2.9": 1}
    scope = {"type": "http", "method": "GET", "path": "/b", "client": ("192.0.2.9", 1)}
    asgi = {"kind": "asgi", "scope": "scope"}
    assert opened(asgi, scope=scope).users == {"client 192.0.2.9": 1}
    assert opened(asgi, scope={"type": "lifespan"}).quiet == 1
    assert list(opened(wsgi, scope=scope).untold) == ["environ was not recorded"]
    assert list(opened({"kind": "wsgi"}, environ=environ).untold) == [
        "the probe does not say where its environ is"
    ]
    carried = opened({"kind": "carry", "callable": "fn"})
    assert list(carried.untold) == ["what it does is decided in the process alone"]


APP = """
def execute(statement):
    return statement

def handle(query, name):
    return execute(f"SELECT * FROM users WHERE name = '{name}'")

def work():
    for number in range(9):
        name = "' OR 1=1 --" if number % 3 else "bob"
        handle("name=" + name, name)
"""
REQUEST = """
[[probe]]
id = "request"
target = "site_of_users:handle"
request = { kind = "custom", method = "'GET'", path = "'/users'", query = "query" }
"""
GUARD = """
[[probe]]
id = "guard"
target = "site_of_users:execute"
protect = { detector = "sql", argument = "statement", mode = "MODE" }
"""
SEEN = """
[[probe]]
id = "seen"
target = "site_of_users:execute"
snapshot = ["arguments", "request.query", "request.headers"]
limit = { rate = "1000/s", time = "100%" }
"""


def test_a_dry_run_agrees_with_what_the_app_itself_finds(operator, tmp_path) -> None:
    (tmp_path / "site_of_users.py").write_text(APP)
    probes = {"watch": GUARD.replace("MODE", "watch"), "seen": SEEN}
    for name, text in probes.items():
        (tmp_path / f"{name}.toml").write_text(REQUEST + text)
        subprocess.run(
            [
                *(sys.executable, "-m", "remora", "run"),
                *("--probes", tmp_path / f"{name}.toml"),
                *("--records", tmp_path / f"{name}.jsonl"),
                *("--", sys.executable, "-c"),
                "import site_of_users; site_of_users.work()",
            ],
            env={"PYTHONPATH": str(SOURCE), "REMORA_LOG": "off"},
            cwd=tmp_path,
            check=True,
            timeout=60,
        )
    (tmp_path / "block.toml").write_text(GUARD.replace("MODE", "block"))
    found = {}
    for name in probes:
        ran = operator(
            *("probe", "test", str(tmp_path / "block.toml"), "--json"),
            *("--records", str(tmp_path / f"{name}.jsonl")),
        )
        (found[name],) = json.loads(ran.out)["probes"]
    assert found["watch"]["fired"] == found["seen"]["fired"] == 6, found
    assert found["watch"]["values"] == found["seen"]["values"]
    # the other three hold their input in its place, and nothing was recorded of them
    assert found["watch"]["calls"] == 6
    assert found["seen"]["quiet"] == 3
    shown = operator(
        *("probe", "test", str(tmp_path / "block.toml")),
        *("--records", str(tmp_path / "seen.jsonl")),
    )
    assert "would have blocked 6 times, not 3 times" in shown.out
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    shown = operator(
        *("probe", "test", str(tmp_path / "block.toml"), "--records", str(empty))
    )
    assert shown.status == 1
    assert "add it in mode 'watch' first" in shown.out


@pytest.mark.parametrize("detector", ["entry", "redirect"])
def test_what_only_a_request_knows_is_not_told(detector) -> None:
    result = trial(call("http://10.0.0.9/../x"), protect={"detector": detector})
    assert (result.fired, result.quiet, result.untold.total()) == (0, 0, 1)
