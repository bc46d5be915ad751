"""Arguments of sinks as texts, by reads that run no code of the app."""

from __future__ import annotations

import os
import pathlib
import socket

import pytest
from psycopg import sql

from remora.agent.actions.sink_values import (
    addresses_of,
    host_of,
    says_nothing,
    text_of,
    texts_of,
)


class Loud:
    def __getattribute__(self, name):
        raise AssertionError(name)

    def __fspath__(self):
        raise AssertionError

    __str__ = __repr__ = __iter__ = __fspath__


class LoudText(str):
    __slots__ = ()

    def __str__(self):
        raise AssertionError

    __iter__ = __len__ = __getitem__ = __str__


class LoudBytes(bytes):
    def decode(self, *_):
        raise AssertionError

    __bytes__ = __iter__ = decode


class LoudPath(pathlib.PosixPath):
    def __fspath__(self):
        raise AssertionError

    __str__ = __fspath__


class LoudList(list):
    def __iter__(self):
        raise AssertionError

    __getitem__ = __len__ = __iter__


def test_texts_bytes_and_paths_are_read_and_their_subclasses_too(tmp_path) -> None:
    (tmp_path / "file").touch()
    (entry,) = os.scandir(tmp_path)
    for value, text in (
        ("a", "a"),
        (LoudText("a"), "a"),
        (b"\xff", "\udcff"),
        (LoudBytes(b"a"), "a"),
        (bytearray(b"a"), "a"),
        (pathlib.Path("/a"), "/a"),
        (pathlib.PurePosixPath("/a"), "/a"),
        (entry, str(tmp_path / "file")),
        (LoudPath("/a"), None),
        (Loud(), None),
        (LoudList(["a"]), None),
        ({}, None),
    ):
        assert text_of(value) == text


def test_lists_are_read_whole_or_not_at_all() -> None:
    assert texts_of(["a", b"b", pathlib.Path("c")]) == ["a", "b", "c"]
    assert texts_of(("a", Loud())) is None
    assert texts_of(LoudList(["a"])) is None
    assert texts_of("ab") is None


def test_what_holds_no_text_is_no_argument_to_judge() -> None:
    for value in (None, 3, True, 1.5):
        assert says_nothing(value)
    assert not says_nothing("")
    assert not says_nothing(Loud())


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (sql.SQL("SELECT 1"), "SELECT 1"),
        (
            sql.SQL("SELECT {} FROM t WHERE a = {} AND b = {}").format(
                sql.Identifier("x"), sql.Literal("' OR 1=1"), sql.Placeholder()
            ),
            "SELECT \"name\" FROM t WHERE a = 'text' AND b = %s",
        ),
        (
            sql.SQL(", ").join([sql.SQL("a"), sql.Composed([sql.SQL("b")])]),
            "a, b",
        ),
        (sql.SQL("SELECT ") + sql.SQL("' OR 1=1"), "SELECT ' OR 1=1"),
    ],
)
def test_a_composed_statement_shows_its_own_text_and_stand_ins(statement, text) -> None:
    assert text_of(statement) == text


def test_a_statement_within_itself_is_given_up() -> None:
    endless = sql.Composed([])
    endless._obj.append(endless)
    assert text_of(endless) is None


def test_hosts_and_addresses_are_found_in_what_the_socket_module_uses() -> None:
    assert host_of(("localhost", 80)) == host_of("localhost") == "localhost"
    assert host_of(b"localhost") == "localhost"
    assert host_of(("::1", 80, 0, 0)) == "::1"
    found = socket.getaddrinfo("127.0.0.1", 80)
    assert "127.0.0.1" in addresses_of(found)
    assert "10.0.0.1" in addresses_of([{"hostname": "a", "host": "10.0.0.1"}])
    assert addresses_of(("name", ["alias"], ["10.0.0.1"]))[-1] == "10.0.0.1"
    assert addresses_of(None) == ()
