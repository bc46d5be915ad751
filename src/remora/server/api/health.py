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
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from starlette.requests import Request

    from remora.protocol import Cost
    from remora.server.domain import GuardedApp
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
    counters, instances = operations.counters, operations.instances
    states = Counter(instances.state(known).value for known in instances.all())
    by_state = {state.value: states[state.value] for state in InstanceState}
    told = [cost for each in instances.live() if (cost := instances.cost(each))]
    return "".join(
        (
            _family("instances", "gauge", "Instances by state.", "state", by_state),
            _single("probes", "gauge", "Probes.", len(operations.probes.all())),
            _single(
                "connections",
                "gauge",
                "Agents that listen.",
                operations.hub.connection_count,
            ),
            _single(
                "watchers",
                "gauge",
                "Operators that watch records.",
                operations.hub.watcher_count,
            ),
            _single(
                "pushes_total", "counter", "Sets of probes pushed.", counters.pushes
            ),
            _single("records_total", "counter", "Records stored.", counters.records),
            _single("batches_total", "counter", "Batches stored.", counters.batches),
            _single(
                "duplicate_batches_total",
                "counter",
                "Batches that came again.",
                counters.duplicate_batches,
            ),
            _family(
                "dropped_total",
                "counter",
                "Records that agents dropped, by reason.",
                "reason",
                counters.drops,
            ),
            *(
                _single(f"agents_{name}", "gauge", meaning, sum(map(of, told)))
                for name, meaning, of in _COSTS
            ),
            _attacks(counters.attacks),
            _family(
                "attacks_excepted_total",
                "counter",
                "Attacks that a rule let pass, by detector.",
                "detector",
                counters.excepted,
            ),
            *_guarding(operations.rules.guarded()),
            _single("rules", "gauge", "Rules.", len(operations.rules.all())),
            _family(
                "notices_total",
                "counter",
                "Notices of attacks, by what became of them.",
                "outcome",
                counters.notices,
            ),
            _single("blocks", "gauge", "Blocked actors.", len(operations.blocks.all())),
            _single(
                "pruned_total",
                "counter",
                "Records removed by age or size.",
                counters.pruned,
            ),
            _family(
                "errors_total",
                "counter",
                "Requests refused or failed, by slug.",
                "slug",
                counters.errors,
            ),
            _single(
                "store_bytes", "gauge", "Bytes in use in the store.", sizes["bytes"]
            ),
            _single("store_records", "gauge", "Records kept.", sizes["records"]),
            _single("store_attacks", "gauge", "Attacks kept.", sizes["attacks"]),
        )
    )


def _guarding(apps: Sequence[GuardedApp]) -> Iterator[str]:
    """Sums over the living instances, by the names of detectors and modes."""
    modes: Counter[tuple[str, str]] = Counter()
    for pack in (pack for app in apps for pack in app.packs.values()):
        for mode, count in pack.modes.items():
            modes[detector_label(pack.detector), mode] += count
    yield _head("guarded", "gauge", "Packs in instances, by detector and mode.")
    for (detector, mode), count in sorted(modes.items()):
        yield f'remora_guarded{{detector="{detector}",mode="{mode}"}} {count}\n'
    unprotected = sum(sum(app.complaints.values()) for app in apps)
    yield _single(
        "unprotected_instances",
        "gauge",
        "Instances with protection whose requests are not seen.",
        unprotected,
    )


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
