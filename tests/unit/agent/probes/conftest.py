from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from remora.agent.capture import SecretNames
from remora.agent.diagnostics import Diagnostics
from remora.agent.hooks import HookTable
from remora.agent.modules import ModuleStore
from remora.agent.probes import Probes
from remora.protocol import Instance, State, Status, parse_probe


class Bench:
    """Probes of a process of its own, with what they report."""

    def __init__(self) -> None:
        self.records: list[dict[str, object]] = []
        self.full = False
        self.wakes: list[int] = []
        self.states: dict[str, State] = {}
        self.store = ModuleStore(Diagnostics("off"))
        self.store.start()
        self.instance = Instance(
            "id", "shop", "prod", "4.2", "web-1", 1, 0, 0, "CPython", "0"
        )
        self.store_probes = Probes(
            self.store,
            HookTable(),
            self._put,
            SecretNames(()),
            lambda: self.instance,
            lambda: self.wakes.append(1),
        )
        self.store.subscribe(self.store_probes.module_loaded)

    def _put(
        self,
        record: tuple[object, ...],
        size: int,
        important: bool = False,
    ) -> bool:
        assert size > 0
        if self.full:
            return False
        encode, *fields = record
        self.records.append(encode(*fields))
        return True

    @property
    def probes(self) -> Probes:
        return self.store_probes

    def add(self, target: str, **keys: object) -> str:
        """Adds one probe; its id is `p` unless given."""
        name = keys.pop("id", "p")
        self.states.pop(name, None)
        self.probes.add([parse_probe({"id": name, "target": target, **keys})])
        return name

    def status(self, name: str = "p") -> Status:
        status = next(s for s in self.probes.statuses() if s.probe == name)
        before = self.states.get(name, status.state)
        self.states[name] = status.state
        assert status.state in {before, *map(State, before.meaning.leads_to)}
        return status

    @property
    def state(self) -> str:
        return self.status().state.value

    @property
    def reason(self) -> str:
        return self.status().reason

    @property
    def messages(self) -> list[object]:
        return [record.get("message") for record in self.records]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.probes.clear()
    bench.store.stop()
    assert len(bench.probes.hooks) == 0


@pytest.fixture
def write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    """Writes a module to disk where it can be imported."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write_module(name: str, text: str) -> None:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()

    yield write_module
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def load(write: Callable[[str, str], None]) -> Callable[[str, str], ModuleType]:
    """Writes a module and imports it."""

    def load_module(name: str, text: str) -> ModuleType:
        write(name, text)
        return importlib.import_module(name)

    return load_module
