from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.agent.reporting.http1 import (
    AnswerReader,
    Body,
    End,
    Head,
    write_request,
)
from remora.errors import WireError


def read(data: bytes, cuts=(), method="GET", close=False):
    reader = AnswerReader(method)
    events = []
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        if start != end:
            reader.feed(data[start:end])
        while (event := reader.next_event()) is not None:
            events.append(event)
    if close:
        reader.feed(b"")
        while (event := reader.next_event()) is not None:
            events.append(event)
    return events


def whole(events):
    body = b"".join(event.data for event in events if isinstance(event, Body))
    return [e for e in events if not isinstance(e, Body)], body


COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n"
)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + COUNTED


@pytest.mark.parametrize("data", [COUNTED, CHUNKED, CONTINUED])
@given(cuts=st.lists(st.integers(0, 150), max_size=30))
def test_an_answer_reads_the_same_wherever_it_is_split(data, cuts):
    (head, end), body = whole(read(data, cuts))
    assert isinstance(head, Head)
    assert head.status == 200
    assert body == b"hello"
    assert end == End(keeps_alive=True)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_no_bytes_raise_anything_but_the_error_of_the_wire(data, cuts):
    for prefix in (b"", b"HTTP/1.1 200 OK\r\n", CHUNKED[:50]):
        with suppress(WireError):
            read(prefix + data, cuts, close=True)


def test_a_body_without_length_ends_with_the_connection():
    events = read(b"HTTP/1.1 200 OK\r\n\r\nhello", close=True)
    (_, end), body = whole(events)
    assert body == b"hello"
    assert end == End(keeps_alive=False)


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body(status):
    events = read(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status)
    assert [type(event) for event in events] == [Head, End]


def test_an_opened_tunnel_has_no_body():
    events = read(b"HTTP/1.1 200 Connection established\r\n\r\n", method="CONNECT")
    assert [type(event) for event in events] == [Head, End]


def test_close_and_old_versions_do_not_keep_the_connection():
    for data in (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ):
        assert read(data)[-1] == End(keeps_alive=False)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"SSH-2.0-x\r\n", "no HTTP answer"),
        (b"HTTP/2 200\r\n\r\n", "no HTTP/1.1 answer"),
        (b"HTTP/1.1 abc\r\n\r\n", "no HTTP/1.1 answer"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "no header"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no number"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "upgrade"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n", "more than 100"),
        (b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000, "exceeds"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", "no number"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 500,
            "longer than",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            "followed by",
        ),
    ],
)
def test_a_breach_is_named(data, words):
    with pytest.raises(WireError, match=words):
        read(data)


@pytest.mark.parametrize("data", [COUNTED[:20], COUNTED[:-1], CHUNKED[:-20]])
def test_half_an_answer_is_an_error_when_the_connection_closes(data):
    with pytest.raises(WireError, match="closed in the"):
        read(data, close=True)


def test_a_request_has_no_line_break_in_a_header():
    assert write_request("GET", "/x", [("A", "b")], None) == (
        b"GET /x HTTP/1.1\r\nA: b\r\n\r\n"
    )
    with pytest.raises(WireError, match="line break"):
        write_request("GET", "/x", [("A", "b\r\nEvil: yes")], 3)
