"""What protection costs a web app: `python benchmarks/web.py`, or `make bench-web`.

CPU per request of the whole session of a gunicorn with one worker (helper processes
included): bare, bare once more, under remora in modes watch and block, and under the
other agents that are installed. All run at once; in each round each takes its turn, in
another order; the median of the rounds' differences to bare counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE.parent / "src"
HEADERS = (
    "Host: localhost\r\nConnection: close\r\nAccept: text/html,application/json\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) web-bench\r\n"
    "Accept-Language: en\r\nCookie: session=4f2a9c31b8d7; theme=dark\r\n"
)
BODY = json.dumps({"name": "Alice Example", "number": 12, "tags": ["a", "b"]})
ROUTES = {
    "/plain": f"GET /plain HTTP/1.1\r\n{HEADERS}\r\n",
    "/light": f"GET /light?number=12 HTTP/1.1\r\n{HEADERS}\r\n",
    "/page": f"GET /page?name=Alice+Example&number=12 HTTP/1.1\r\n{HEADERS}\r\n",
    "/api": "POST /api HTTP/1.1\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(BODY)}\r\n{HEADERS}\r\n{BODY}",
}
BUDGET_MS, BUDGET_RATIO = 0.2, 1.05
"""What DESIGN allows full protection to add to /page."""

READY_S = 60.0


@dataclass(frozen=True)
class Variant:
    """One way to start the app; `needs` is the distribution's module, if any."""

    name: str
    around: tuple[str, ...] = ()
    environ: tuple[tuple[str, str], ...] = ()
    needs: str = ""


def _remora(mode: str) -> tuple[str, ...]:
    run = ("run", "--protect", mode, "--records", os.devnull, "--")
    return (sys.executable, "-m", "remora", *run)


_NOBODY = "http://127.0.0.1:9"
_TOOLS = str(Path(sys.executable).parent)
VARIANTS = (
    Variant("bare"),
    Variant("bare again"),
    Variant("remora watch", _remora("watch")),
    Variant("remora block", _remora("block")),
    Variant(
        "aikido-zen",
        environ=(("BENCH_AGENT", "aikido"), ("AIKIDO_BLOCK", "1")),
        needs="aikido_zen",
    ),
    Variant(
        "ddtrace AppSec",
        (f"{_TOOLS}/ddtrace-run",),
        (
            ("DD_APPSEC_ENABLED", "true"),
            ("DD_TRACE_AGENT_URL", _NOBODY),
            ("DD_REMOTE_CONFIGURATION_ENABLED", "false"),
            ("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false"),
        ),
        needs="ddtrace",
    ),
    Variant(
        "OpenTelemetry",
        (f"{_TOOLS}/opentelemetry-instrument",),
        (
            ("OTEL_EXPORTER_OTLP_ENDPOINT", _NOBODY),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_LOGS_EXPORTER", "none"),
        ),
        needs="opentelemetry.instrumentation.flask",
    ),
)


class Site:
    """A running variant."""

    def __init__(self, variant: Variant, folder: Path) -> None:
        self.name = variant.name
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("REMORA_")}
        self.log = folder / f"{variant.name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(*variant.around, sys.executable, "-m", "gunicorn"),
                    *("--workers", "1", "--bind", f"127.0.0.1:{self.port}"),
                    *("--chdir", str(HERE), "web_app:app"),
                ],
                env={
                    **kept,
                    "PYTHONPATH": str(SOURCE),
                    "TMPDIR": str(folder),
                    **dict(variant.environ),
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ask(self, request: str) -> bytes:
        """One request on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), READY_S) as connection:
            connection.sendall(request.encode())
            parts: list[bytes] = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def await_ready(self) -> None:
        end = time.monotonic() + READY_S
        while True:
            try:
                answer = self.ask(ROUTES["/plain"])
            except OSError:
                answer = b""
            if b" 200 " in answer[:20]:
                return
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit(f"{self.name}: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def cpu_s(self) -> float:
        """CPU seconds of all threads of the session's processes that are alive."""
        total_ns = 0
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = entry.read_text(encoding="ascii").rpartition(")")[2].split()
                if int(fields[3]) == self.process.pid:
                    for thread in entry.parent.glob("task/*/schedstat"):
                        total_ns += int(thread.read_text(encoding="ascii").split()[0])
            except OSError:
                continue  # it has just ended
        return total_ns / 1e9

    def sample(self, route: str, requests: int) -> float:
        """CPU milliseconds for each request."""
        before = self.cpu_s()
        for _ in range(requests):
            answer = self.ask(ROUTES[route])
            if b" 200 " not in answer[:20]:
                raise SystemExit(f"{self.name} answered {route} with {answer[:200]!r}")
        return (self.cpu_s() - before) * 1000 / requests

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


def _is_there(variant: Variant) -> bool:
    try:
        return not variant.needs or importlib.util.find_spec(variant.needs) is not None
    except ModuleNotFoundError:
        return False


def measure(
    sites: list[Site], rounds: int, requests: int
) -> dict[str, dict[str, list[float]]]:
    """By route and variant: CPU milliseconds for each request, one for each round."""
    figures = {route: {site.name: [] for site in sites} for route in ROUTES}
    for site in sites:
        for route in ROUTES:
            site.sample(route, requests // 2)  # what is made at the first requests
    order = list(sites)
    for _ in range(rounds):
        for route in ROUTES:
            random.shuffle(order)
            for site in order:
                figures[route][site.name].append(site.sample(route, requests))
    return figures


def show(figures: dict[str, dict[str, list[float]]]) -> None:
    for route, by_variant in figures.items():
        bare = by_variant["bare"]
        print(f"\n{route:16} {'CPU ms':>8} {'added':>8} {'ratio':>7}")
        for name, values in by_variant.items():
            pairs = list(zip(values, bare, strict=True))
            added = statistics.median(mine - theirs for mine, theirs in pairs)
            ratio = statistics.median(mine / theirs for mine, theirs in pairs)
            over = name.startswith("remora") and route == "/page"
            over = over and (added > BUDGET_MS or ratio > BUDGET_RATIO)
            mark = f"  over the budget of {BUDGET_MS} ms and 5 %" if over else ""
            median = statistics.median(values)
            print(f"  {name:14} {median:8.3f} {added:+8.3f} {ratio:6.2f}x{mark}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="VARIANT")
    options = parser.parse_args()
    rounds, requests = (2, 60) if options.quick else (9, 300)
    present = [variant for variant in VARIANTS if _is_there(variant)]
    absent = [variant.name for variant in VARIANTS if variant not in present]
    if options.only:
        present = [v for v in present if v.name in {"bare", *options.only}]
    with tempfile.TemporaryDirectory() as folder:
        sites = [Site(variant, Path(folder)) for variant in present]
        try:
            for site in sites:
                site.await_ready()
            figures = measure(sites, rounds, requests)
        finally:
            for site in sites:
                site.end()
    if options.json:
        print(json.dumps({"python": platform.python_version(), "cpu_ms": figures}))
        return
    print(f"CPython {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    if absent:
        print(f"not installed: {', '.join(absent)}")
    show(figures)


if __name__ == "__main__":
    main()
