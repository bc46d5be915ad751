"""Health and metrics, for load balancers and Prometheus."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from remora.server.api.answers import answer
from remora.server.domain import BusyError, InstanceState, detector_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from starlette.requests import Request

    from remora.protocol import Cost
    from remora.server.operations import Operations

READY_S = 2.0
"""A store that does not answer a question about its size for so long is of no use."""

_COSTS: tuple[tuple[str, str, Callable[[Cost], float]], ...] = (
    ("threads", "Threads of the agents in living instances.", lambda it: it.threads),
    (
        "cpu_seconds",
        "CPU time of those threads, and of the agents' starts.",
        lambda it: (it.cpu_ms + it.start_cpu_ms) / 1000,
    ),
    ("queued_bytes", "Bytes that wait in them.", lambda it: it.queued_bytes),
    (
        "start_memory_bytes",
        "What the instances grew by in the agents' starts.",
        lambda it: it.start_memory_bytes,
    ),
)
"""Sums over the living instances: Prometheus would choke on a series for each."""

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HealthApi:
    """`/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def routes(self) -> list[Route]:
        """The paths and methods."""
        return [
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def healthz(self, request: Request) -> Response:
        """The process answers."""
        self._operations.guard.monitor(request)
        return answer({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """The store answers, and the server is not stopping."""
        self._operations.guard.monitor(request)
        await self._sizes()
        return answer({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """Everything that is counted, in the text format of Prometheus."""
        self._operations.guard.monitor(request)
        text = _render(self._operations, await self._sizes())
        return PlainTextResponse(text, media_type=_METRICS_TYPE)

    async def _sizes(self) -> Mapping[str, int]:
        if self._operations.hub.closing:
            raise BusyError("the server is stopping: try again when it is back")
        try:
            async with asyncio.timeout(READY_S):
                return await self._operations.store.sizes()
        except TimeoutError:
            raise BusyError(
                f"the store did not answer within {READY_S:g} s: its disk may be slow "
                "or full"
            ) from None


def _render(operations: Operations, sizes: Mapping[str, int]) -> str:
    families = (
        *_state(operations),
        *_agents(operations),
        *_guarding(operations),
        *_traffic(operations),
        *_outcomes(operations),
        *_store(sizes),
    )
    return "".join(families)


def _state(operations: Operations) -> Iterator[str]:
    """What there is at this moment."""
    instances, hub = operations.instances, operations.hub
    states = Counter(instances.state(known).value for known in instances.all())
    by_state = {state.value: states[state.value] for state in InstanceState}
    yield _family("instances", "gauge", "Instances by state.", "state", by_state)
    yield _single("probes", "gauge", "Probes.", len(operations.probes.all()))
    yield _single("blocks", "gauge", "Blocked actors.", len(operations.blocks.all()))
    yield _single("connections", "gauge", "Agents that listen.", hub.connection_count)
    meaning = "Operators that watch records."
    yield _single("watchers", "gauge", meaning, hub.watcher_count)


def _agents(operations: Operations) -> Iterator[str]:
    """What the agents of the living instances cost."""
    instances = operations.instances
    told = [cost for each in instances.live() if (cost := instances.cost(each))]
    for name, meaning, of in _COSTS:
        yield _single(f"agents_{name}", "gauge", meaning, sum(map(of, told)))


def _guarding(operations: Operations) -> Iterator[str]:
    """How the living instances are protected."""
    apps = operations.rules.guarded()
    modes: Counter[tuple[str, str]] = Counter()
    not_made: Counter[str] = Counter()
    for pack in (pack for app in apps for pack in app.packs.values()):
        not_made[detector_label(pack.detector)] += sum(pack.not_made.values())
        for mode, count in pack.modes.items():
            modes[detector_label(pack.detector), mode] += count
    yield _head("guarded", "gauge", "Packs in instances, by detector and mode.")
    for (detector, mode), count in sorted(modes.items()):
        yield f'remora_guarded{{detector="{detector}",mode="{mode}"}} {count}\n'
    meaning = "Checks that living instances have not made, by detector."
    yield _family("checks_not_made", "gauge", meaning, "detector", not_made)
    unprotected = sum(sum(app.complaints.values()) for app in apps)
    meaning = "Instances with protection whose requests are not seen."
    yield _single("unprotected_instances", "gauge", meaning, unprotected)
    yield _single("rules", "gauge", "Rules.", len(operations.rules.all()))


def _traffic(operations: Operations) -> Iterator[str]:
    """What went through since the server started."""
    counters = operations.counters
    for name, meaning, count in (
        ("pushes", "Sets of probes pushed.", counters.pushes),
        ("records", "Records stored.", counters.records),
        ("batches", "Batches stored.", counters.batches),
        ("duplicate_batches", "Batches that came again.", counters.duplicate_batches),
        ("pruned", "Records removed by age or size.", counters.pruned),
    ):
        yield _single(f"{name}_total", "counter", meaning, count)


def _outcomes(operations: Operations) -> Iterator[str]:
    """What became of records, requests and notices."""
    counters = operations.counters
    yield _attacks(counters.attacks)
    for name, meaning, label, values in (
        (
            "dropped",
            "Records that agents dropped, by reason.",
            "reason",
            counters.drops,
        ),
        (
            "attacks_excepted",
            "Attacks that a rule let pass, by detector.",
            "detector",
            counters.excepted,
        ),
        (
            "notices",
            "Notices of attacks, by what became of them.",
            "outcome",
            counters.notices,
        ),
        ("errors", "Requests refused or failed, by slug.", "slug", counters.errors),
    ):
        yield _family(f"{name}_total", "counter", meaning, label, values)


def _store(sizes: Mapping[str, int]) -> Iterator[str]:
    """How much is kept."""
    yield _single("store_bytes", "gauge", "Bytes in use in the store.", sizes["bytes"])
    yield _single("store_records", "gauge", "Records kept.", sizes["records"])
    yield _single("store_attacks", "gauge", "Attacks kept.", sizes["attacks"])


def _single(name: str, kind: str, meaning: str, value: float) -> str:
    return f"{_head(name, kind, meaning)}remora_{name} {value}\n"


def _family(
    name: str, kind: str, meaning: str, label: str, values: Mapping[str, int]
) -> str:
    """The labels are slugs and states: words of ours, which need no escaping."""
    lines = (
        f'remora_{name}{{{label}="{key}"}} {values[key]}\n' for key in sorted(values)
    )
    return _head(name, kind, meaning) + "".join(lines)


def _attacks(counted: Mapping[tuple[str, bool], int]) -> str:
    """The labels are names of detectors that we know, or `other`."""
    words = {False: "false", True: "true"}
    lines = (
        f'remora_attacks_total{{detector="{detector}",blocked="{words[blocked]}"}} '
        f"{counted[detector, blocked]}\n"
        for detector, blocked in sorted(counted)
    )
    head = _head("attacks_total", "counter", "Attacks reported, by detector.")
    return head + "".join(lines)


def _head(name: str, kind: str, meaning: str) -> str:
    return f"# HELP remora_{name} {meaning}\n# TYPE remora_{name} {kind}\n"
