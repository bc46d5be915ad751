"""The pages of attacks and of those who attack, without a socket."""

import re
import time

import pytest

from remora.server.pages.text import marked

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror='alert(2)'>"
    '"><svg onload=alert(3)> \u202egnp.exe \x1b[31m\x00{{ 7*7 }}'
)
FRAME = {
    "file": "/srv/shop/search.py",
    "line": 12,
    "function": "find",
    "source": "    db.execute(query)",
    "own": True,
    "before": ["    query = text"],
    "after": ["    return rows"],
}
PATHS = ("/attacks", "/attacks/1", "/users", "/users/one?actor=user:alice&app=shop")


def attack(**changes):
    return {
        "kind": "attack",
        "time": 1_700_000_000 * 10**9,
        "probe": "sql-sqlite3",
        "site": "sqlite3:Cursor.execute",
        "detector": "sql",
        "sentence": "the input ends a string",
        "mode": "block",
        "blocked": True,
        "source": "query",
        "parameter": "q",
        "value": "a' OR 1=1 --",
        "value_marked": [1, 12],
        "statement": "SELECT 'a' OR 1=1 --'",
        "statement_marked": [9, 20],
        "request": {"id": "r1", "method": "GET", "path": "/search", "client": "::1"},
        "user": {"id": "alice", "plan": "free"},
        "actor": "user:alice",
        "stack": [FRAME],
        **changes,
    }


@pytest.fixture
def attacked(site):
    """A server with one attack, seen by somebody who may do everything."""
    site.sign_in()
    site.register()
    site.send(attack())
    return site


def vulnerability(site):
    return re.search(r'href="(/vulnerabilities/\w+)"', site.page("/attacks"))[1]


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_sees_no_attack(attacked, path):
    attacked.client.cookies.clear()
    answer = attacked.client.get(path, follow_redirects=False)
    assert answer.headers["location"].startswith("/login")


def test_before_the_first_attack_the_pages_say_what_is_needed(site):
    site.sign_in()
    assert "--protect block" in site.page("/attacks")
    assert "no attack was reported" in site.page("/users")
    site.page("/attacks/1", 404)
    site.page("/vulnerabilities/none", 404)
    site.page("/users/one?actor=user:nobody", 404)
    assert site.client.get("/attacks?since=soon").status_code == 400


def test_a_line_that_is_under_attack_needs_attention_for_a_day(attacked):
    assert "nobody has attacked for a day" in attacked.page("/")
    attacked.send(attack(time=time.time_ns()))
    html = attacked.page("/")
    assert "Lines under attack" in html
    assert "db.execute(query)" in html
    assert "nobody has attacked" not in html


def test_attacks_are_listed_by_the_line_to_mend(attacked):
    attacked.send(attack(blocked=False), attack(detector="path", stack=[]))
    html = attacked.page("/attacks")
    assert len(re.findall(r'<tr id="vulnerability-', html)) == 2
    assert "/srv/shop/search.py" in html
    assert "db.execute(query)" in html
    assert (
        len(
            re.findall(
                r'<tr id="vulnerability-', attacked.page("/attacks?detector=path")
            )
        )
        == 1
    )
    assert 'data-stream="/records/stream?kind=attack"' in html


def test_an_attack_shows_what_broke_out_and_the_code_around_the_line(attacked):
    html = attacked.page("/attacks/1")
    assert "a<mark>&#39; OR 1=1 --</mark>" in html
    assert "SELECT &#39;a<mark>&#39; OR 1=1 --</mark>&#39;" in html
    code = html[html.index('<pre class="code"') :]
    numbers = re.findall(r'<span class="number">(\d+)</span>', code)
    assert numbers == ["11", "12", "13"]
    assert "query = text" in html
    assert '<a href="/users/one?actor=user%3Aalice&amp;app=shop">' in html


def test_a_check_that_was_not_made_is_told_without_a_value(attacked):
    reason = "the statement is too long"
    attacked.send(attack(value=None, statement=None, source=None, not_made=reason))
    html = attacked.page("/attacks/2")
    assert reason in html
    assert "What came in" not in html
    assert "What it would have become" not in html


def test_a_vulnerability_lists_who_attacked_it(attacked):
    attacked.send(attack(actor="address:192.0.2.7", user=None))
    html = attacked.page(vulnerability(attacked))
    assert "user:alice" in html
    assert "address:192.0.2.7" in html
    assert "return rows" in html


def test_an_account_shows_its_attacks_and_routes(attacked):
    html = attacked.page("/users/one?actor=user:alice&app=shop")
    assert "GET" in html
    assert "/search" in html
    assert 'href="/attacks/1"' in html
    assert "Block <bdi" in html


def test_an_account_is_blocked_and_let_in_again(attacked):
    answer = attacked.post(
        "/users/block",
        actor="user:alice",
        app="shop",
        reason="scans",
        expires="1h",
        account="user:alice",
        account_app="shop",
    )
    assert answer.headers["location"] == "/users/one?actor=user%3Aalice&app=shop"
    html = attacked.page(answer.headers["location"])
    assert "scans" in html
    assert "Unblock" in html
    assert "state-blocked" in attacked.page("/users")
    assert "state-blocked" in attacked.page("/attacks/1")
    answer = attacked.post("/users/unblock", actor="user:alice", app="shop")
    assert answer.headers["location"] == "/users"
    assert "Nobody is blocked" in attacked.page("/users")


def test_a_user_whose_id_no_browser_sends_back_whole_can_be_blocked(attacked):
    actor = f"user:a\rb\x00\u202e'\"<{'x' * 300} "
    attacked.send(attack(actor=actor))
    html = attacked.page("/attacks/2")
    form = html[html.index('action="/users/block"') :]
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    del fields["csrf"]
    assert all(map(str.isprintable, fields.values()))
    answer = attacked.post("/users/block", app="", expires="", **fields)
    assert [each.actor for each in attacked.blocks()] == [actor]
    assert "Unblock" in attacked.page(answer.headers["location"])


def test_a_block_that_cannot_be_is_a_page_that_says_so(attacked):
    assert attacked.post("/users/block", actor="everybody").status_code == 400
    assert attacked.post("/users/block", actor="user:a", expires="x").status_code == 400
    assert attacked.post("/users/unblock", actor="user:a").status_code == 404


def test_a_block_needs_the_token_of_the_page_and_full_access(site):
    site.sign_in_to_look()
    site.register()
    site.send(attack())
    assert site.post("/users/block", actor="user:alice").status_code == 403
    for path in PATHS:
        assert "/users/block" not in site.page(path)
    answer = site.client.post("/users/block", data={"actor": "user:alice"})
    assert answer.status_code == 403


def test_no_text_of_an_attack_becomes_part_of_a_page(attacked):
    keys = (
        *("sentence", "value", "statement", "before", "after"),
        *("source", "parameter", "site", "not_made", "thread"),
    )
    names = dict.fromkeys(("file", "function", "source"), HOSTILE)
    frame = FRAME | names | {"before": [HOSTILE], "after": [HOSTILE]}
    hostile = attack(
        **dict.fromkeys(keys, HOSTILE),
        actor=f"user:{HOSTILE}",
        user={"id": HOSTILE, HOSTILE: HOSTILE},
        request=dict.fromkeys(("id", "method", "path", "route", "client"), HOSTILE),
        stack=[frame, frame | {"own": False}],
        value_marked=[3, 30],
    )
    attacked.send(hostile)
    accounts = attacked.page("/users")
    account = re.search(r'href="(/users/one\?actor=user%3A%3C[^"]+)"', accounts)[1]
    shown = [vulnerability(attacked), account.replace("&amp;", "&"), "/records/2"]
    for path in (*PATHS[:3], "/attacks/2", *shown):
        html = attacked.page(path)
        assert not re.search(r"<script(?! src=)|<style|\sstyle=|<img|<svg onload", html)
        assert not set(html) & {"\u202e", "\x1b", "\x00"}
        assert "49" not in re.findall(r">\s*(\d+)\s*<", html)


def test_attacks_show_among_records_and_on_the_overview(attacked):
    html = attacked.page("/records?kind=attack")
    assert '<a href="/attacks/1">' in html
    assert "sql: the input ends a string, by user:alice, in query q" in html
    assert '<dd><a href="/attacks">1</a></dd>' in attacked.page("/")


@pytest.mark.parametrize("mark", [None, [5, 1], ["a", None], [3, 99], [0, 0]])
def test_a_mark_that_makes_no_sense_loses_no_text(mark):
    text = re.sub("<[^>]+>", "", str(marked("abcdef", mark)))
    assert text == "abcdef"
