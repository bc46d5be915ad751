from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remora.agent.diagnostics import Diagnostics
from remora.agent.modules import LoadedModule, ModuleStore


class News:
    """What subscribers were told, as (name, state, generation)."""

    def __init__(self, store: ModuleStore) -> None:
        self.records: list[LoadedModule] = []
        self.seen: list[tuple[str, str, int]] = []
        store.subscribe(self._note)

    def _note(self, record: LoadedModule) -> None:
        self.records.append(record)
        self.seen.append((record.name, record.state.value, record.generation))

    def of(self, *names: str) -> list[tuple[str, str, int]]:
        return [entry for entry in self.seen if entry[0] in names]


@pytest.fixture
def diagnostics() -> Diagnostics:
    return Diagnostics("off")


@pytest.fixture
def store(diagnostics: Diagnostics) -> Iterator[ModuleStore]:
    store = ModuleStore(diagnostics)
    store.start()
    yield store
    store.stop()


@pytest.fixture
def news(store: ModuleStore) -> News:
    return News(store)


@pytest.fixture
def write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Path]]:
    """Writes modules that can be imported, and takes them out of sys.modules again."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write_file(name: str, text: str = "") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    yield write_file
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


PRELUDE = """
import importlib, sys
from remora.agent.diagnostics import Diagnostics
from remora.agent.modules import ModuleStore
diagnostics = Diagnostics("stderr")
store = ModuleStore(diagnostics)
news = []
"""


@pytest.fixture
def child(tmp_path: Path) -> Callable[..., str]:
    """Runs Python in a fresh process in tmp_path and returns what it printed."""

    def run(text: str, *options: str, prelude: str = PRELUDE) -> str:
        arguments = list(options) or ["-c", prelude + textwrap.dedent(text)]
        path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
        done = subprocess.run(
            [sys.executable, "-B", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
