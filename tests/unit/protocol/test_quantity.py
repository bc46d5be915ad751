"""What is written can be read again: agents get quantities as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.protocol.quantity import (
    format_duration,
    format_rate,
    format_share,
    parse_duration,
    parse_rate,
    parse_share,
)

PAIRS = {
    "duration": (parse_duration, format_duration, 86400.0 * 366),
    "rate": (parse_rate, format_rate, 1e9),
    "share": (parse_share, format_share, 1.0),
}


@pytest.mark.parametrize("name", PAIRS)
@given(data=st.data())
def test_a_quantity_that_was_written_is_read_back(name, data):
    parse, write, largest = PAIRS[name]
    value = data.draw(st.floats(1e-6, largest))
    assert parse(write(value), "key") == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "key"),
    [("1000000/s", "rate"), ("0.0000001%", "share"), ("20000001s", "duration")],
)
def test_large_and_small_ones_have_no_exponent(text, key):
    parse, write, _ = PAIRS[key]
    again = write(parse(text, key))
    assert "e" not in again
    assert parse(again, key) == parse(text, key)


def test_fractions_are_written_as_people_do():
    assert format_duration(0.3) == "300ms"
    assert format_rate(parse_rate("10/m", "key")) == "10/m"
    assert format_share(0.07) == "7%"
