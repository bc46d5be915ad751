"""Pushes with probes out of shape: taken whole or refused, and the agent goes on."""

import json
import sys
from types import ModuleType

import pytest
from fuzzed import PLACES, WHOLE, at_each_place, fuzzed_at
from hypothesis import given
from hypothesis import strategies as st

from remora.agent.control import parse_push
from remora.protocol import parse_probe


@pytest.fixture
def shop():
    module = ModuleType("fuzzed_shop")
    exec("def charge(amount):\n    return amount\n", module.__dict__)
    sys.modules["fuzzed_shop"] = module
    yield module
    del sys.modules["fuzzed_shop"]


@pytest.mark.parametrize("place", PLACES, ids=str)
@given(data=st.data())
@at_each_place
def test_the_agent_takes_a_probe_whole_or_says_why_not(bench, shop, place, data):
    table = data.draw(fuzzed_at(place))
    code = shop.charge.__code__
    good = parse_probe({**WHOLE, "id": "good", "limit": {}}).to_json()
    message = json.dumps({"revision": 1, "probes": [good, table]})
    push = parse_push(message.encode())
    bench.probes.add(push.probes, "protect")
    bench.probes.remember_refused(push.refused)
    try:
        assert shop.charge(7) == 7
        said = {status.probe: status for status in bench.probes.statuses()}
        assert said["good"].state.value == "installed"
        others = [status for name, status in said.items() if name != "good"]
        assert len(others) == (table["id"] != "good")
        assert all(status.reason for status in others)
    finally:
        bench.probes.clear()
    assert shop.charge.__code__ is code
