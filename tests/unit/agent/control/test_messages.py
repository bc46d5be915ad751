"""What a push says of probes that this process is not to have."""

import json

import pytest

from remora.agent.control.messages import parse_push

PROBE = {"id": "p", "target": "m:f", "log": "x"}


def push(**keys):
    value = {"revision": 1, "probes": [PROBE], **keys}
    return parse_push(json.dumps(value).encode())


def test_what_is_held_back_fails_with_the_reason():
    made = push(held=[{"id": "fix", "reason": "not again"}])
    (status,) = made.refused
    assert (status.probe, status.state.value) == ("fix", "failed")
    assert status.reason == "not again"
    assert [probe.id for probe in made.probes] == ["p"]


@pytest.mark.parametrize(
    "held",
    [
        None,
        5,
        {},
        ["x"],
        [{"id": 5, "reason": "x"}],
        [{"id": "x"}],
        [{"id": "", "reason": "x"}],
        [{"id": "p", "reason": "both"}],
    ],
)
def test_nonsense_holds_nothing_back(held):
    assert push(held=held).refused == ()


def test_blocked_actors_come_with_a_push():
    assert push(blocked=["user:a", "network:192.0.2.0/24"]).blocked == (
        "user:a",
        "network:192.0.2.0/24",
    )
    assert push().blocked == ()


@pytest.mark.parametrize("blocked", [None, 5, {}, "user:a", [5, None, "x" * 9999]])
def test_nonsense_blocks_nobody(blocked):
    assert push(blocked=blocked).blocked == ()
