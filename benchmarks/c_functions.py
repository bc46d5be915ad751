"""What a probe on a C function costs, in w: `python benchmarks/c_functions.py`.

w is what a hand-written Python wrapper with one extra call adds around the same C
function, measured in the same run, round by round. Each function is redirected for its
rounds only. CPU time; the median of the rounds counts.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from remora.agent.diagnostics import Diagnostics
from remora.agent.hooks import HookTable
from remora.agent.interception import Step
from remora.agent.modules import ModuleStore
from remora.agent.targets import resolve
from remora.protocol import parse_target

CALLS, ROUNDS = 5_000, 31
BUDGET_W = 3.0
SUBJECTS: dict[str, tuple[object, str]] = {
    "time:time": (time.time, ""),
    "math:sqrt": (math.sqrt, "4.0"),
    "os:strerror": (os.strerror, "2"),
}


def _nothing() -> None:
    """The gate that does nothing."""


def _no_fault(error: BaseException) -> None:
    raise error


def loop(function: object, arguments: str) -> Callable[[int], None]:
    text = f"def loop(n):\n for _ in range(n): function({arguments})\n"
    namespace: dict[str, object] = {"function": function}
    exec(text, namespace)
    return namespace["loop"]  # type: ignore[return-value]


def by_hand(function: object, arguments: str) -> object:
    parameter = "value" if arguments else ""
    text = f"def wrapped({parameter}):\n hook()\n return function({parameter})\n"
    namespace: dict[str, object] = {"function": function, "hook": _nothing}
    exec(text, namespace)
    return namespace["wrapped"]


def spent(run: Callable[[int], None]) -> float:
    started = time.process_time_ns()
    run(CALLS)
    return (time.process_time_ns() - started) / CALLS


def main() -> None:
    store = ModuleStore(Diagnostics("off"))
    store.start()
    table = HookTable()
    step = Step("pre", _nothing, (), _no_fault, None)
    print(f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    for target, (function, arguments) in SUBJECTS.items():
        (site,) = resolve(parse_target(target), store).sites
        bare, hand = loop(function, arguments), None
        hand = loop(by_hand(function, arguments), arguments)
        rows: dict[str, list[float]] = {
            "bare": [],
            "hand": [],
            "probe": [],
            "after": [],
        }
        for _ in range(ROUNDS):
            rows["bare"].append(spent(bare))
            rows["hand"].append(spent(hand))
            installed = table.install(site, step)
            rows["probe"].append(spent(bare))
            installed.remove()
            rows["after"].append(spent(bare))
        found = {name: statistics.median(times) for name, times in rows.items()}
        unit = found["hand"] - found["bare"]
        added = (found["probe"] - found["bare"]) / unit
        mark = "over its budget" if added > BUDGET_W else ""
        ratio = found["after"] / found["bare"]
        print(
            f"{target:12} w {unit:4.0f} ns  probe {added:4.1f} w  "
            f"after removal {ratio:.2f}x  {mark}"
        )
    store.stop()


if __name__ == "__main__":
    main()
