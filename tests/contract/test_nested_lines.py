"""Functions within functions beside probes on lines of them and around them."""

from __future__ import annotations

import itertools

import pytest

from remora.agent.probes import Handle
from remora.agent.runtime import code_constants

pytestmark = pytest.mark.skipif(
    not code_constants.CAN_EXCHANGE,
    reason="refused here, as test_every_kind.py asserts",
)

TEXT = """
    def make(n):
        m = n + 1  # outer
        def inner(value):
            v = value + m  # inner
            return v
        return inner
    early = make(10)
"""
NESTED, KEPT, PARENT = "make.<locals>.inner", "early", "make"


ORDERS = list(itertools.permutations(range(3)))


@pytest.mark.parametrize(
    "others", [("outer", "inner"), (KEPT, "inner"), (PARENT, "outer")]
)
@pytest.mark.parametrize(
    ("install", "remove"),
    [(order, other) for order in ORDERS for other in (order, order[::-1])],
)
def test_lines_and_closures_in_any_order(lines, others, install, remove) -> None:
    module = lines.load(TEXT)
    names = (NESTED, *others)
    parent, inner = module.make.__code__, module.early.__code__
    seen: list[object] = []
    handles: dict[str, Handle] = {}
    wanted: set[str] = set()

    def check() -> None:
        seen.clear()
        lines.records.clear()
        late = module.make(1)
        assert (late(5), module.early(5)) == (7, 16)
        expected = {
            PARENT: 1,
            "outer": 1,
            "inner": 2,
            KEPT: 1,
            NESTED: 2,
        }
        fired = [*seen, *lines.messages]
        for name, count in expected.items():
            assert fired.count(name) == count * (name in wanted), name

    for name in (names[n] for n in install):
        if name in {"outer", "inner"}:
            assert lines.add(name, name=name, log=name).state.value == "installed"
        else:
            phases = {"pre": lambda name=name: seen.append(name)}
            handles[name] = Handle(f"line_subject:{name}", phases, lines.probes)
        wanted.add(name)
        check()
    late = module.make(1)
    for name in (names[n] for n in remove):
        if name in handles:
            handles[name].remove()
        else:
            lines.remove(name)
        wanted.discard(name)
        check()
    assert module.make.__code__ is parent
    assert module.early.__code__ is late.__code__ is inner
    assert module.make(1).__code__ is inner
