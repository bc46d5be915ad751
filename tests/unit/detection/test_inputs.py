"""Inputs, their forms, and the question whether any of them is in an argument."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.detection import Input, Inputs, NotMade, add_forms, forms, join_parts, path
from remora.detection import inputs as inputs_module
from remora.detection.inputs import ARGUMENT_LIMIT, INPUTS_LIMIT, locate

TEXT = st.text("abé-\U0001f600", max_size=40)


def of(*texts):
    return Inputs(Input(text, "query", "x") for text in texts)


@settings(max_examples=200, deadline=None)
@given(
    argument=st.text("abé-\U0001f600", max_size=200),
    texts=st.lists(TEXT),
    data=st.data(),
)
def test_sifting_many_inputs_loses_none(argument, texts, data):
    start = data.draw(st.integers(0, len(argument)))
    texts.append(argument[start : start + data.draw(st.integers(0, 40))])
    given_inputs = of(*texts)
    kept = {each.text for each in given_inputs._sift(argument, list(given_inputs))}
    assert {text for text in texts if text in argument} <= kept


@settings(max_examples=300, deadline=None)
@given(
    argument=st.one_of(st.text("ab-", max_size=120), st.text("abé-", max_size=120)),
    texts=st.lists(st.text("ab-", max_size=30), max_size=8),
    data=st.data(),
)
def test_every_place_is_found_by_pieces_as_by_searching(argument, texts, data):
    for _ in range(3):
        start = data.draw(st.integers(0, len(argument)))
        texts.append(argument[start : start + data.draw(st.integers(7, 40))])
    texts = [text for text in dict.fromkeys(texts) if text]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs_module, "_QUICK_WORK", -1)
        patch.setattr(inputs_module, "_PLAIN_WORK", -1)
        found = of(*texts).occurring(argument, lambda _: True)
    expected = {
        (text, start)
        for text in texts
        for start in range(len(argument))
        if argument.startswith(text, start)
    }
    places = locate(argument, found)
    assert {(place.input.text, place.start) for place in places} == expected
    assert len(places) == len(expected)


def test_pieces_that_stand_everywhere_are_left_to_a_search(monkeypatch):
    monkeypatch.setattr(inputs_module, "_PLAIN_WORK", 10)
    monkeypatch.setattr(inputs_module, "_LOOKS_LIMIT", 10)
    found = of("aaaaaaaab", "aaaaaaaac").occurring("a" * 400 + "b", bool)
    assert [each.text for each in found] == ["aaaaaaaab"]


def test_what_exceeds_a_bound_is_not_made_and_never_silence(monkeypatch):
    many = of(*map(str, range(INPUTS_LIMIT + 1)))
    assert many.cut
    verdict = path.judge("/srv/a", many)
    assert isinstance(verdict, NotMade)
    assert verdict.occurs
    assert isinstance(path.judge("a" * (ARGUMENT_LIMIT + 1), of("../a")), NotMade)
    monkeypatch.setattr(inputs_module, "_QUICK_WORK", 10)
    monkeypatch.setattr(inputs_module, "_PLAIN_WORK", 10)
    monkeypatch.setattr(inputs_module, "_SEARCH_WORK", 10)
    assert isinstance(path.judge("/srv/../a/b/c/d", of("../a", "../b")), NotMade)
    places = "../" * (inputs_module.OCCURRENCES_LIMIT + 1)
    monkeypatch.undo()
    assert isinstance(path.judge("/a/" + places.replace("/", "."), of("..")), NotMade)


def test_forms_are_what_apps_decode():
    made = {each.text for each in add_forms([Input("JyBPUiAxPTE=", "query", "x")])}
    assert "' OR 1=1" in made
    made = {each.text for each in add_forms([Input("%2527 &lt;", "query", "x")])}
    assert {"%27 &lt;", "' &lt;", "%2527 <"} <= made
    made = {each.text for each in add_forms([Input("\uff07x", "query", "x")])}
    assert "'x" in made


def test_what_apps_decode_or_escape_is_odd():
    odd = {chr(code) for code in range(0x300) if forms._ODD(chr(code))}
    assert odd == {*"%+&'\"\\<{|,;?=\t\r\n\0", *map(chr, range(0x80, 0x300))}
    assert forms._ODD("\U0010ffff")


def test_values_of_a_repeated_parameter_are_joined():
    parts = [Input("1 O", "query", "x"), Input("R 1=1", "query", "x")]
    assert "1 OR 1=1" in {each.text for each in join_parts(parts)}


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60))
def test_no_text_makes_the_forms_raise(text):
    assert next(iter(add_forms([Input(text, "query", "x")]))).text == text
    list(add_forms([Input(text, "query", "x")]))
