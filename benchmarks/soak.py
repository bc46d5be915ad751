"""An app under load for minutes while probes come and go: `make soak`.

Nothing may grow: memory, threads, descriptors. It lasts 600 seconds, with `--quick` 40,
and fails when something has grown from the second third to the last.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import time

from serving import UNLIMITED, Server, environment, serving, until

GROWTH_MIB = 4.0
"""More than this between the first third and the last is a leak: the interpreter's own
arenas move by one or two."""

APP = r"""
import json, math, os, socket, sys, threading, time
import remora

class Account:
    def __init__(self, plan): self.plan, self.balance = plan, 5.5
    def charge(self, amount): return amount + 1

def work(n, account):
    total = n
    total += account.charge(n)
    return total

def items(n):
    yield n
    yield n

def fails(n): raise KeyError(n)

def spin(stopping, done, number):
    accounts = [Account("free"), Account("paid")]
    n = 0
    while not stopping:
        n += 1
        expected = n + n + 1
        if work(n, accounts[n % 2]) != expected or list(items(n)) != [n, n]:
            os._exit(9)
        try:
            fails(n)
        except KeyError:
            pass
        math.sqrt(n)
        done[number] = n
        if n % 50 == 0:
            time.sleep(0.005)

def facts(done):
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    status = remora.status()
    return {
        "mib": resident / 2**20,
        "threads": len(os.listdir("/proc/self/task")),
        "files": len(os.listdir("/proc/self/fd")),
        "calls": sum(done),
        "hooks": len(status["hooks"]),
        "cpu_s": status["agent"]["cpu_ms"] / 1000,
        "drops": status["drops"],
        "faults": status["agent"]["counters"].get("worker-fault", 0),
    }

def main():
    stopping, done = [], [0, 0, 0]
    remora.start(app="soak", server=sys.argv[1])
    threads = [
        threading.Thread(target=spin, args=(stopping, done, n)) for n in range(3)
    ]
    for thread in threads:
        thread.start()
    turn = 0
    for line in sys.stdin:
        for _ in range(20):
            turn += 1
            with remora.hook("__main__:work", pre=lambda n: None):
                pass
            with remora.hook("__main__:Account.charge", post=lambda result: None):
                pass
            if turn % 5 == 0 and os.fork() == 0:
                os._exit(0)
            if turn % 5 == 0:
                os.wait()
        print(json.dumps(facts(done)), flush=True)
    stopping.append(1)
    for thread in threads:
        thread.join()
    remora.stop()

main()
"""

PROBES = [
    {"target": "__main__:work", "log": "{n} {account.plan}", "limit": UNLIMITED},
    {"target": "__main__:work", "snapshot": ["n", "account", "stack"]},
    {"target": "__main__:work", "when": "n % 7 == 0", "count": {"by": ["n"]}},
    {"target": "__main__:Account.*", "count": {"by": ["self.plan"], "every": "1s"}},
    {"target": "__main__:items", "phase": "post", "log": "{result}"},
    {"target": "__main__:fails", "phase": "fail", "snapshot": ["error", "stack"]},
    {"target": "math:sqrt", "count": True},
    {"target": "__main__:work", "log": "{n}", "limit": {"hits": 10}},
    {"target": "nowhere:f", "log": "x"},
]


class Operator:
    """Adds and removes probes, each for a few seconds, in an order of its own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.random = random.Random(1)  # the same run each time
        self.present: list[str] = []
        self.changes = 0

    def change(self) -> None:
        if len(self.present) >= 4 or (self.present and self.random.random() < 0.4):
            self.server.remove(self.present.pop(0))
        else:
            probe = self.random.choice(PROBES)
            name = f"soak-{self.changes}"
            self.server.add(id=name, scope={"app": "soak"}, **probe)
            self.present.append(name)
        self.changes += 1


def run(server: Server, seconds: float) -> list[dict]:
    token = server.data / "agent.token"
    app = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", APP, server.url],
        env=environment(REMORA_TOKEN_FILE=str(token), REMORA_LOG="off"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert app.stdin is not None
    assert app.stdout is not None
    operator, samples = Operator(server), []
    try:
        until(lambda: server.connected("soak"), "the app")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(3):
                operator.change()
                time.sleep(0.15)
            app.stdin.write("\n")
            app.stdin.flush()
            line = app.stdout.readline()
            if not line:
                raise SystemExit(f"the app has ended with {app.wait(10)}")
            samples.append(json.loads(line) | {"changes": operator.changes})
        app.stdin.close()
        if status := app.wait(30):
            raise SystemExit(f"the app has ended with {status}")
    finally:
        if app.poll() is None:
            app.kill()
            app.wait()
    return samples


def judge(samples: list[dict]) -> list[str]:
    """What has grown from the second third to the last."""
    third = max(len(samples) // 3, 1)
    early, late = samples[third : 2 * third] or samples, samples[-third:]
    grown = []
    for what, allowed in (("mib", GROWTH_MIB), ("threads", 0), ("files", 0)):
        before = max(sample[what] for sample in early)
        after = min(sample[what] for sample in late)
        if after - before > allowed:
            grown.append(f"{what} grew from {before:.1f} to {after:.1f}")
    if samples[-1]["faults"]:
        grown.append(f"{samples[-1]['faults']} faults in the agent's thread")
    return grown


def main() -> int:
    parser = argparse.ArgumentParser(description="Minutes of probes coming and going.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--quick", action="store_true", help="40 seconds, for CI")
    options = parser.parse_args()
    seconds = 40.0 if options.quick else options.seconds
    with serving() as server:
        samples = run(server, seconds)
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {seconds:g} s, load {load:.1f}")
    for sample in samples[:: max(len(samples) // 8, 1)]:
        print(
            f"{sample['changes']:5} changes {sample['calls']:9} calls  "
            f"{sample['mib']:6.1f} MiB  {sample['threads']} threads  "
            f"{sample['files']} files  agent {sample['cpu_s']:.2f} s CPU"
        )
    grown = judge(samples)
    print("\n".join(grown) or "nothing has grown")
    return bool(grown)


if __name__ == "__main__":
    sys.exit(main())
