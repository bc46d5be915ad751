from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from remora.agent.diagnostics import Diagnostics
from remora.agent.modules import ModuleStore
from remora.agent.targets import Resolution, Site, resolve
from remora.protocol import parse_target


@pytest.fixture
def store() -> Iterator[ModuleStore]:
    store = ModuleStore(Diagnostics("off"))
    store.start()
    yield store
    store.stop()


@pytest.fixture
def load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], ModuleType]]:
    """Writes a module to disk and imports it."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load_module(name: str, text: str = "") -> ModuleType:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield load_module
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def meet(store: ModuleStore) -> Callable[..., Resolution]:
    def meet_target(text: str, expect: str | None = None) -> Resolution:
        return resolve(parse_target(text), store, expect)

    return meet_target


@pytest.fixture
def site(meet: Callable[..., Resolution]) -> Callable[[str], Site]:
    def only_site(text: str) -> Site:
        resolution = meet(text)
        assert len(resolution.sites) == 1, resolution
        return resolution.sites[0]

    return only_site
