"""Steps inside a function's own code beside code swap: `python benchmarks/inlined.py`.

The same function and the same steps by both mechanisms, in the unit w: what a wrapper
written by hand with the exact signature adds in the same run. Variants take turns,
round by round, and the median counts; CPU time of this thread only. Nothing here fails
on time.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from types import FunctionType

from remora.agent.hooks.outcomes import Driver
from remora.agent.interception import Step
from remora.agent.interception.codeswap import CodeSwap
from remora.agent.interception.inlined import Inlined

TEXT = """
def run(amount, account):
    return amount

def wrapped(amount, account):
    return run(amount, account)

def loop(n):
    for _ in range(n):
        CALLED(1, 2)
"""


def leaf(phase: str, wants: tuple[str, ...]) -> Step:
    """A gate that does nothing."""
    return Step(phase, lambda *_: None, wants, print, None)


def local(phase: str, wants: tuple[str, ...]) -> Step:
    """A hook as `remora.hook` makes it: contained, guarded, with an outcome."""
    return Step(phase, lambda: None, wants, print, lambda _: None, [True], guarded=True)


VARIANTS: dict[str, tuple[Step, ...]] = {
    "leaf pre": (leaf("pre", ("amount",)),),
    "leaf post": (leaf("post", ("@result",)),),
    "leaf pre, post and fail": (
        leaf("pre", ("amount",)),
        leaf("post", ("@result",)),
        leaf("fail", ("@error",)),
    ),
    "leaf post with duration and argument": (leaf("post", ("@duration_ms", "amount")),),
    "local no-op pre": (local("pre", ()),),
    "local pre, post and fail": (
        local("pre", ()),
        local("post", ()),
        local("fail", ()),
    ),
}


def loop_of(name: str, steps: tuple[Step, ...], kind: str) -> Callable[[int], None]:
    """A loop of its own for each variant, warm before the steps come."""
    called = "wrapped" if kind == "by hand" else "run"
    space: dict[str, FunctionType] = {}
    exec(TEXT.replace("CALLED", called), space)
    space["loop"](2000)
    if kind == "code swap":
        CodeSwap(space["run"], name, steps, Driver())
    elif kind == "inlined":
        Inlined(space["run"], name, steps, Driver(), "")
    space["loop"](2000)
    return space["loop"]


def measure(loop: Callable[[int], None], calls: int) -> float:
    """Nanoseconds a call."""
    start = time.thread_time_ns()
    loop(calls)
    return (time.thread_time_ns() - start) / calls


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    rounds, calls = (5, 500) if parser.parse_args().quick else (61, 3000)
    loops = {(kind, ""): loop_of("", (), kind) for kind in ("bare", "by hand")}
    for name, steps in VARIANTS.items():
        for kind in ("code swap", "inlined"):
            loops[kind, name] = loop_of(name, steps, kind)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in loops}
    for _ in range(rounds):
        for key, loop in loops.items():
            times[key].append(measure(loop, calls))
    medians = {key: statistics.median(values) for key, values in times.items()}
    bare = medians["bare", ""]
    unit = medians["by hand", ""] - bare
    print(
        f"CPython {platform.python_version()}, load {os.getloadavg()[0]:.1f}; "
        f"bare call {bare:.0f} ns, w = {unit:.0f} ns"
    )
    for name in VARIANTS:
        swap, inside = (medians[k, name] - bare for k in ("code swap", "inlined"))
        print(f"{name:38} {swap / unit:6.2f} w swapped {inside / unit:6.2f} w inlined")


if __name__ == "__main__":
    main()
