"""The page of protection, and exceptions from the page of a vulnerability."""

import re

import pytest

HOSTILE = "<script>alert(1)</script>"
FRAME = {"file": "/srv/shop.py", "function": "find", "line": 7, "own": True}
PACK = {
    "pack": "sql",
    "detector": "sql",
    "mode": "block",
    "guarded": ["sqlite3"],
    "waiting": ["asyncpg"],
    "flaws": [{"probe": HOSTILE, "state": "partly", "reason": HOSTILE}],
    "places": 6,
    "checks": 70,
    "not_made": {HOSTILE: 3},
}


def say(site, number=1, **keys):
    state = {"mode": "block", "packs": [PACK], **keys}
    body = {"instance": f"{number:032x}", "revision": 1, "statuses": []}
    site.agent("statuses", {**body, "protection": state})


def attack(**changes):
    return {
        "kind": "attack",
        "time": 1_700_000_000 * 10**9,
        "detector": "sql",
        "mode": "block",
        "blocked": True,
        "site": "sqlite3:Cursor.execute",
        "stack": [{**FRAME, "source": "run(text)"}],
        **changes,
    }


@pytest.fixture
def guarded(site):
    site.sign_in()
    site.register()
    say(site)
    return site


def rules(site):
    return site.client.app.state.operations.rules.all()


def test_what_sleeps_but_for_rules_and_what_is_not_known_yet_is_called_so(site):
    site.sign_in()
    site.register()
    site.register(2)
    assert "2 of them have not said yet" in site.page("/protection")
    assert "not known yet" in site.page("/instances")
    say(site, packs=[PACK | {"mode": "off", "flaws": []}])
    html = site.page("/protection")
    assert "off but for rules" in html
    assert "1 of them have not said yet" in html


def test_what_is_guarded_is_shown_by_app_and_hostile_names_are_text(guarded):
    html = guarded.page("/protection")
    assert "1 of 1 instances guarded" in html
    assert "sqlite3" in html
    assert "asyncpg" in html
    assert HOSTILE not in html
    assert "block" in guarded.page("/instances")


def test_an_app_whose_requests_are_not_seen_is_unprotected(guarded):
    say(guarded, complaint="unprotected: no request was seen")
    assert "no request was seen" in guarded.page("/protection")
    assert "no request was seen" in guarded.page("/")
    assert "unprotected" in guarded.page("/instances")


def test_a_mode_is_set_and_taken_away_again(guarded):
    fields = {"app": "shop", "detector": "sql", "route": "/x*", "mode": "watch"}
    answer = guarded.post("/protection/rules", reason=HOSTILE, expires="7d", **fields)
    assert answer.headers["location"] == "/protection"
    (stored,) = rules(guarded)
    assert (stored.app, stored.rule.route, stored.rule.mode) == ("shop", "/x*", "watch")
    html = guarded.page("/protection")
    assert "not known to 1 of 1 instances" in html
    assert HOSTILE not in html
    said = [{"id": stored.rule.id, "refusal": "it lowers sql"}]
    say(guarded, rules=said)
    assert "it lowers sql" in guarded.page("/protection")
    guarded.post(f"/protection/rules/{stored.rule.id}/remove")
    assert rules(guarded) == []
    assert "There is no rule" in guarded.page("/protection")


def test_an_exception_is_made_where_the_vulnerability_is_shown(guarded):
    guarded.send(attack())
    path = re.search(r'href="(/vulnerabilities/\w+)"', guarded.page("/attacks"))[1]
    html = guarded.page(path)
    assert "Except this line" in html
    name = path.rpartition("/")[2]
    answer = guarded.post(
        "/protection/rules", vulnerability=name, mode="watch", reason="r", expires="7d"
    )
    assert answer.headers["location"] == path
    (stored,) = rules(guarded)
    assert (stored.rule.place, stored.rule.line) == ("/srv/shop.py:find", "run(text)")
    html = guarded.page(path)
    assert "Except this line" not in html
    assert "A rule has this place in mode watch" in html


def test_an_excepted_attack_shows_its_rule(guarded):
    guarded.send(attack(mode="watch", blocked=False, excepted=True, rule="0a1b"))
    html = guarded.page("/attacks/1")
    assert "excepted" in html
    assert 'href="/protection#rule-0a1b"' in html
    path = re.search(r'href="(/vulnerabilities/\w+)"', guarded.page("/attacks"))[1]
    assert "excepted by a rule" in guarded.page(path)


def test_what_is_no_rule_is_refused(guarded):
    fields = {"mode": "watch", "expires": "7d"}
    assert guarded.post("/protection/rules", reason="", **fields).status_code == 400
    answer = guarded.post("/protection/rules", reason="x", mode="on", expires="7d")
    assert answer.status_code == 400
    fields = {"mode": "watch", "reason": "x", "expires": "soon"}
    assert guarded.post("/protection/rules", **fields).status_code == 400
    assert guarded.post("/protection/rules/none/remove").status_code == 404
    assert rules(guarded) == []


def test_who_may_only_look_is_offered_no_change(site):
    site.register()
    say(site)
    site.send(attack())
    site.sign_in_to_look()
    path = re.search(r'href="(/vulnerabilities/\w+)"', site.page("/attacks"))[1]
    for shown in ("/protection", path):
        assert "/protection/rules" not in site.page(shown)
    assert site.post("/protection/rules", mode="off", reason="x").status_code == 403
