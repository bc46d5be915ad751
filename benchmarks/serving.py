"""A `remora serve` of its own for benchmarks, and the operator who uses it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

SOURCE = Path(__file__).parents[1] / "src"
READY_S = 60.0
UNLIMITED = {"rate": "1000000/s", "time": "100%"}


@dataclass
class Server:
    """Where a running server is, its tokens, and its process."""

    url: str
    data: Path
    pid: int
    operator: httpx.Client

    def token(self, kind: str) -> str:
        return (self.data / f"{kind}.token").read_text().strip()

    def ask(self, method: str, path: str, **options: Any) -> Any:
        answer = self.operator.request(method, path, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def add(self, **probe: Any) -> None:
        self.ask("POST", "/api/v1/probes", json={"probe": probe})

    def remove(self, probe: str) -> None:
        self.ask("DELETE", f"/api/v1/probes/{probe}")

    def installed(self, probe: str) -> int:
        found = self.ask("GET", f"/api/v1/probes/{probe}")["statuses"]
        return sum(each["status"]["state"] == "installed" for each in found)

    def connected(self, app: str) -> int:
        query = {"app": app, "state": "connected"}
        return len(self.ask("GET", "/api/v1/instances", params=query)["instances"])


@contextmanager
def serving() -> Iterator[Server]:
    """Start a server in a folder of its own, and end it."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        data = Path(folder) / "data"
        command = ["serve", "--json", "--data", str(data), "--port", str(port)]
        process = subprocess.Popen(
            [sys.executable, "-m", "remora", *command],
            env=environment(),
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            json.loads(process.stdout.readline())
            url = f"http://127.0.0.1:{port}"
            token = (data / "operator.token").read_text().strip()
            with httpx.Client(
                base_url=url,
                headers={"Authorization": f"Bearer {token}"},
                timeout=READY_S,
                trust_env=False,
            ) as operator:
                yield Server(url, data, process.pid, operator)
        finally:
            process.terminate()
            process.wait(30)


def environment(**more: str) -> dict[str, str]:
    """Ours without settings of an agent."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("REMORA_")}
    return kept | {"PYTHONPATH": str(SOURCE)} | more


def until(condition: Any, what: str, seconds: float = READY_S) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not come within {seconds:g} s")
        time.sleep(0.02)


def resident_mib(pid: int) -> float:
    """Memory of a process that is its own or shared, in MiB."""
    text = Path(f"/proc/{pid}/statm").read_text(encoding="ascii")
    return int(text.split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
