"""`remora attacks`, `remora users` and `remora notify` against a fake server."""

from __future__ import annotations

import io
import json

import pytest

from remora.cli.attacks import show_marked, tell_attack
from remora.cli.output import PlainOutput, RichOutput
from remora.cli.records import show_record

TIME = 1_700_000_000_000_000_000
FRAME = {
    "file": "/srv/shop/search.py",
    "line": 12,
    "function": "find",
    "source": "db.execute(query)",
    "own": True,
    "before": ["query = f'…'"],
    "after": ["return rows"],
}
ATTACK = {
    "kind": "attack",
    "id": 17,
    "time": TIME,
    "app": "shop",
    "env": "prod",
    "probe": "sql-sqlite3",
    "site": "sqlite3:Cursor.execute",
    "detector": "sql",
    "sentence": "the input ends a string",
    "mode": "block",
    "blocked": True,
    "source": "query",
    "parameter": "q",
    "value": "' OR 1=1",
    "value_marked": [0, 8],
    "statement": "SELECT 1\nWHERE a = '' OR 1=1'",
    "statement_marked": [20, 27],
    "before": "SELECT WHERE a = ?",
    "actor": "user:alice",
    "request": {"method": "GET", "route": "/search", "client": "192.0.2.7"},
    "user": {"id": "alice"},
    "stack": [FRAME, {"file": "lib.py", "line": 3, "function": "call", "own": False}],
}
VULNERABILITY = {
    "id": "a1",
    "app": "shop",
    "detector": "sql",
    "site": "sqlite3:Cursor.execute",
    "place": FRAME,
    "attacks": 5,
    "blocked": 4,
    "actors": 2,
    "first": TIME,
    "last": TIME,
}
USER = {
    "actor": "user:alice",
    "app": "shop",
    "attacks": 5,
    "blocked": 4,
    "detectors": ["path", "sql"],
    "first": TIME,
    "last": TIME,
    "is_blocked": True,
}
BLOCK = {
    "actor": "user:alice",
    "app": "",
    "reason": "scans",
    "created": TIME,
    "created_by": "ann",
    "expires_at": 0,
}
HOSTILE = "\x1b]0;owned\x07\u202e[bold]"


def told(show, *arguments):
    stream = io.StringIO()
    show(PlainOutput(stream), *arguments)
    return stream.getvalue().splitlines()


def test_attacks_are_listed_by_place(operator, server):
    server.answers["GET vulnerabilities"] = {"vulnerabilities": [VULNERABILITY]}
    ran = operator("attacks", "--app", "shop", "--detector", "sql", "--actor", "user:a")
    assert ran.lines[0].split() == [
        *["ID", "DETECTOR", "APP", "PLACE", "ATTACKS", "BLOCKED", "BY", "FIRST", "LAST"]
    ]
    assert ran.lines[1].split()[:8] == [
        *["a1", "sql", "shop", "/srv/shop/search.py:12", "find", "5", "4", "2"]
    ]
    asked = {"app": "shop", "detector": "sql", "actor": "user:a"}
    assert server.asked == [("GET", "/api/v1/vulnerabilities", asked)]


def test_single_attacks_are_listed_with_their_ids(operator, server):
    missed = ATTACK | {"blocked": False}
    server.answers["GET attacks"] = {
        "attacks": [ATTACK, missed, missed | {"excepted": True}]
    }
    ran = operator("attacks", "--list", "--since", "1h")
    assert ran.lines[1].split()[0] == "17"
    assert "blocked" in ran.lines[1]
    assert "NOT blocked" in ran.lines[2]
    assert "excepted" in ran.lines[3]
    ((_, _, asked),) = server.asked
    assert int(asked["since"]) > TIME


def test_no_attacks_are_said(operator, server):
    server.answers["GET vulnerabilities"] = {"vulnerabilities": []}
    assert "no attacks" in operator("attacks").out
    server.answers["GET users"] = {"users": []}
    assert "nobody attacks" in operator("users").out


def test_a_span_of_time_that_is_none_is_refused_before_any_request(operator, server):
    ran = operator("attacks", "--since", "yesterday")
    assert ran.status == 1
    assert "--since = 'yesterday' is no duration" in ran.err
    assert server.asked == []


def test_one_attack_is_shown_with_the_line_and_the_marked_part(operator, server):
    server.answers["GET attacks/17"] = ATTACK
    lines = operator("attacks", "show", "17").lines
    assert lines[0] == "attack 17: sql blocked"
    assert "    /srv/shop/search.py:12 in find" in lines
    assert "        11   query = f'…'" in lines
    assert "        12 > db.execute(query)" in lines
    at = lines.index("value of query q")
    assert lines[at + 1 : at + 3] == ["    ' OR 1=1", "    ^^^^^^^^"]
    at = lines.index("what it would have become")
    assert lines[at + 1 : at + 4] == [
        "    SELECT 1",
        "    WHERE a = '' OR 1=1'",
        "               ^^^^^^^",
    ]
    assert lines[-1] == "    at call  lib.py:3"


def test_a_terminal_without_colours_gets_the_mark_from_below():
    for color, below in ((True, []), (False, ["      ^"])):
        stream = io.StringIO()
        show_marked(RichOutput(stream, color=color), "a b c", (2, 3))
        assert stream.getvalue().splitlines() == ["    a b c", *below]


@pytest.mark.parametrize("mark", [None, [], [5, 1], [-9, 99], ["a", 2], [0, 10**9]])
def test_marks_that_make_no_sense_break_nothing(mark):
    lines = told(tell_attack, ATTACK | {"value_marked": mark})
    assert lines[lines.index("value of query q") + 1].lstrip() == "' OR 1=1"


def test_nothing_in_an_attack_reaches_the_terminal_as_a_command():
    keys = ("sentence", "value", "statement", "actor", "site", "before", "parameter")
    hostile = ATTACK | dict.fromkeys(keys, HOSTILE)
    hostile["request"] = dict.fromkeys(("method", "route", "client"), HOSTILE)
    names = dict.fromkeys(("file", "function", "source"), HOSTILE)
    hostile["stack"] = [FRAME | names | {"before": [HOSTILE], "after": [HOSTILE]}]
    for lines in (told(tell_attack, hostile), told(show_record, hostile, "shop 1")):
        text = "\n".join(lines)
        assert "\\x1b]0;owned\\x07\\u202e[bold]" in text
        assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_an_answer_of_another_version_breaks_no_command():
    odd = {"id": {}, "stack": [{"own": True}, 5], "request": 3, "value": [1]}
    assert told(tell_attack, odd)[0].startswith("attack : ")


@pytest.mark.parametrize("word", ["x", "17/..", "-1", "٣"])
def test_what_is_no_id_of_an_attack_is_refused(operator, server, word):
    ran = operator("attacks", "show", *(["--"] if word == "-" else []), word)
    assert ran.status in {1, 2}
    assert server.asked == []


def test_options_before_the_action_hold_for_it(operator, server):
    server.answers["GET attacks/17"] = ATTACK
    ran = operator("attacks", "--json", "show", "17")
    assert json.loads(ran.out)["id"] == 17


def test_users_are_listed_and_one_is_shown(operator, server):
    server.answers["GET users"] = {"users": [USER]}
    ran = operator("users", "--app", "shop")
    assert ran.lines[1].split()[:6] == ["user:alice", "shop", "5", "4", "path,", "sql"]
    assert ran.lines[1].endswith("blocked")
    routes = [{"method": "GET", "route": "/search", "attacks": 5, "records": 2}]
    server.answers["GET users/one"] = USER | {
        "block": BLOCK,
        "routes": routes,
        "vulnerabilities": [VULNERABILITY],
        "newest": [ATTACK],
    }
    lines = operator("users", "show", "user:alice", "--app", "shop").lines
    assert lines[0] == "user:alice in shop"
    assert "    blocked as user:alice by ann: scans" in lines
    assert any(line.split() == ["GET", "/search", "5", "2"] for line in lines)
    asked = {"actor": "user:alice", "app": "shop"}
    assert server.asked[-1] == ("GET", "/api/v1/users/one", asked)


def test_somebody_is_blocked_listed_and_unblocked(operator, server):
    server.answers["POST blocks"] = BLOCK
    server.answers["GET blocks"] = {"blocks": [BLOCK]}
    server.answers["DELETE blocks"] = {}
    ran = operator("users", "block", "user:alice", "--reason", "scans")
    assert ran.lines == ["blocked user:alice in every app until unblocked"]
    asked = {"actor": "user:alice", "app": "", "reason": "scans", "expires": ""}
    assert server.asked[-1] == ("POST", "/api/v1/blocks", asked)
    ran = operator("users", "blocks")
    assert ran.lines[1].split()[:4] == ["user:alice", "(every)", "never", "ann"]
    ran = operator("users", "unblock", "user:alice", "--app", "shop")
    assert ran.lines == ["unblocked user:alice in shop"]


@pytest.mark.parametrize(("error", "status"), [("", 0), ("it answered 500", 1)])
def test_a_notice_that_does_not_leave_is_the_exit_status(
    operator, server, error, status
):
    channel = {"name": "webhook", "to": "https://x.test", "error": error}
    server.answers["POST notices/test"] = {"channels": [channel]}
    ran = operator("notify", "test")
    end = f"failed: {error}" if error else "sent"
    assert (ran.status, ran.lines) == (status, [f"webhook https://x.test: {end}"])


def test_no_way_to_notify_is_an_error(operator, server):
    server.answers["POST notices/test"] = {"channels": []}
    ran = operator("notify", "test")
    assert ran.status == 1
    assert "--notify-webhook" in ran.err
