"""Rules from files: read whole, with an end that TOML can say, or not at all."""

import pytest

from remora.agent.control.rule_files import read_rule_files
from remora.errors import ProbeFileError, RuleError
from remora.protocol.rules import ID_CHARACTERS

DAY_NS = 86_400 * 10**9


def read(tmp_path, text):
    file = tmp_path / "rules.toml"
    file.write_text(text)
    return read_rule_files([str(file)])


def test_a_rule_of_another_environment_is_read_and_left_out(tmp_path):
    file = tmp_path / "rules.toml"
    text = '[[rule]]\nmode = "watch"\nreason = "x"\nenv = "staging"\n'
    file.write_text(text)
    assert len(read_rule_files([str(file)], None, "staging")) == 1
    assert read_rule_files([str(file)], None, "prod") == []
    file.write_text(text.replace('"staging"', "5"))
    with pytest.raises(RuleError, match="env = '5' is no text"):
        read_rule_files([str(file)], None, "prod")


def test_rules_are_read_in_their_order(tmp_path):
    (one, other) = read(
        tmp_path,
        """
        [[rule]]
        detector = "sql"
        route = "/console/*"
        mode = "watch"
        reason = "operators write SQL there"
        expires = 1970-01-02

        [[rule]]
        id = "all"
        mode = "block"
        reason = "we are done watching"
        expires = 1970-01-02T00:00:00Z
        """,
    )
    assert (one.detector, one.route, one.mode) == ("sql", "/console/*", "watch")
    assert one.id == f"{tmp_path}/rules.toml#1"[-ID_CHARACTERS:]
    assert one.expires_at == 2 * DAY_NS, "a date holds to its end"
    assert (other.id, other.expires_at) == ("all", DAY_NS)


def test_rules_of_a_file_with_a_long_path_keep_names_of_their_own(tmp_path):
    folder = tmp_path / ("deep" * 20) / ("down" * 20)
    folder.mkdir(parents=True)
    found = read(folder, "[[rule]]\nmode = 'watch'\nreason = 'x'\n" * 2)
    assert [each.id[-12:] for each in found] == ["rules.toml#1", "rules.toml#2"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("x", "no TOML"),
        ("[rule]\nmode = 'watch'", "tables"),
        ("[[probe]]\nid = 'x'", "tables"),
        ("[[rule]]\nmode = 'watch'", "rule 1.*reason"),
        ("[[rule]]\nmode='watch'\nreason='x'\nexpires='7d'", "expires"),
        ("[[rule]]\nmode='watch'\nreason='x'\nexpires_at=5", "expires_at"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_the_place(tmp_path, text, word):
    with pytest.raises(RuleError, match=word):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ProbeFileError, match="nowhere"):
        read_rule_files([str(tmp_path / "nowhere")])
