"""Processes that something bad happens to, each with a limit on its time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
LIMIT_S = 60.0


@dataclass
class Finished:
    """What became of a process."""

    status: int
    out: str
    err: str
    seconds: float


@pytest.fixture
def run_app(tmp_path: Path) -> Iterator[Callable[..., Finished]]:
    """Runs a program in a fresh interpreter; fails the test when it does not succeed.

    The program is in a folder of its own, with warnings as errors; keyword arguments
    are its environment. A process that hangs says where, and is ended.
    """
    started: list[subprocess.Popen[str]] = []

    def run(
        text: str, *arguments: str, status: int = 0, runner: tuple[str, ...] = (), **env
    ) -> Finished:
        script = tmp_path / "program.py"
        script.write_text(textwrap.dedent(text))
        command = [sys.executable, "-W", "error", "-X", "faulthandler", *runner]
        began = time.monotonic()
        child = subprocess.Popen(
            [*command, str(script), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment() | env,
        )
        started.append(child)
        try:
            out, err = child.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGABRT)
            out, err = child.communicate(timeout=5)
            pytest.fail(f"it hung\n{out}\n{err}")
        done = Finished(child.returncode, out, err, time.monotonic() - began)
        assert done.status == status, f"status {done.status}\n{out}\n{err}"
        return done

    yield run
    for child in started:
        if child.poll() is None:
            child.kill()
            child.wait(5)


def environment() -> dict[str, str]:
    """Ours without settings of an agent, and with the package in its path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("REMORA_")}
    return kept | {"PYTHONPATH": str(SOURCE), "REMORA_LOG": "off"}
