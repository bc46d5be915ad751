"""Statements judged as the real databases understand them."""

import tomllib
from pathlib import Path

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.detection import Finding, Input, Inputs, NotMade, sql
from remora.detection.sql.tokens import Reader, lexer_of

CORPUS = tomllib.loads(Path(__file__).with_name("sql.toml").read_text("utf-8"))
CASES = CORPUS["case"]
FRAGMENTS = st.lists(
    st.sampled_from(
        ["'", "''", '"', "\\", "--", "-- ", "#", "/*", "*/", " ", "\n", "a", "1", "or",
         ";", "$$", "E'", "`", "(", ")", "=", ",", "é", "/*!", "%", "||", "\t"]
    ),
    max_size=7,
).map("".join)  # fmt: skip


def judged(statement, text, dialect):
    return sql.judge(statement, Inputs([Input(text, "query", "x")]), dialect)


def meant(database, case, text):
    if "{p}" not in case["meant"]:
        return database.run(case["meant"])
    value = int(text) if case.get("number") else text
    return database.run(case["meant"].format(p=database.mark), (value,))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["template"])
def test_what_changes_the_answer_is_found(database, case):
    for text in case["attacks"]:
        statement = case["template"].replace("{x}", text)
        assert isinstance(judged(statement, text, database.dialect), Finding), text
        value = "1" if case.get("number") else text
        assert database.run(statement) != meant(database, case, value), text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["template"])
def test_honest_input_is_passed(database, case):
    for text in case["honest"]:
        statement = case["template"].replace("{x}", text)
        assert judged(statement, text, database.dialect) is None, text
        rows = database.run(statement)
        assert isinstance(rows, list), (text, rows)
        if not case.get("free"):
            assert rows == meant(database, case, text), text


@settings(max_examples=80, deadline=None)
@given(text=FRAGMENTS)
def test_a_text_in_quotes_is_found_when_the_answer_is_not_that_text(database, text):
    if len(text) < 2 or not text.strip("'\"`"):
        return  # quotes alone stand wherever a literal ends
    if database.dialect == "mysql" and "\\" in text:
        return
    statement = f"SELECT '{text}', 7"
    stays = database.run(statement) == [(text.replace("''", "'"), 7)]
    stays = stays and "'" not in text.replace("''", "")
    finding = judged(statement, text, database.dialect)
    assert (finding is None) == stays, (statement, finding)


@settings(max_examples=80, deadline=None)
@given(text=FRAGMENTS)
def test_a_number_is_found_when_it_is_more_than_a_number(database, text):
    rows = database.run("SELECT id FROM remora_u WHERE id = 1 ORDER BY id")
    statement = f"SELECT id FROM remora_u WHERE id = 1{text} ORDER BY id"
    whole = f"1{text}"
    if isinstance(judged(statement, whole, database.dialect), Finding):
        return
    answer = database.run(statement)
    assert isinstance(answer, str) or answer == rows or whole.strip().isalnum(), (
        statement
    )


@settings(max_examples=150, deadline=None)
@given(
    statement=st.text(max_size=80),
    texts=st.lists(st.text(max_size=10), max_size=5),
    dialect=st.sampled_from(["sqlite", "postgresql", "mysql", "generic", "what"]),
)
def test_no_text_makes_it_raise(statement, texts, dialect):
    inputs = Inputs(Input(text, "body", "x") for text in [*texts, statement[3:20]])
    verdict = sql.judge(statement, inputs, dialect)
    assert verdict is None or isinstance(verdict, (Finding, NotMade))


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql"])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT a.b, 'it''s', 1.5 FROM t AS x WHERE y <> 'z' AND w >= 10 -- end",
        "INSERT INTO t (a, b) VALUES (1, 'x'), (-2, 'y''z')",
        "UPDATE t SET a = a || 'b' WHERE id IN (1, 2, 3) /* why */",
    ],
)
def test_tokens_are_those_that_sqlglot_sees(statement, dialect):
    reader = Reader(statement, lexer_of(dialect))
    reader.around(0, len(statement))
    ours = [token.start for token in reader.tokens if token.kind != "comment"]
    name = {"postgresql": "postgres"}.get(dialect, dialect)
    theirs = [token.start for token in sqlglot.tokenize(statement, read=name)]
    assert ours == theirs


@pytest.mark.parametrize("case", CORPUS["miss"], ids=lambda case: case["template"])
def test_what_is_listed_as_missed_still_works_as_an_attack(database, case):
    statement = case["template"].replace("{x}", case["text"])
    assert database.run(statement) != meant(database, case, case["text"])
    assert judged(statement, case["text"], database.dialect) is None, "move it"
