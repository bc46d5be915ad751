"""What reporting costs the app's thread, with a server and with a dead address.

`append` is one record put into the queue, `refused` one that finds it full. `p99` is
that of calls whose probe logs every time, at up to 10,000 records a second; runs with
the server and against the dead address take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from serving import Server, environment, serving

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from remora.agent.reporting import Queue

APPEND_BUDGET_US = 1.0
RATIO_BUDGET = 1.1
DEAD = "http://127.0.0.1:1"

APP = r"""
import json, sys, time
import remora

def charge(amount, account): return amount

remora.start(app="reporting", server=sys.argv[1], probes=[sys.argv[2]])
clock, pause = time.perf_counter_ns, time.sleep
until = clock() + int(float(sys.argv[3]) * 1e9)
for n in range(200):
    charge(n, "alice")
times = []
while clock() < until:
    for n in range(50):
        began = clock()
        charge(n, "alice")
        times.append(clock() - began)
    pause(0.005)
times.sort()
print(json.dumps([times[len(times) // 2], times[len(times) * 99 // 100]]))
"""

PROBE = """
[[probe]]
id = "reporting"
target = "__main__:charge"
log = "charged {amount} to {account}"
limit = { rate = "1000000/s", time = "100%" }
"""


def appending(count: int) -> tuple[float, float]:
    """µs to append a record where there is room, and where there is none."""
    roomy, full = [], []
    for _ in range(count):
        queue = Queue()
        record = (len, ())
        start = time.thread_time_ns()
        for _ in range(9000):
            queue.put(record, 100)
        middle = time.thread_time_ns()
        for _ in range(9000):
            queue.put(record, 100)
        roomy.append((middle - start) / 9000 / 1000)
        full.append((time.thread_time_ns() - middle) / 9000 / 1000)
    return statistics.median(roomy), statistics.median(full)


def calls(server: Server, address: str, probes: Path, seconds: float) -> list[int]:
    """Median and p99 of a call in nanoseconds."""
    token = str(server.data / "agent.token")
    done = subprocess.run(
        [sys.executable, "-c", APP, address, str(probes), str(seconds)],
        env=environment(REMORA_TOKEN_FILE=token, REMORA_LOG="off", REMORA_EXIT_S="0"),
        capture_output=True,
        check=True,
        timeout=seconds + 60,
    )
    return json.loads(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description="What reporting costs the app.")
    parser.add_argument("--quick", action="store_true", help="few rounds, for CI")
    options = parser.parse_args()
    rounds, seconds = (2, 1.0) if options.quick else (9, 3.0)
    append, refused = appending(5 if options.quick else 51)
    found: dict[str, list[list[int]]] = {"live": [], "dead": []}
    with serving() as server:
        probes = server.data / "p.toml"
        probes.write_text(PROBE, encoding="utf-8")
        for _ in range(rounds):
            found["live"].append(calls(server, server.url, probes, seconds))
            found["dead"].append(calls(server, DEAD, probes, seconds))
    load = os.getloadavg()[0]
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}"
    )
    for what, value in (("append", append), ("refused", refused)):
        mark = " **over**" if value > APPEND_BUDGET_US else ""
        print(f"{what:8} {value:6.2f} µs  (at most {APPEND_BUDGET_US:g}){mark}")
    medians = {
        who: [statistics.median(run[n] for run in runs) / 1000 for n in (0, 1)]
        for who, runs in found.items()
    }
    for who, (middle, last) in medians.items():
        print(f"{who:8} {middle:6.2f} µs a call, p99 {last:.2f} µs")
    ratio = medians["dead"][1] / medians["live"][1]
    mark = " **over**" if ratio > RATIO_BUDGET else ""
    print(f"p99 dead to live: {ratio:.2f}x  (at most {RATIO_BUDGET:g}){mark}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
