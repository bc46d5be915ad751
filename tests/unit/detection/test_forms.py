"""Needles of texts: one of them stands wherever a text or a form of it does."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from remora.detection import Input, add_forms, needles_of

PARTS = st.sampled_from(
    ["a", "b1", "name", "x_y", "'", '"', '"', " ", " ", ",", ",", ", ", "|", ";",
     '": "', '", "', "{", "[", "}", ":", "/", "..", "../", ".", "=", "&", "%27", "+",
     "--", "\\", "  ", "\n", "<b>", "?", "(", "-x", "0", "1234", " 12345678", "QUJD",
     " YTsgaWQ", "K", "abcdefgh", "eyJhYmNkZWY", "O'Brien", "Alice Example", "OR 1=1",
     "\x01"]
)  # fmt: skip
TEXTS = st.lists(PARTS, max_size=14).map("".join)


def stands_in(needles, form: str) -> bool:
    """A form that is no word is found by what is no word: words may not matter."""
    text = form.lower()
    if re.fullmatch(r"\w+", text):
        wanted = needles.words | needles.others
        return (len(text) == 1 and text != "0") or any(each in text for each in wanted)
    return any(each in text for each in needles.others)


@settings(max_examples=1500, deadline=None)
@given(TEXTS)
@example('{"name": "Alice Example", "tags": ["a", "b"]}')
@example("""{"name": "O'Brien", "at": ["12, 34", 5]}""")
@example('["a, b, c, d", "", 12]')
@example('x, 12345678, "Q')
@example("x, YTsgaWQ, y")
def test_a_needle_stands_in_each_form_of_a_text(text):
    needles = needles_of([text])
    if needles is None:
        return
    for each in add_forms([Input(text, "body", "")]):
        assert not each.text or stands_in(needles, each.text), each


@pytest.mark.parametrize(
    "argument",
    [
        "select name, number from item where name = ? and number > 12",
        'select "item"."name", "item"."tags" from "item" where "item"."number" = %s',
        "/srv/app/templates/name.html",
    ],
)
def test_a_document_is_no_needle_by_its_names_and_signs(argument):
    """Each request of an API would have to be read, and its forms be made."""
    needles = needles_of(
        ['{"name": "Alice Example", "number": 12, "tags": ["ab", "cd"]}']
    )
    assert not [each for each in needles.words | needles.others if each in argument]
