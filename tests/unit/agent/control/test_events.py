from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.agent.control.events import EventReader, ServerEvent
from remora.errors import WireError

STREAM = (
    b"\xef\xbb\xbf: ping\n\nevent: push\r\ndata: one\r\ndata: two\r\n\r\n"
    b"data:bare\rid: 7\r\revent: empty\n\nretry: 5\nevent: query\ndata: x\n\n"
)
EVENTS = [
    ServerEvent("push", b"one\ntwo"),
    ServerEvent("message", b"bare"),
    ServerEvent("query", b"x"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_a_stream_reads_the_same_wherever_it_is_split(cuts):
    reader = EventReader()
    events = []
    places = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(places):
        events += reader.feed(STREAM[start:end])
    assert events == EVENTS


def test_byte_by_byte_is_the_same():
    reader = EventReader()
    events = [event for byte in STREAM for event in reader.feed(bytes([byte]))]
    assert events == EVENTS


@pytest.mark.parametrize("data", [b"x" * 200, b"data: 1234567890\n" * 20])
def test_an_event_has_a_bound(data):
    with pytest.raises(WireError, match="exceeds 100 bytes"):
        EventReader(100).feed(data)


def test_an_unfinished_event_is_not_given_out():
    assert EventReader().feed(b"event: push\ndata: half\n") == []
