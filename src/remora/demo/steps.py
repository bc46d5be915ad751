"""The steps of the demo: each does one thing to the running shop and checks it.

A step returns the sentence that says what held, or raises StepError with what did not.
Nothing in here knows whether a person or a script is watching.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx

from remora.demo.operator import Operator, Record, StepError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from remora.demo.narration import Narration
    from remora.demo.traffic import Traffic

WORKERS = 2
BIG = 10000

CHARGES = "charges"
BIG_FREE = "big-free-charges"
BY_PLAN = "charges-by-plan"
PLUGIN = "discounts"

LINES_SHOWN = 10
"""Records that run over the screen in a step: the next step should stay in sight."""

_PLUGIN_SOURCE = '''\
"""Ten percent off for pro accounts; written while the shop was running."""


def apply(amount, account):
    return amount * 90 // 100 if account.plan == "pro" else amount


AS_WRITTEN = apply.__code__
'''

_CHARGED = re.compile(r"charged (\d+) to (\w+) \((\w+)\)")
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Scene:
    """The running demo: its server, its shop, its customers, and who is told.

    `watch_s` is how long records run over the screen in a step; `deadline` (monotonic)
    is when everything must be over.
    """

    operator: Operator
    shop: httpx.Client
    plugins: Path
    traffic: Traffic
    narration: Narration
    watch_s: float
    deadline: float

    def wait_for(
        self, what: str, look: Callable[[], bool], limit_s: float = 15
    ) -> float:
        """Poll until `look` is true; the seconds it took. Raises StepError."""
        started = time.monotonic()
        end = min(started + limit_s, self.deadline)
        while not look():
            if time.monotonic() > end:
                raise StepError(f"{what} did not happen within {limit_s:g} s")
            time.sleep(_POLL_S)
        return time.monotonic() - started


def wait_for_workers(scene: Scene) -> str:
    """Both workers have reported to the server, and both serve the shop.

    A worker is connected before it has imported the app: a probe that came in between
    would be there before the shop notes which code objects it started with.
    """
    found: dict[int, dict[str, Any]] = {}

    def look() -> bool:
        found.update((it["pid"], it) for it in scene.operator.instances("shop"))
        return len(found) >= WORKERS

    scene.wait_for(f"the registration of {WORKERS} workers", look)
    serving: set[int] = set()

    def both_serve() -> bool:
        serving.add(scene.shop.get("/_identity").json()["pid"])
        return serving >= set(found)

    scene.wait_for("an answer of each worker", both_serve)
    for pid, instance in sorted(found.items()):
        scene.narration.show(
            f"{instance['app']} {instance['version']}  pid {pid}  "
            f"Python {instance['python']}  {instance['state']}"
        )
    return f"both workers of the shop are connected: pids {_listed(found)}"


def probe_held_reference(scene: Scene) -> str:
    """A function that `shop.checkout` imported by name when the worker started."""
    took_s = _install(
        scene,
        {
            "id": CHARGES,
            "target": "shop.billing:charge",
            "scope": {"app": "shop"},
            "phase": "post",
            "log": "charged {amount} to {account.name} ({account.plan})",
        },
    )
    _watch(scene, CHARGES, _message)
    seen: set[str] = set()

    def look() -> bool:
        records = scene.operator.records(CHARGES)
        seen.update(str(record["instance"]) for record in records)
        return len(seen) >= WORKERS and len(records) >= 5

    scene.wait_for("five records of charges, from both workers", look)
    if wrong := [r for r in scene.operator.records(CHARGES) if not _charge(r)]:
        raise StepError(f"a record does not say what was charged: {wrong[0]!r}")
    return (
        f"a function imported long ago is seen in both workers, {took_s:.2f} s after "
        "it was asked for"
    )


def probe_with_condition(scene: Scene) -> str:
    """Only big charges of free accounts, with their values."""
    _install(
        scene,
        {
            "id": BIG_FREE,
            "target": "shop.billing:charge",
            "scope": {"app": "shop"},
            "when": f"amount > {BIG} and account.plan == 'free'",
            "snapshot": ["amount", "account.plan", "account.name"],
        },
    )
    _watch(scene, BIG_FREE, _values)
    scene.wait_for(
        "three big charges of free accounts",
        lambda: len(scene.operator.records(BIG_FREE)) >= 3,
    )
    met = [record["values"] for record in scene.operator.records(BIG_FREE)]
    for values in met:
        if not (values["amount"] > BIG and values["account.plan"] == "free"):
            raise StepError(f"a record does not meet the condition: {values!r}")
    charges = [_charge(record) for record in scene.operator.records(CHARGES)]
    others = sum(
        1 for amount, plan in filter(None, charges) if amount <= BIG or plan != "free"
    )
    if not others:
        raise StepError("every charge met the condition, so it has shown nothing")
    return (
        f"the condition chose: {len(met)} records all meet it, at least {others} "
        "other charges left none"
    )


def count_by_plan(scene: Scene) -> str:
    """A table made inside the workers, by a key, with a sum and a histogram."""
    _install(
        scene,
        {
            "id": BY_PLAN,
            "target": "shop.billing:charge",
            "scope": {"app": "shop"},
            "phase": "post",
            "count": {
                "by": ["account.plan"],
                "sum": "amount",
                "histogram": "duration_ms",
                "every": "1s",
            },
        },
    )
    rows: dict[str, Counter[str]] = {}
    enough = time.monotonic() + scene.watch_s

    def look() -> bool:
        rows.clear()
        rows.update(_rows(scene.operator.records(BY_PLAN)))
        return {"free", "pro"} <= rows.keys() and time.monotonic() > enough

    scene.wait_for("aggregates of free and pro accounts", look)
    for plan, row in sorted(rows.items()):
        if row["sum"] <= 0 or row["count"] != row["in histogram"]:
            raise StepError(f"the aggregate of {plan!r} does not add up: {dict(row)!r}")
        scene.narration.show(
            f"{plan:<5} {row['count']:>4} charges, {row['sum'] / 100:>10,.2f} in all"
        )
    counted = ", ".join(f"{row['count']} {plan}" for plan, row in sorted(rows.items()))
    return f"charges are counted by plan in the workers: {counted}"


def probe_future_module(scene: Scene) -> str:
    """A module that does not exist when the probe is made."""
    scene.operator.add_probe(
        {
            "id": PLUGIN,
            "target": "shop.plugins.discount:apply",
            "scope": {"app": "shop"},
            "phase": "post",
            "log": "discount: {amount} becomes {result} for {account.name}",
        }
    )
    scene.wait_for(
        "the status waiting in both workers",
        lambda: scene.operator.states(PLUGIN)["waiting"] >= WORKERS,
    )
    scene.narration.show("waiting in both workers; now the file is written")
    scene.shop.post("/login", data={"name": "alice"})
    (scene.plugins / "discount.py").write_text(_PLUGIN_SOURCE, encoding="utf-8")
    answered: set[int] = set()
    amounts = count(1000, 250)

    def look() -> bool:
        amount = {"amount": str(next(amounts))}
        answer = scene.shop.get("/plugins/discount", params=amount).json()
        if "error" in answer:
            raise StepError(f"the shop cannot import the plugin: {answer['error']}")
        answered.add(answer["pid"])
        records = scene.operator.records(PLUGIN)
        return len(answered) >= WORKERS and len({r["instance"] for r in records}) >= 2

    scene.wait_for("a record of the new module from both workers", look)
    scene.wait_for(
        "the status installed in both workers",
        lambda: scene.operator.states(PLUGIN)["installed"] >= WORKERS,
    )
    _watch(scene, PLUGIN, _message)
    return "a module written later was waited for, and seen from its first call"


def remove_all(scene: Scene) -> str:
    """The functions run the very code objects that they started with."""
    changed: dict[int, list[str]] = {}

    def ask_a_worker() -> bool:
        """Ask whichever worker answers; whether both have answered by now."""
        answer = scene.shop.get("/_identity").json()
        functions = answer["functions"]
        changed[answer["pid"]] = [n for n, it in functions.items() if not it["same"]]
        return len(changed) >= WORKERS

    scene.wait_for(
        "another code object in both workers, as long as there are probes,",
        lambda: ask_a_worker() and all(changed.values()),
    )
    for pid, names in sorted(changed.items()):
        scene.narration.show(f"pid {pid} runs probed: {', '.join(names)}")
    for identifier in scene.operator.probes():
        scene.operator.remove_probe(identifier)
    try:
        scene.wait_for(
            "the return of all code objects in both workers",
            lambda: ask_a_worker() and not any(changed.values()),
        )
    except StepError as error:
        raise StepError(f"{error}; changed still: {changed!r}") from None
    scene.narration.show("after the removal: none, in both")
    return f"probes removed: the original code objects are back in {_listed(changed)}"


def check_silence(scene: Scene) -> str:
    """Customers go on buying, and nothing is reported any more."""
    last: tuple[str, float] = ("", time.monotonic())

    def settled() -> bool:
        """Whether what was recorded before the removal has all arrived."""
        nonlocal last
        newest = _newest(scene)
        if newest != last[0]:
            last = (newest, time.monotonic())
        return time.monotonic() - last[1] > 2

    scene.wait_for("the end of the records", settled)
    if "-" in last[0].split():
        raise StepError("a probe never left a record, so silence shows nothing")
    orders = scene.traffic.orders
    scene.wait_for("ten more orders", lambda: scene.traffic.orders >= orders + 10)
    if _newest(scene) != last[0]:
        raise StepError("records still arrive after the removal of all probes")
    if scene.traffic.failures:
        raise StepError(f"a customer met an error: {scene.traffic.failures[0]}")
    return (
        f"calls are unprobed again; {scene.traffic.requests} requests were served in "
        "all, none of them failed"
    )


def _install(scene: Scene, probe: dict[str, object]) -> float:
    """Add a probe and return the seconds until both workers have it."""
    identifier = str(probe["id"])
    started = time.monotonic()
    scene.operator.add_probe(probe)
    scene.wait_for(
        f"the status installed of {identifier} in both workers",
        lambda: scene.operator.states(identifier)["installed"] >= WORKERS,
    )
    return time.monotonic() - started


def _watch(scene: Scene, identifier: str, write: Callable[[Record], str]) -> None:
    """Show records as they come, for as long as a person likes to look."""
    shown: set[object] = set()
    end = time.monotonic() + scene.watch_s
    while time.monotonic() < end:
        for record in reversed(scene.operator.records(identifier, limit=20)):
            if record["id"] not in shown and len(shown) < LINES_SHOWN:
                shown.add(record["id"])
                scene.narration.show(write(record))
        time.sleep(_POLL_S)


def _message(record: Record) -> str:
    return str(record["message"])


def _values(record: Record) -> str:
    return "  ".join(f"{name} = {value}" for name, value in record["values"].items())


def _charge(record: Record) -> tuple[int, str] | None:
    """The amount and the plan that a log of a charge tells."""
    match = _CHARGED.fullmatch(_message(record))
    return (int(match[1]), match[3]) if match else None


def _rows(records: list[Record]) -> dict[str, Counter[str]]:
    """The rows of all aggregates, added up by plan."""
    total: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        for row in record["rows"]:
            total[str(row["key"][0])].update(
                {
                    "count": row["count"],
                    "sum": row["sum"],
                    "in histogram": sum(row["histogram"]["buckets"].values()),
                }
            )
    return total


def _newest(scene: Scene) -> str:
    """The newest record of each probe of the demo."""
    newest = (
        scene.operator.records(identifier, limit=1)
        for identifier in (CHARGES, BIG_FREE, BY_PLAN, PLUGIN)
    )
    return " ".join(str(records[0]["id"]) if records else "-" for records in newest)


def _listed(pids: dict[int, Any]) -> str:
    return " and ".join(map(str, sorted(pids)))
