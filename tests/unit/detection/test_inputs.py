"""Inputs, their forms, and the question whether any of them is in an argument."""

from hypothesis import given, settings
from hypothesis import strategies as st

from remora.detection import Input, Inputs, NotMade, add_forms, join_parts, path
from remora.detection import inputs as inputs_module
from remora.detection.inputs import ARGUMENT_LIMIT, INPUTS_LIMIT

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


def test_what_exceeds_a_bound_is_not_made_and_never_silence(monkeypatch):
    many = of(*map(str, range(INPUTS_LIMIT + 1)))
    assert many.cut
    verdict = path.judge("/srv/a", many)
    assert isinstance(verdict, NotMade)
    assert verdict.occurs
    assert isinstance(path.judge("a" * (ARGUMENT_LIMIT + 1), of("../a")), NotMade)
    monkeypatch.setattr(inputs_module, "_QUICK_WORK", 10)
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


def test_values_of_a_repeated_parameter_are_joined():
    parts = [Input("1 O", "query", "x"), Input("R 1=1", "query", "x")]
    assert "1 OR 1=1" in {each.text for each in join_parts(parts)}


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60))
def test_no_text_makes_the_forms_raise(text):
    assert next(iter(add_forms([Input(text, "query", "x")]))).text == text
    list(add_forms([Input(text, "query", "x")]))
