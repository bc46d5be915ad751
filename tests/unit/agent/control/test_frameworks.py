"""Probes of frameworks are made when their module is there, each once."""

import json
import sys
from types import ModuleType

import pytest

from remora import packs
from remora.agent.control import Frameworks
from remora.agent.diagnostics import Diagnostics
from remora.agent.modules import ModuleStore

REQUEST = {"kind": "wsgi"}
TABLES = {
    name: [{"id": name, "target": f"{name}:App.__call__", "request": REQUEST}]
    for name in ("framework_one", "framework_two")
}


@pytest.fixture
def made():
    return []


@pytest.fixture
def frameworks(made):
    def add(probes):
        made.extend(probe.id for probe in probes)

    return Frameworks(
        add, {packs.made_file(packs.FRAMEWORKS): json.dumps(TABLES).encode()}
    )


@pytest.fixture
def module(monkeypatch):
    found = ModuleType("framework_two")
    monkeypatch.setitem(sys.modules, "framework_two", found)
    return found


def test_nothing_is_made_while_no_module_is_there(frameworks, made):
    frameworks.wake()
    assert made == []


def test_a_module_that_is_there_wakes_its_own_probes_once(frameworks, made, module):
    frameworks.wake()
    frameworks.wake()
    assert made == ["pack:framework_two"]


def test_a_framework_that_runs_as_main_is_known_by_its_file(
    frameworks, made, tmp_path, monkeypatch
):
    main = ModuleType("__main__")
    main.__file__ = str(tmp_path / "framework_one.py")
    monkeypatch.setitem(sys.modules, "__main__", main)
    store = ModuleStore(Diagnostics("off"))
    frameworks.wake(store.find_main())
    assert made == ["pack:framework_one"]


def test_every_framework_of_the_wheel_can_be_made():
    made = []
    frameworks = Frameworks(made.extend, {})
    for name in list(frameworks._waiting):
        for table in frameworks._waiting[name]:
            frameworks._install(table)
    assert len(made) > 20
    assert all(probe.id.startswith(packs.PREFIX) for probe in made)
