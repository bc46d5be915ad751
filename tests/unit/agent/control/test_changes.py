from hypothesis import given
from hypothesis import strategies as st

from remora.agent.control import plan
from remora.protocol import parse_probe


def make(name, target="a:b"):
    return parse_probe({"id": name, "target": target, "log": "x"})


def test_what_is_new_changed_and_gone_is_told_apart():
    installed = {name: make(name) for name in ("same", "old", "gone")}
    wanted = [make("new"), make("old", "a:other"), make("same")]
    changes = plan(installed, wanted)
    assert changes.remove == ("gone",)
    assert changes.replace == (wanted[1],)
    assert changes.add == (wanted[0],)
    assert changes


def test_equal_sets_change_nothing():
    assert not plan({"a": make("a")}, [make("a")])


names = st.sampled_from("abcdef")
probes = st.builds(make, names, st.sampled_from(["m:f", "m:g"]))


@given(st.lists(probes), st.lists(probes))
def test_carrying_out_the_plan_gives_what_is_wanted(before, wanted):
    installed = {probe.id: probe for probe in before}
    changes = plan(installed, wanted)
    for name in changes.remove:
        del installed[name]
    for probe in changes.replace:
        assert installed[probe.id] != probe
        installed[probe.id] = probe
    for probe in changes.add:
        assert probe.id not in installed
        installed[probe.id] = probe
    assert installed == {probe.id: probe for probe in wanted}
