"""Overrides as values: what is accepted, and that it travels whole."""

import pytest

from remora.errors import RemoraError
from remora.protocol import parse_probe

PROBE = {"id": "p", "target": "m:f"}


@pytest.mark.parametrize(
    "override",
    [
        {"return": "None"},
        {"return": "[1, amount]", "mode": "watch"},
        {"raise": "PermissionError: not for {user.id}, {{really}}"},
        {"raise": "KeyError"},
        {"raise": "ValueError: {amount}"},
        {"arguments": {"name": "'old'", "other": "name"}},
    ],
)
def test_an_override_travels_whole(override):
    probe = parse_probe({**PROBE, "override": override})
    assert parse_probe(probe.to_json()) == probe
    assert parse_probe(probe.to_source()) == probe
    assert probe.to_source()["override"] == override
    assert probe.acts == ("mode" not in override)


def test_the_class_and_the_message_of_raise_are_told_apart():
    probe = parse_probe({**PROBE, "override": {"raise": "KeyError: no {name}: gone"}})
    assert probe.override is not None
    name, message = probe.override.raised
    assert name == "KeyError"
    assert [getattr(p, "text", p) for p in message.parts] == ["no ", "name", ": gone"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"override": "x"}, "is no table"),
        ({"override": {}}, "nothing to do"),
        ({"override": {"return": "1", "raise": "KeyError"}}, "return and raise"),
        ({"override": {"return": "1", "wat": 1}}, "has no key 'wat'"),
        ({"override": {"return": 1}}, "override.return"),
        ({"override": {"return": "f("}}, "override.return"),
        ({"override": {"raise": "SystemExit: now"}}, "names no exception"),
        ({"override": {"raise": "StopIteration"}}, "names no exception"),
        ({"override": {"raise": "app.errors.Wrong: x"}}, "names no exception"),
        ({"override": {"raise": "{name}: x"}}, "names no exception"),
        ({"override": {"raise": ""}}, "names no exception"),
        ({"override": {"arguments": {}}}, "is no table of 1 to 20"),
        ({"override": {"arguments": {"a": "("}}}, "override.arguments.a"),
        ({"override": {"arguments": {"a": "1"}}, "phase": "post"}, "too late"),
        ({"override": {"return": "1", "mode": "block"}}, "'act' or 'watch'"),
        ({"override": {"return": "1"}, "target": "m.py:3"}, "a line has none"),
        ({"request": {"kind": "custom"}, "log": "x"}, "request stands alone"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_key(keys, words):
    with pytest.raises(RemoraError, match=words.replace("(", r"\(")):
        parse_probe({**PROBE, **keys})


def test_a_probe_with_an_empty_log_travels_whole():
    probe = parse_probe({**PROBE, "log": ""})
    assert parse_probe(probe.to_json()) == probe
    assert parse_probe(probe.to_source()) == probe
