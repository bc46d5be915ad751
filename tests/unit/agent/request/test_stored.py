"""Texts of requests that were stored are known when they come back from a database."""

from __future__ import annotations

import collections
import html
import json
import os
import sqlite3

import pytest

from remora.agent.request import (
    RequestContext,
    inputs_of,
    protection,
    stored,
    turn_protection,
)
from remora.agent.request.stored import StoredTexts
from remora.detection import Input, Inputs, add_forms

INSERT = "INSERT INTO t VALUES (?)"
ATTACK = "x' OR '1'='1"


@pytest.fixture
def table():
    return StoredTexts()


def send(table, *texts, statement=INSERT, source="form"):
    request = RequestContext()
    request.client = "10.0.0.1"
    inputs = Inputs(add_forms([Input(text, source, "n") for text in texts]))
    table.store(request, statement, inputs)


def met(table, rows):
    request = RequestContext()
    table.meet(request, rows)
    return request.stored


@pytest.mark.parametrize(
    "statement",
    [
        INSERT,
        " update t set a = ?",
        "/* by */ -- us\n COPY t FROM STDIN",
        "WITH a AS …",
    ],
)
def test_what_a_writing_statement_may_have_stored_is_known(table, statement) -> None:
    send(table, ATTACK, statement=statement)
    assert met(table, [("a", ATTACK)]) == {ATTACK: "address:10.0.0.1"}


def test_reading_stores_nothing(table) -> None:
    send(table, ATTACK, statement="SELECT * FROM t WHERE name = ?")
    assert met(table, [(ATTACK,)]) == {}


def test_the_forms_that_apps_give_a_text_are_known_as_well(table) -> None:
    send(table, f"  {ATTACK} ", "y'+OR+'2'='2")
    assert len(met(table, [(ATTACK, "y' OR '2'='2")])) == 2


CHANGED = [
    ATTACK.upper(),
    f"  {ATTACK}\n",
    ATTACK.replace(" ", "  "),
    html.escape(ATTACK),
    html.escape(ATTACK).replace("&#x27;", "&#39;"),
    json.dumps({"name": ATTACK, "age": 7}),
    json.dumps([{"deep": {"er": [ATTACK]}}]),
    json.dumps(ATTACK),
]
"""What apps make of a text before they store it, and read again."""


@pytest.mark.parametrize("changed", CHANGED)
def test_a_text_is_known_as_apps_change_it_before_they_store_it(table, changed) -> None:
    send(table, ATTACK)
    assert set(met(table, [(1, changed)]).values()) == {"address:10.0.0.1"}


def test_texts_that_look_like_json_cost_no_more_than_a_bound(table, monkeypatch):
    send(table, ATTACK)
    parsed = []
    monkeypatch.setattr(stored.json, "loads", parsed.append)
    texts = ["[" + "1," * 30_000] * 50
    met(table, [tuple(texts)])
    assert sum(map(len, parsed)) <= stored.JSON_LIMIT
    monkeypatch.undo()
    assert met(table, ["[" * 100_000, "{", '"x', f'["{ATTACK}"']) == {}


def test_words_and_articles_are_not_kept(table) -> None:
    send(table, "word", "'", "y" * 5000 + "'")
    assert met(table, ["word", "'", "y" * 5000 + "'"]) == {}


def test_values_are_found_in_rows_of_every_kind(table) -> None:
    row = collections.namedtuple("Row", "a b")
    texts = [f"a'{number}" for number in range(6)]
    send(table, *texts)
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    rows = [
        (texts[0], 1, None, b"x"),
        {"name": texts[1], "more": {"list": [texts[2]]}},
        row(texts[3], 2.0),
        connection.execute("SELECT ?", [texts[4]]).fetchone(),
        texts[5],
    ]
    assert set(met(table, rows)) == set(texts)
    connection.close()


def test_no_code_of_a_row_is_run(table) -> None:
    class Row(tuple):
        __slots__ = ()

        def __iter__(self):
            raise AssertionError

    class Text(str):
        __slots__ = ()

        def __hash__(self):
            raise AssertionError

    send(table, ATTACK)
    assert met(table, [Row((ATTACK, Text("a'"), object()))]) != {}


def test_a_fetch_without_end_is_looked_at_up_to_the_bound(table, monkeypatch) -> None:
    monkeypatch.setattr(stored, "VALUES_LIMIT", 10)
    send(table, ATTACK)
    deep: list[object] = []
    deep.append(deep)
    assert met(table, deep) == {}
    assert met(table, [*range(100), ATTACK]) == {}


def test_a_request_looks_for_so_many_stored_texts_and_no_more(
    table, monkeypatch
) -> None:
    monkeypatch.setattr(stored, "TEXTS_LIMIT", 3)
    texts = [f"a'{number}" for number in range(10)]
    send(table, *texts)
    assert len(met(table, texts)) == 3


def test_the_table_stays_as_large_as_it_is_and_forgets(table, monkeypatch) -> None:
    monkeypatch.setattr(stored, "PLACES", 64)
    texts = [f"a'{number}" for number in range(300)]
    send(table, *texts)
    assert 0 < len(met(table, texts)) <= 64
    # alone: forms of it might take its own place
    table.store(RequestContext(), INSERT, Inputs([Input("the' last", "form", "n")]))
    assert met(table, ["the' last"]) != {}


def test_what_came_back_is_not_stored_under_another_name(table) -> None:
    send(table, ATTACK)
    request = RequestContext()
    request.client = "10.9.9.9"
    table.store(request, INSERT, Inputs([Input(ATTACK, "stored", "")]))
    assert table.sender_of(ATTACK) == "address:10.0.0.1"


def test_forked_processes_share_the_table(table) -> None:
    pid = os.fork()
    if not pid:
        try:
            send(table, ATTACK)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert table.sender_of(ATTACK) == "address:10.0.0.1"


def test_stored_texts_are_inputs_and_a_requests_own_come_first() -> None:
    request = RequestContext()
    request.source = {"QUERY_STRING": "a=b'c"}
    assert inputs_of(request).named("d'e") is None
    request.stored = {"b'c": "user:eve", "d'e": "user:eve"}
    assert inputs_of(request).named("b'c").source == "query"
    found = inputs_of(request).named("d'e")
    assert (found.source, found.parameter) == ("stored", "user:eve")


def test_there_is_no_table_unless_it_is_asked_for(monkeypatch) -> None:
    turn_protection("block")
    assert protection.stored is None
    monkeypatch.setattr(protection, "keeps_stored", True)
    turn_protection("block")
    kept = protection.stored
    turn_protection("watch")
    assert protection.stored is kept is not None
    protection.end()
    assert protection.stored is None
