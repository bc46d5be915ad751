"""What line probes cost: `python benchmarks/lines.py [--quick] [--json]`.

A function of four lines with a probe on its third, in nanoseconds added to a call and
in the unit w: what one extra call of a Python function with two arguments adds in the
same run. Variants take turns, round by round, and the median counts; CPU time of this
thread only. Nothing here fails on time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from remora.agent.capture import SecretNames
from remora.agent.diagnostics import Diagnostics
from remora.agent.hooks import HookTable
from remora.agent.modules import ModuleStore
from remora.agent.probes import Probes
from remora.protocol import Instance, parse_probe

SUBJECT = """
def run(amount, account):
    fee = amount * 2
    total = fee + 1
    rest = total - amount
    return rest

def loop(n):
    for _ in range(n):
        run(1, 2)
"""
CALLS_ONE_MORE = """
def extra(amount, account):
    pass

def run(amount, account):
    fee = amount * 2
    total = fee + 1
    extra(amount, account)
    rest = total - amount
    return rest

def loop(n):
    for _ in range(n):
        run(1, 2)
"""
HAS_BRANCH = """
def run(amount, account):
    fee = amount * 2
    if fee is None:
        return account
    total = fee + 1
    rest = total - amount
    return rest

def loop(n):
    for _ in range(n):
        run(1, 2)
"""
BRANCH = 5
"""`return account`, which no call comes to."""

PROBED_LINE = 5
"""`rest = …` in the subject."""

NO_RATE = {"rate": "1000000000/s", "time": "100%"}
VARIANTS: dict[str, dict[str, object]] = {
    "count": {"count": True},
    "condition on a parameter is false": {"when": "amount > 5", "count": True},
    "condition on a local is false": {"when": "total > 50", "count": True},
    "condition on three locals is false": {
        "when": "total > 50 or fee > 50 or amount > 50",
        "count": True,
    },
    "count by a local": {"count": {"by": ["total"]}},
    "log over its rate": {"log": "{total}", "limit": {"rate": "1/h"}},
    "log": {"log": "{total}", "limit": NO_RATE},
    "snapshot of the locals": {"snapshot": ["locals"], "limit": NO_RATE},
}


def make_probes() -> Probes:
    """Probes of a process that sends its records nowhere."""
    store = ModuleStore(Diagnostics("off"))
    store.start()
    instance = Instance("id", "bench", "dev", "0", "host", 1, 0, 0, "CPython", "0")
    return Probes(
        store,
        HookTable(),
        lambda *_: True,
        SecretNames(()),
        lambda: instance,
        lambda: None,
    )


def measure(loop: Callable[[int], None], calls: int) -> float:
    """Nanoseconds a call."""
    start = time.thread_time_ns()
    loop(calls)
    return (time.thread_time_ns() - start) / calls


def prepare(folder: Path, probes: Probes) -> dict[str, ModuleType]:
    """A module for each variant, its loop warm before the probe comes."""
    names = ["bare", "one more call", *VARIANTS, "a line not come to", "removed"]
    modules: dict[str, ModuleType] = {}
    for number, name in enumerate(names):
        text, line = SUBJECT, PROBED_LINE
        if name == "one more call":
            text = CALLS_ONE_MORE
        if name == "a line not come to":
            text, line = HAS_BRANCH, BRANCH
        (folder / f"subject{number}.py").write_text(text)
        module = modules[name] = importlib.import_module(f"subject{number}")
        module.loop(2000)
        if number < 2:  # those without a probe
            continue
        target = f"{folder.name}/subject{number}.py:{line}"
        keys = VARIANTS.get(name, {"count": True})
        probes.add([parse_probe({"id": f"p{number}", "target": target, **keys})])
        status = probes.statuses()[-1]
        assert status.state.value == "installed", status.reason
        if name == "removed":
            module.loop(2000)
            probes.remove([status.probe])
    return modules


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rounds, calls = (5, 500) if options.quick else (41, 3000)
    probes = make_probes()
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        sys.dont_write_bytecode = True
        modules = prepare(Path(folder), probes)
        times: dict[str, list[float]] = {name: [] for name in modules}
        for _ in range(rounds):
            for name, module in modules.items():
                times[name].append(measure(module.loop, calls))
        mechanism = probes.statuses()[0].sites[0].mechanism
        probes.clear()
    medians = {name: statistics.median(values) for name, values in times.items()}
    bare = medians["bare"]
    unit = medians["one more call"] - bare
    report = {
        name: {"added_ns": round(value - bare, 1), "w": round((value - bare) / unit, 2)}
        for name, value in medians.items()
    }
    if options.json:
        print(json.dumps({"python": platform.python_version(), "lines": report}))
        return
    print(
        f"CPython {platform.python_version()}, {mechanism}, load "
        f"{os.getloadavg()[0]:.1f}; bare call {bare:.0f} ns, w = {unit:.0f} ns"
    )
    for name, row in report.items():
        print(f"{name:38} {row['added_ns']:+8.0f} ns {row['w']:8.1f} w")


if __name__ == "__main__":
    main()
