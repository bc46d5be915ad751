"""What one server carries: `make fleet`.

100 real processes, each with an agent of its own, and 1,000 simulated agents that only
speak the protocol are connected to one server on this machine. Measured: how long a
probe takes to be installed everywhere, how many records a second the server stores, and
its memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import secrets
import signal
import statistics
import subprocess
import sys
import time
import zlib

from serving import Server, cpu_s, environment, resident_mib, serving, until

BATCH_RECORDS = 500
SENDERS = 4

REAL = r"""
import os, sys, time

def work(n): return n

def child(url):
    import remora
    remora.start(app="fleet", server=url)
    n = 0
    while os.getppid() == PARENT:
        n += 1
        work(n)
        time.sleep(0.2)
    os._exit(0)

# Once, before the forks, as masters and other processes that fork often do.
import remora.agent.agent, remora.agent.probes, remora.agent.control.frameworks
PARENT = os.getpid()
children = []
for _ in range(int(sys.argv[2])):
    pid = os.fork()
    if pid == 0:
        child(sys.argv[1])
    children.append(pid)
sys.stdin.read()
for pid in children:
    os.kill(pid, 9)
"""


class Simulated:
    """An agent that registers, follows its stream and notes when pushes come."""

    def __init__(self, port: int, token: str, number: int) -> None:
        self.port = port
        self.head = f"Authorization: Bearer {token}\r\nRemora-Protocol: 1\r\n"
        self.id = secrets.token_hex(16)
        self.number = number
        self.pushed_at: dict[int, float] = {}

    async def call(self, method: str, path: str, body: bytes = b"", more: str = ""):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(self.request(method, path, body, more))
        return reader, writer

    def request(self, method: str, path: str, body: bytes, more: str = "") -> bytes:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: fleet\r\n{self.head}{more}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def follow(self, ready: asyncio.Semaphore) -> None:
        async with ready:
            instance = {
                **dict.fromkeys(("env", "host", "agent", "runtime", "command"), "x"),
                **dict.fromkeys(("container", "note", "version"), ""),
                "id": self.id,
                "app": "simulated",
                "pid": self.number + 1,
                "parent_pid": 1,
                "started": time.time_ns(),
                "python": "3.13.0",
                "role": "serving",
                "master": None,
            }
            body = json.dumps({"instance": instance}).encode()
            reader, writer = await self.call("POST", "/agent/v1/register", body)
            status = await reader.readline()
            if b" 200" not in status:
                raise SystemExit(f"registration: {status} {await reader.read(500)}")
            writer.close()
            path = f"/agent/v1/stream?instance={self.id}&revision=0"
            reader, writer = await self.call("GET", path)
            await reader.readuntil(b"\r\n\r\n")
        while line := await reader.readline():
            if line.startswith(b"data:") and b'"revision"' in line:
                revision = json.loads(line[5:])["revision"]
                self.pushed_at[revision] = time.monotonic()

    async def report(self, probe: str) -> None:
        """Post a status as an agent does that has obeyed a push."""
        status = {
            "probe": probe,
            "state": "installed",
            "reason": "at 1 site",
            "sites": [
                {
                    "site": "shop.billing:charge",
                    "kind": "function",
                    "mechanism": "code swap",
                    "why": "the usual way for Python functions",
                    "file": "/srv/shop/shop/billing.py",
                    "line": 42,
                }
            ],
            "site_count": 1,
        }
        revision = max(self.pushed_at)
        message = {"instance": self.id, "revision": revision, "statuses": [status]}
        reader, writer = self.kept
        body = json.dumps(message).encode()
        writer.write(self.request("POST", "/agent/v1/statuses", body))
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 204" not in head.splitlines()[0]:
            raise SystemExit(f"a status: {head!r}")

    async def keep(self) -> None:
        """Have a connection for statuses, as agents do."""
        self.kept = await asyncio.open_connection("127.0.0.1", self.port)

    async def send(self, until_s: float) -> int:
        """Send batches as fast as they are acknowledged; how many records that were."""
        record = {
            "kind": "log",
            "probe": "simulated",
            "site": "shop.billing:charge",
            "phase": "pre",
            "thread": 1,
            "message": "charged 5 to alice in 3.2 ms",
        }
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        sent = 0
        while time.monotonic() < until_s:
            now = time.time_ns()
            records = [{**record, "time": now + n} for n in range(BATCH_RECORDS)]
            batch = {"batch": secrets.token_hex(16), "instance": self.id, "sent": now}
            text = json.dumps({**batch, "records": records, "drops": {}}).encode()
            coding = "Content-Encoding: deflate\r\n"
            body = zlib.compress(text, 1)
            writer.write(self.request("POST", "/agent/v1/records", body, coding))
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200" not in head.splitlines()[0]:
                raise SystemExit(f"records: {head!r}")
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().splitlines()
                if line.startswith(b"content-length")
            )
            await reader.readexactly(length)
            sent += BATCH_RECORDS
        writer.close()
        return sent


async def simulate(server: Server, count: int, seconds: float) -> dict[str, float]:
    """Connect, push, ingest; the figures of the simulated part."""
    port = int(server.url.rpartition(":")[2])
    token = server.token("agent")
    agents = [Simulated(port, token, n) for n in range(count)]
    ready = asyncio.Semaphore(20)
    began = time.monotonic()
    following = [asyncio.create_task(agent.follow(ready)) for agent in agents]
    while await asyncio.to_thread(server.connected, "simulated") < count:
        for task in following:
            if task.done():
                task.result()
        await asyncio.sleep(0.2)
    connected_s = time.monotonic() - began
    delays = [await push(server, agents, number) for number in range(5)]
    reported = [await report(server, agents, number) for number in range(5)]
    before, ingest_began = cpu_s(server.pid), time.monotonic()
    sent = await asyncio.gather(
        *(agent.send(time.monotonic() + seconds) for agent in agents[:SENDERS])
    )
    took = time.monotonic() - ingest_began
    figures = {
        "connect all, s": connected_s,
        "push to all simulated, p50 s": statistics.median(d[0] for d in delays),
        "push to all simulated, p99 s": statistics.median(d[1] for d in delays),
        "a status of each simulated, s": statistics.median(r[0] for r in reported),
        "server's CPU for these, s": statistics.median(r[1] for r in reported),
        "records a second": sum(sent) / took,
        "records a CPU second of the server": sum(sent) / (cpu_s(server.pid) - before),
        "server's memory with all connected, MiB": resident_mib(server.pid),
    }
    for task in following:
        task.cancel()
    return figures


async def report(
    server: Server, agents: list[Simulated], number: int
) -> tuple[float, float]:
    """All say at once that a probe is installed: seconds, and the server's CPU."""
    for agent in agents:
        if number == 0:
            await agent.keep()
    before, began = cpu_s(server.pid), time.monotonic()
    await asyncio.gather(*(agent.report(f"push-{number}") for agent in agents))
    return time.monotonic() - began, cpu_s(server.pid) - before


async def push(
    server: Server, agents: list[Simulated], number: int
) -> tuple[float, float]:
    """From the operator's request to the agents' sockets: median and p99."""
    known = [len(agent.pushed_at) for agent in agents]
    began = time.monotonic()
    await asyncio.to_thread(
        server.add,
        id=f"push-{number}",
        target="m:f",
        log="x",
        scope={"app": "simulated"},
    )
    end = began + 60
    while (  # noqa: ASYNC110 - a thousand events are waited for
        any(len(a.pushed_at) == k for a, k in zip(agents, known, strict=True))
        and time.monotonic() < end
    ):
        await asyncio.sleep(0.01)
    delays = sorted(max(agent.pushed_at.values(), default=end) for agent in agents)
    return (
        delays[len(delays) // 2] - began,
        delays[int(len(delays) * 0.99)] - began,
    )


def install(server: Server, processes: int, number: int) -> float:
    """Seconds until 99 % of the real processes have said that a probe is installed."""
    name = f"fleet-{number}"
    wanted = -(-processes * 99 // 100)
    began = time.monotonic()
    server.add(id=name, target="__main__:work", log="{n}", scope={"app": "fleet"})
    until(lambda: server.installed(name) >= wanted, name, 180)
    took = time.monotonic() - began
    server.remove(name)
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description="What one server carries.")
    parser.add_argument("--processes", type=int, default=100)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=15.0, help="of ingest")
    options = parser.parse_args()
    with serving() as server:
        empty_mib = resident_mib(server.pid)
        real = subprocess.Popen(
            [sys.executable, "-c", REAL, server.url, str(options.processes)],
            env=environment(
                REMORA_TOKEN_FILE=str(server.data / "agent.token"), REMORA_LOG="off"
            ),
            stdin=subprocess.PIPE,
        )
        try:
            until(
                lambda: server.connected("fleet") >= options.processes,
                "the processes",
                180,
            )
            installs = [install(server, options.processes, n) for n in range(5)]
            figures = asyncio.run(simulate(server, options.agents, options.seconds))
        finally:
            real.send_signal(signal.SIGTERM)
            real.wait(30)
    load = os.getloadavg()[0]
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}; "
        f"{options.processes} processes and {options.agents} simulated agents"
    )
    print(
        f"{statistics.median(installs):10.2f}  probe installed in 99 % of processes, s"
    )
    print(f"{installs[0]:10.2f}  the first one, right after the processes began, s")
    print(f"{empty_mib:10.1f}  server's memory with nobody connected, MiB")
    for what, value in figures.items():
        print(f"{value:10.2f}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
