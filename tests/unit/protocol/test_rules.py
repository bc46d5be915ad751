"""Rules: what is refused, which of several counts, and what they mean."""

import pytest

from remora.errors import RuleError
from remora.protocol.rules import Sighting, by_narrowness, lowers, parse_rule

SEEN = Sighting(
    "sql", "/search", "query:q", "/srv/shop/app.py", "find", "run(text)", 7, "m:f"
)


def rule(**keys):
    return parse_rule({"id": "r", "mode": "watch", "reason": "because", **keys})


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"mode": "on"}, "mode"),
        ({"mode": None}, "mode"),
        ({"reason": " "}, "reason"),
        ({"detector": "host"}, "detector"),
        ({"route": 5}, "route"),
        ({"route": "x" * 501}, "route"),
        ({"parameter": "q"}, "source:name"),
        ({"place": "app.py"}, "place"),
        ({"line": "run(text)"}, "place"),
        ({"expires_at": -1}, "expires_at"),
        ({"expires_at": "1"}, "expires_at"),
        ({"expires_at": True}, "expires_at"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_word_that_is_wrong(keys, word):
    with pytest.raises(RuleError, match=word):
        rule(**keys)


@pytest.mark.parametrize("value", [None, 5, [], "watch"])
def test_what_is_no_table_is_no_rule(value):
    with pytest.raises(RuleError):
        parse_rule(value)


def test_a_rule_is_read_back_from_its_message():
    made = rule(detector="sql", place="app.py:find", line="run(text)", expires_at=9)
    assert parse_rule(made.to_json()) == made


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"detector": "sql"},
        {"route": "/sea*"},
        {"parameter": "query:q"},
        {"parameter": "*:q"},
        {"place": "app.py:find"},
        {"place": "shop/app.py:find", "line": "run(text)"},
        {"place": "/srv/shop/app.py:find", "line": "7"},
    ],
)
def test_what_a_rule_means(keys):
    assert rule(**keys).means(SEEN)


@pytest.mark.parametrize(
    "keys",
    [
        {"detector": "path"},
        {"route": "/sea"},
        {"parameter": "query:*x"},
        {"place": "pp.py:find"},
        {"place": "app.py:other"},
        {"place": "app.py:find", "line": "run(other)"},
        {"place": "m:f"},
        {"detector": "sql", "route": "/other"},
    ],
)
def test_what_a_rule_does_not_mean(keys):
    assert not rule(**keys).means(SEEN)


def test_where_no_frame_is_the_apps_own_the_place_is_the_sink():
    bare = Sighting("sql", "/search", site="sqlite3:Cursor.execute")
    assert rule(place="sqlite3:Cursor.execute").means(bare)
    assert not rule(place="sqlite3:Cursor.executemany").means(bare)
    assert not rule(parameter="*:*").means(bare)


def test_the_narrowest_rule_is_asked_first_and_of_equals_the_newest():
    rules = [
        rule(id="app"),
        rule(id="detector", detector="sql"),
        rule(id="place", place="app.py:find"),
        rule(id="route", route="/s*"),
        rule(id="longer", route="/search*"),
        rule(id="parameter", parameter="*:q"),
        rule(id="line", place="app.py:find", line="run(text)"),
        rule(id="newest", detector="sql"),
    ]
    asked = [each.id for each in by_narrowness(rules)]
    assert asked == [
        "line",
        "place",
        "parameter",
        "longer",
        "route",
        "newest",
        "detector",
        "app",
    ]


def test_modes_are_ordered_by_how_much_they_protect():
    assert lowers("off", "watch")
    assert lowers("watch", "block")
    assert not lowers("watch", "watch")
    assert not lowers("block", "off")
