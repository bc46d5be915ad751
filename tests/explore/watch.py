"""The pytest plugin of an explored run: probes on, outcomes noted, identity checked.

What to do comes as JSON in EXPLORE, what came of it goes to the file named there. Every
run imports the whole package first and looks at it before and after, the bare one too:
what a suite itself changes is no residue of ours.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import remora
from remora.agent import agent
from remora.agent.orders import Orders
from remora.agent.targets import is_trampoline
from remora.protocol import Probe, parse_probe

ORDER = json.loads(os.environ.pop("EXPLORE"))
PACKAGE: str = ORDER["package"]
MODE: str = ORDER["mode"]
TARGETS = [f"{PACKAGE}.**:*", *(f"!{name}.**" for name in ORDER["without"])]
UNLIMITED = {"time": "100%", "rate": "500/s"}

PHASES: list[dict[str, Any]] = [
    {"id": "pre", "phase": "pre", "count": {"by": ["target"]}},
    {"id": "post", "phase": "post", "log": "{result} after {duration_ms}"},
    {"id": "fail", "phase": "fail", "snapshot": ["error", "stack", "locals"]},
]
"""Observing probes that together use every phase and look at all they can."""


def import_all() -> list[str]:
    """Import every module of the package; names of those that cannot be."""
    failed: list[str] = []
    package = importlib.import_module(PACKAGE)
    for found in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
        if any(found.name.startswith(name) for name in ORDER["without"]):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(found.name)
        except Exception:
            failed.append(found.name)
    return failed


def is_ours(name: object) -> bool:
    return type(name) is str and (name == PACKAGE or name.startswith(f"{PACKAGE}."))


class Look:
    """What every function and class of the package is made of at this moment."""

    def __init__(self) -> None:
        self.codes: list[tuple[FunctionType, object]] = []
        self.entries: list[tuple[type, dict[str, object], type]] = []
        for thing in gc.get_objects():
            if type(thing) is FunctionType and is_ours(thing.__module__):
                self.codes.append((thing, thing.__code__))
            elif issubclass(type(thing), type) and is_ours(
                type.__dict__["__module__"].__get__(thing)
            ):
                self.entries.append((thing, dict(vars(thing)), type(thing)))

    def changes(self) -> Iterator[str]:
        for function, code in self.codes:
            if function.__code__ is not code:
                yield f"code of {function.__module__}:{function.__qualname__}"
        for cls, entries, kind in self.entries:
            name = f"{cls.__module__}:{cls.__qualname__}"
            now = dict(vars(cls))
            if type(cls) is not kind:
                yield f"class of {name}"
            for key in sorted({*entries, *now}):
                if entries.get(key, now) is not now.get(key, entries):
                    yield f"{name}.{key}"


def trampolines() -> Iterator[str]:
    gc.collect()
    for thing in gc.get_objects():
        if type(thing) is FunctionType and is_trampoline(thing.__code__):
            yield f"trampoline in {thing.__module__}:{thing.__qualname__}"


def probes_for_all() -> list[Probe]:
    return [
        parse_probe({**keys, "target": TARGETS, "limit": UNLIMITED}) for keys in PHASES
    ]


def probe_for_each() -> list[Probe]:
    """One probe a point, the phases in turn."""
    answer = Orders(agent._agent.parts).answer(
        {"kind": "points", "pattern": TARGETS, "limit": 5000}
    )
    assert not answer["more"], answer
    return [
        parse_probe(
            {
                **PHASES[number % len(PHASES)],
                "id": f"{number}",
                "target": point["target"],
                "limit": UNLIMITED,
            }
        )
        for number, point in enumerate(answer["points"])
    ]


class Churn(threading.Thread):
    """Removes and adds again every second probe, all the while."""

    def __init__(self, probes: list[Probe]) -> None:
        super().__init__(daemon=True)
        self.probes = probes[::2]
        self.over = threading.Event()
        self.changes = 0

    def run(self) -> None:
        registry = agent._agent.parts.probes
        while not self.over.is_set():
            for probe in self.probes:
                registry.remove([probe.id])
                # the suite has to get on: it is its outcome that counts
                if self.over.wait(0.0005):
                    break
                registry.add([probe])
                self.changes += 1


class Watch:
    """Notes what the suite comes to."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.churn: Churn | None = None
        self.unimportable = import_all()
        self.look = Look()
        if MODE == "bare":
            return
        remora.start(app="explore", records=os.devnull, log="off", allow="observe")
        probes = probes_for_all() if MODE == "all" else probe_for_each()
        agent._agent.parts.wake().add(probes)
        if MODE == "churn":
            self.churn = Churn(probes)
            self.churn.start()

    def pytest_runtest_logreport(self, report) -> None:
        xfail = " expected" if hasattr(report, "wasxfail") else ""
        self.outcomes[f"{report.nodeid} {report.when} {report.outcome}{xfail}"] += 1

    def pytest_collectreport(self, report) -> None:
        if report.failed:
            self.outcomes[f"{report.nodeid} collection failed"] += 1

    def pytest_unconfigure(self) -> None:
        found: dict[str, Any] = {"outcomes": self.outcomes} | self.statuses()
        if self.churn is not None:
            self.churn.over.set()
            self.churn.join(30)
            found["churned"] = self.churn.changes
        remora.stop()
        found["changes"] = [*self.look.changes(), *trampolines()]
        found["unimportable"] = self.unimportable
        Path(ORDER["answer"]).write_text(json.dumps(found), encoding="utf-8")

    def statuses(self) -> dict[str, Any]:
        """What the probes say of themselves, summed up."""
        if MODE == "bare":
            return {}
        statuses = agent._agent.parts.probes.statuses()
        own = [s for s in statuses if not s.probe.startswith("pack:")]
        refused = {
            row.site: row.why for s in own for row in s.sites if row.mechanism == "none"
        }
        return {
            "sites": max(s.site_count for s in own)
            if MODE == "all"
            else sum(s.site_count for s in own),
            "firings": sum(s.firings for s in own),
            "errors": sorted({s.last_error for s in own if s.errors}),
            "ended": sorted({s.reason for s in own if s.state.value == "tripped"}),
            "refused": refused,
            "states": Counter(s.state.value for s in own),
        }


def pytest_configure(config) -> None:
    config.pluginmanager.register(Watch(), "explore")
