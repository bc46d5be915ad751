"""What it costs to put a probe on many functions, counted in Python calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

from remora.agent.probes import Handle, Probes
from remora.protocol import parse_probe

INSTALL, REMOVE = 140, 10
"""Python calls a function; ten thousand are installed in under a second and removed in
under a tenth of one (benchmarks/hooks.py)."""


def calls(function: Callable[[], object]) -> int:
    count = 0

    def note(frame, event, argument) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


def per_function(install: Callable[[str], Callable[[], object]]) -> tuple[float, float]:
    """Calls to install and to remove, for each function beyond the first hundred."""
    counts: list[tuple[int, int]] = []
    for functions in (100, 300):
        module = ModuleType("budget_many")
        text = (f"def f{n}(a, b=1):\n    return a" for n in range(functions))
        exec("\n".join(text), vars(module))
        sys.modules["budget_many"] = module
        removals: list[Callable[[], object]] = []
        installed = calls(lambda found=removals: found.append(install("budget_many:*")))
        counts.append((installed, calls(removals[0])))
        del sys.modules["budget_many"]
    (few, few_back), (many, many_back) = counts
    return (many - few) / 200, (many_back - few_back) / 200


def test_a_probe_on_many_functions_costs_few_calls_each(probes: Probes) -> None:
    def install(target: str) -> Callable[[], object]:
        keys = {"id": "p", "target": target, "when": "a > 1000", "log": "{a} {b}"}
        probes.add([parse_probe(keys)])
        assert probes.statuses()[0].state.value == "installed"
        return lambda: probes.remove(["p"])

    to_install, to_remove = per_function(install)
    assert to_install <= INSTALL
    assert to_remove <= REMOVE


def test_a_local_hook_on_many_functions_costs_few_calls_each(probes: Probes) -> None:
    def install(target: str) -> Callable[[], object]:
        return Handle(target, {"pre": lambda a: None}, probes).remove

    to_install, to_remove = per_function(install)
    assert to_install <= INSTALL
    assert to_remove <= REMOVE
