"""Statements judged as the real databases understand them."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.detection import Finding, Input, Inputs, NotMade, add_forms, sql
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
    if case.get("only", database.dialect) != database.dialect:
        return
    for text in case["attacks"]:
        statement = case["template"].replace("{x}", text)
        assert isinstance(judged(statement, text, database.dialect), Finding), text
        value = "1" if case.get("number") else text
        assert database.run(statement) != meant(database, case, value), text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["template"])
def test_honest_input_is_passed(database, case):
    if case.get("only", database.dialect) != database.dialect:
        return
    for text in case["honest"]:
        statement = case["template"].replace("{x}", text)
        assert judged(statement, text, database.dialect) is None, text
        rows = database.run(statement)
        assert isinstance(rows, list), (text, rows)
        if not case.get("free"):
            assert rows == meant(database, case, text), text


def test_a_text_in_quotes_is_found_when_the_answer_is_not_that_text(database):
    tally = Counter()

    @settings(max_examples=150, deadline=None)
    @given(text=FRAGMENTS)
    def check(text):
        if len(text) < 2 or not text.strip("'\"`"):
            return  # quotes alone stand wherever a literal ends
        if database.dialect == "mysql" and "\\" in text:
            return
        statement = f"SELECT '{text}', 'tail', 7"
        meant_rows = [(text.replace("''", "'"), "tail", 7)]
        stays = database.run(statement) == meant_rows
        stays = stays and "'" not in text.replace("''", "")
        finding = judged(statement, text, database.dialect)
        assert (finding is None) == stays, (statement, finding)
        tally[stays] += 1

    check()
    assert min(tally[True], tally[False]) > 3, tally


def test_a_text_with_backslashes_is_found_when_the_answer_changes(database):
    """Where they escape, MariaDB and E'…', a text may end in one of them."""
    opening = {"mysql": "'", "postgresql": "E'"}.get(database.dialect)
    if opening is None:
        return
    tally = Counter()

    @settings(max_examples=150, deadline=None)
    @given(text=FRAGMENTS.map(lambda text: text.replace('"', "\\")))
    def check(text):
        if len(text) < 2 or not text.strip("'\"`"):
            return
        statement = f"SELECT {opening}{text}', 'tail', 7"
        rows = database.run(statement)
        stays = isinstance(rows, list) and rows[0][1:] == ("tail", 7)
        # and not two literals beside each other, or `'' or ''`
        stays = stays and "'" not in re.sub(r"\\.|''", "", text, flags=re.DOTALL)
        finding = judged(statement, text, database.dialect)
        if stays:
            assert finding is None, (statement, finding)
        elif finding is None:
            # an escape that means nothing, within the literal: \u, \x
            assert isinstance(rows, str), statement
            assert re.search(r"\\[xuU0-9]", text), statement
        tally[stays] += 1

    check()
    assert min(tally[True], tally[False]) > 3, tally


def test_a_number_is_found_when_it_is_more_than_a_number(database):
    tally = Counter()
    rows = database.run("SELECT id FROM remora_u WHERE id = 1 ORDER BY id")

    @settings(max_examples=150, deadline=None)
    @given(text=FRAGMENTS)
    def check(text):
        statement = f"SELECT id FROM remora_u WHERE id = 1{text} ORDER BY id"
        whole = f"1{text}"
        finding = judged(statement, whole, database.dialect)
        tally[finding is None] += 1
        if isinstance(finding, Finding):
            return
        answer = database.run(statement)
        stays = isinstance(answer, str) or answer == rows or whole.strip().isalnum()
        assert stays, statement

    check()
    assert min(tally[True], tally[False]) > 3, tally


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


@settings(max_examples=150, deadline=None)
@given(text=FRAGMENTS)
def test_a_text_that_the_app_has_quoted_is_passed(database, text):
    text = f"ab{text}"  # shorter ones stand elsewhere in it by chance
    if database.dialect == "mysql" and "\\" in text:
        quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    else:
        quoted = text.replace("'", "''")
    statement = f"SELECT '{quoted}', 'tail', 7"
    assert database.run(statement) == [(text, "tail", 7)]
    inputs = Inputs(add_forms([Input(text, "query", "x")]))
    assert sql.judge(statement, inputs, database.dialect) is None, statement
