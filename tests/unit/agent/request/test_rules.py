"""A book of rules: layers, exceptions, what is counted, what has ended."""

from remora.agent.request.rules import RuleBook
from remora.protocol.rules import Sighting, parse_rule

SEEN = Sighting("sql", "/search", "query:q")


def rule(name, mode, **keys):
    return parse_rule({"id": name, "mode": mode, "reason": "x", **keys})


def test_without_a_rule_that_means_it_the_probes_own_mode_holds():
    book = RuleBook([], [rule("a", "off", detector="path")])
    assert book.decide("block", SEEN) == ("block", None, False)
    assert book.decided == {}


def test_the_servers_rules_stand_above_those_of_the_app():
    own, asked = rule("own", "off"), rule("asked", "block", route="/search")
    assert RuleBook([own]).decide("watch", SEEN) == ("off", own, False)
    book = RuleBook([own], [asked])
    assert book.decide("watch", SEEN) == ("block", asked, False)
    assert book.decided == {"asked": 1}


def test_only_what_is_narrower_than_a_detector_and_lowers_is_an_exception():
    narrow = rule("narrow", "watch", route="/s*")
    assert RuleBook([], [narrow]).decide("block", SEEN) == ("watch", narrow, True)
    assert RuleBook([], [narrow]).decide("watch", SEEN) == ("watch", narrow, False)
    general = rule("general", "watch", detector="sql")
    assert RuleBook([], [general]).decide("block", SEEN) == ("watch", general, False)


def test_a_rule_that_has_ended_decides_nothing_even_before_it_is_taken_out():
    ended = rule("ended", "off", expires_at=1)
    book = RuleBook([], [ended])
    assert book.decide("block", SEEN) == ("block", None, False)
    assert book.mode_at("block", SEEN) == "block"


def test_the_mode_in_general_is_that_of_the_rule_that_counts():
    book = RuleBook(
        [rule("own", "block")],
        [
            rule("sql", "watch", detector="sql"),
            rule("all", "off"),
            rule("r", "block", route="/x"),
        ],
    )
    assert book.general == {"sql": "watch", "shell": "off", "path": "off", "url": "off"}
    assert book.strongest("sql", "watch") == "block"
    assert RuleBook([]).strongest("sql", "watch") == "watch"


def test_a_line_is_asked_for_only_where_a_rule_tells_lines_apart():
    keys = {"place": "shop/app.py:find", "line": "run(text)"}
    book = RuleBook([], [rule("r", "off", **keys)])
    assert book.ask_line("/srv/shop/app.py", "find")
    assert not book.ask_line("/srv/shop/app.py", "other")
    assert not RuleBook([rule("r", "off", place="app.py:f")]).ask_line("app.py", "f")
