"""What hooks cost, in the unit w: `python benchmarks/hooks.py [--quick] [--json]`.

w is what a hand-written Python wrapper with the target's exact signature and one extra
call adds, measured in the same run. Every variant has a copy of the target of its own;
variants take turns, round by round, and the median of many rounds counts. CPU time of
this thread only. Nothing here fails on time: figures over their budget are marked.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import operator
import os
import platform
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from remora.agent.capture import SecretNames
from remora.agent.diagnostics import Diagnostics
from remora.agent.hooks import HookTable
from remora.agent.interception import Step
from remora.agent.modules import ModuleStore
from remora.agent.probes import Handle, Probes
from remora.agent.targets import resolve
from remora.expression import Expression, compile_condition
from remora.protocol import Instance, parse_probe, parse_target

TARGETS = """
class Account:
    def __init__(self):
        self.plan = "free"
        self.balance = 5.5

    def charge(self, amount, account):
        return amount

account = Account()

def charge(amount, account):
    return amount

async def pay(amount, account):
    return amount

def items(amount, account):
    yield amount
    yield amount

def many(amount, account):
    for n in range(100):
        yield n
"""

LOOPS = {
    "function": ("charge", "charge(3, account)"),
    "method": ("Account.charge", "account.charge(3, account)"),
    "coroutine": ("pay", "pay(3, account)"),
    "generator": ("items", "items(3, account)"),
    "generator of 100": ("many", "many(3, account)"),
}

BODIES = {
    "function": "        {call}",
    "method": "        {call}",
    "coroutine": """        running = {call}
        try:
            running.send(None)
        except StopIteration:
            pass""",
    "generator": "        for _ in {call}: pass",
    "generator of 100": "        for _ in {call}: pass",
}

BY_HAND = {
    "function": """
def wrapped(amount, account):
    hook()
    return original(amount, account)
""",
    "coroutine": """
async def wrapped(amount, account):
    hook()
    return await original(amount, account)
""",
    "generator": """
def wrapped(amount, account):
    hook()
    return (yield from original(amount, account))
""",
}
BY_HAND["method"] = BY_HAND["function"].replace("(amount", "(self, amount")
BY_HAND["generator of 100"] = BY_HAND["generator"]

UNLIMITED = {"rate": "1000000000/s", "time": "100%"}

PROBES: dict[str, dict[str, object]] = {
    "condition false, plain argument": {"when": "amount > 1000", "log": "x"},
    "condition false, one attribute": {"when": "account.plan == 'paid'", "log": "x"},
    "over its rate": {"log": "x", "limit": {"rate": "1/h"}},
    "count by an argument": {"count": {"by": ["amount"]}},
    "count by attribute, sum, histogram": {
        "count": {
            "by": ["account.plan"],
            "sum": "account.balance",
            "histogram": "amount",
        }
    },
    "log that fires": {"log": "charged {amount}", "limit": UNLIMITED},
}

BUDGETS = {
    "after removal": 0.0,
    "compiled leaf hook": 1.3,
    "local no-op pre": 4.0,
    "condition false, plain argument": 3.0,
    "condition false, one attribute": 7.0,
    "over its rate": 3.5,
    "count by an argument": 5.0,
    "count by attribute, sum, histogram": 20.0,
    "generator with post, each item": 0.5,
}
"""In w; `after removal` is a ratio of the bare call and has a tolerance for noise."""

COPIES = 3
"""Of each variant: where code happens to lie in memory is worth up to 50 %."""

REMOVED_TOLERANCE = 0.05
BUDGETS_US = {"install": 50.0, "remove": 5.0, "compile": 300.0}
EXPRESSIONS = (
    "a > 1000",
    "request.path.startswith('/api/') and user.id in ['alice', 'bob'] or a < b + 1",
    "any(item.price > limit for item in cart.items)",
)


class Bench:
    """Probes of this process, and a module of targets for each variant."""

    def __init__(self) -> None:
        self.store = ModuleStore(Diagnostics("off"))
        self.table = HookTable()
        records: deque[object] = deque(maxlen=1000)
        instance = Instance("i", "app", "dev", "0", "host", 1, 0, 0, "CPython", "0")

        def put(record: tuple[object, ...], size: int) -> bool:
            records.append((record, size))
            return True

        self.probes = Probes(
            self.store,
            self.table,
            put,
            SecretNames(()),
            lambda: instance,
            lambda: None,
        )
        self.store.start()
        self._modules = 0

    def module(self, text: str) -> ModuleType:
        self._modules += 1
        module = ModuleType(f"bench{self._modules}")
        sys.modules[module.__name__] = module
        exec(text, module.__dict__)
        return module

    def hook(self, module: ModuleType, name: str, **phases: Any) -> Handle:
        return Handle(f"{module.__name__}:{name}", phases, self.probes)

    def probe(self, module: ModuleType, name: str, keys: dict[str, object]) -> None:
        target = f"{module.__name__}:{name}"
        self.probes.add(
            [parse_probe({"id": module.__name__, "target": target, **keys})]
        )
        status = self.probes.statuses()[-1]
        if status.state.value != "installed":
            raise SystemExit(f"{target}: {status.reason}")

    def leaf(self, module: ModuleType, name: str) -> None:
        target = parse_target(f"{module.__name__}:{name}")
        (site,) = resolve(target, self.store).sites
        step = Step("pre", _nothing, (), _no_fault, None)
        self.table.install(site, step)


def _nothing() -> None:
    """The gate that does nothing."""


def _no_fault(error: BaseException) -> None:
    raise error


def replace(module: ModuleType, name: str, value: object) -> None:
    owner, _, attribute = name.rpartition(".")
    setattr(getattr(module, owner) if owner else module, attribute, value)


def by_hand(module: ModuleType, kind: str, name: str) -> None:
    owner, _, attribute = name.rpartition(".")
    holder = getattr(module, owner) if owner else module
    namespace = {"hook": _nothing, "original": getattr(holder, attribute)}
    exec(BY_HAND[kind], namespace)
    setattr(holder, attribute, namespace["wrapped"])


def with_wrapt(module: ModuleType, name: str) -> None:
    import wrapt

    def wrapper(wrapped, instance, args, kwargs):
        _nothing()
        return wrapped(*args, **kwargs)

    wrapt.wrap_function_wrapper(module, name, wrapper)


def with_ddtrace(module: ModuleType, name: str) -> None:
    from ddtrace.internal.wrapping import wrap

    def wrapper(wrapped, args, kwargs):
        _nothing()
        return wrapped(*args, **kwargs)

    wrap(operator.attrgetter(name)(module), wrapper)


def with_ddtrace_context(module: ModuleType, name: str) -> None:
    from ddtrace.internal.wrapping.context import WrappingContext

    class Context(WrappingContext):
        def __enter__(self) -> object:
            _nothing()
            return super().__enter__()

    Context(operator.attrgetter(name)(module)).wrap()


PEERS: dict[str, tuple[str, Callable[[ModuleType, str], None]]] = {
    "wrapt.FunctionWrapper": ("wrapt", with_wrapt),
    "ddtrace wrap": ("ddtrace", with_ddtrace),
    "ddtrace WrappingContext": ("ddtrace", with_ddtrace_context),
}
"""What others add for the same, and the package that must be there for it.

`wrap` is ddtrace's bare trampoline, with no containment of what a hook raises and no
guard; its probes on functions go through `WrappingContext`.
"""


def variants(bench: Bench, kind: str) -> dict[str, Callable[[ModuleType], object]]:
    """How each variant is put on a fresh copy of the target."""
    name, _ = LOOPS[kind]
    no_op = {
        "pre": lambda: None,
        "post": lambda result: None,
        "fail": lambda error: None,
    }
    if kind == "generator of 100":
        return {
            "bare": lambda m: None,
            "wrapper by hand": lambda m: by_hand(m, kind, name),
            "local no-op post": lambda m: bench.hook(m, name, post=no_op["post"]),
        }
    result: dict[str, Callable[[ModuleType], object]] = {
        "bare": lambda m: None,
        "wrapper by hand": lambda m: by_hand(m, kind, name),
        "after removal": lambda m: bench.hook(m, name, **no_op).remove(),
        "compiled leaf hook": lambda m: bench.leaf(m, name),
        "local no-op pre": lambda m: bench.hook(m, name, pre=no_op["pre"]),
        "local pre, post and fail": lambda m: bench.hook(m, name, **no_op),
    }
    for label, keys in PROBES.items():
        result[label] = lambda m, keys=keys: bench.probe(m, name, keys)
    for label, (package, wrap) in PEERS.items():
        if importlib.util.find_spec(package) is not None:
            result[label] = lambda m, wrap=wrap: wrap(m, name)
    return result


def loop(module: ModuleType, kind: str) -> Callable[[int], None]:
    """A loop of its own for each variant, so that it specialises for that one."""
    body = BODIES[kind].format(call=LOOPS[kind][1])
    exec(f"def loop(count):\n    for _ in range(count):\n{body}\n", module.__dict__)
    return module.loop


def measure(bench: Bench, kind: str, rounds: int, count: int) -> dict[str, float]:
    """The median time of a call in nanoseconds, by variant."""
    loops: list[tuple[str, Callable[[int], None]]] = []
    for _ in range(COPIES):
        for label, install in variants(bench, kind).items():
            module = bench.module(TARGETS)
            run = loop(module, kind)
            run(200)  # callers are specialised when the hook comes, as in real life
            install(module)
            run(200)
            loops.append((label, run))
    times: dict[str, list[float]] = {label: [] for label, _ in loops}
    count //= COPIES
    for _ in range(rounds):
        for label, run in loops:
            start = time.thread_time_ns()
            run(count)
            times[label].append((time.thread_time_ns() - start) / count)
    return {label: statistics.median(values) for label, values in times.items()}


def rows(kind: str, medians: dict[str, float]) -> list[dict[str, Any]]:
    """What each variant adds, in ns and in w, with its budget."""
    bare = medians["bare"]
    unit = max(medians["wrapper by hand"] - bare, 0.1)
    result: list[dict[str, Any]] = []
    for label, median in medians.items():
        added = median - bare
        row = {"kind": kind, "what": label, "ns": median, "added_ns": added}
        row["w"] = added / unit
        budget = BUDGETS.get(label)
        if label == "after removal":
            row["over"] = added > bare * REMOVED_TOLERANCE
        elif budget is not None:
            row["over"] = row["w"] > budget
        row["budget_w"] = budget
        result.append(row)
    return result


def per_item(bench: Bench, unit: float, rounds: int, count: int) -> dict[str, Any]:
    """What post adds to each item of a generator."""
    medians = measure(bench, "generator of 100", rounds, max(count // 50, 5))
    added = (medians["local no-op post"] - medians["bare"]) / 100
    what, budget = "generator with post, each item", 0.5
    return {
        "kind": "generator",
        "what": what,
        "ns": medians["local no-op post"] / 100,
        "added_ns": added,
        "w": added / unit,
        "budget_w": budget,
        "over": added / unit > budget,
    }


def install_and_remove(bench: Bench, functions: int) -> dict[str, float]:
    """µs of CPU to install and to remove a probe, a function each of a glob."""
    text = "\n".join(f"def f{n}(a, b=1):\n    return a" for n in range(functions))
    result: dict[str, float] = {}
    for label, keys in {
        "count": {"count": True},
        "condition and log": {"when": "a > 1000", "log": "{a} {b}"},
    }.items():
        module = bench.module(text)
        probe = parse_probe({"id": "many", "target": f"{module.__name__}:*", **keys})
        start = time.thread_time_ns()
        bench.probes.add([probe])
        middle = time.thread_time_ns()
        if bench.probes.statuses()[-1].site_count != functions:
            raise SystemExit(bench.probes.statuses()[-1].reason)
        installed = time.thread_time_ns()
        bench.probes.remove(["many"])
        end = time.thread_time_ns()
        result[f"install, {label}"] = (middle - start) / functions / 1000
        result[f"remove, {label}"] = (end - installed) / functions / 1000
    module = bench.module(text)
    start = time.thread_time_ns()
    handle = bench.hook(module, "*", pre=lambda a: None)
    middle = time.thread_time_ns()
    handle.remove()
    end = time.thread_time_ns()
    result["install, local hook"] = (middle - start) / functions / 1000
    result["remove, local hook"] = (end - middle) / functions / 1000
    return result


def compilations(rounds: int) -> dict[str, float]:
    """µs of CPU from the text of a condition to the function that asks it."""
    result: dict[str, float] = {}
    for text in EXPRESSIONS:
        names = tuple(sorted(Expression.parse(text).names))
        taken: list[int] = []
        for _ in range(rounds):
            start = time.thread_time_ns()
            compile_condition(Expression.parse(text), names)
            taken.append(time.thread_time_ns() - start)
        result[f"compile, `{text}`"] = statistics.median(taken) / 1000
    return result


def show(table: list[dict[str, Any]], installs: dict[str, float]) -> str:
    """The markdown of docs/performance.md."""
    lines = ["| target | what | ns a call | added ns | added w | budget |"]
    lines.append("|---|---|---:|---:|---:|---:|")
    for row in table:
        budget = row["budget_w"]
        shown = "" if budget is None else f"{budget:g} w"
        if row["what"] == "after removal":
            shown = "1.00x"
        mark = " **over**" if row.get("over") else ""
        lines.append(
            f"| {row['kind']} | {row['what']} | {row['ns']:.0f} | "
            f"{row['added_ns']:+.0f} | {row['w']:.2f} | {shown}{mark} |"
        )
    lines += [
        "",
        "| per function, 10,000 functions; per condition | µs | budget |",
        "|---|---:|---:|",
    ]
    for label, value in installs.items():
        budget = BUDGETS_US[label.partition(",")[0]]
        mark = " **over**" if value > budget else ""
        lines.append(f"| {label} | {value:.1f} | {budget:g}{mark} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What hooks cost, in the unit w.")
    parser.add_argument("--quick", action="store_true", help="few rounds, for CI")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args()
    rounds, count = (5, 500) if options.quick else (61, 2000)
    bench = Bench()
    load = os.getloadavg()[0]
    table: list[dict[str, Any]] = []
    for kind in ("function", "method", "coroutine", "generator"):
        medians = measure(bench, kind, rounds, count)
        table += rows(kind, medians)
    unit = next(
        row["added_ns"]
        for row in table
        if (row["kind"], row["what"]) == ("generator", "wrapper by hand")
    )
    table.append(per_item(bench, unit, rounds, count))
    bench.probes.clear()
    installs = install_and_remove(bench, 100 if options.quick else 10_000)
    installs |= compilations(20 if options.quick else 1000)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    if options.json:
        print(
            json.dumps(
                {"python": python, "load": load, "rows": table, "installs": installs}
            )
        )
        return
    print(f"{python}, {platform.machine()}, load average {load:.2f}\n")
    print(show(table, installs))
    for label, (package, _) in PEERS.items():
        if not any(row["what"] == label for row in table):
            print(f"\n{package} is not installed here: no comparison with it.")


if __name__ == "__main__":
    main()
