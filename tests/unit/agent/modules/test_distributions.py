from __future__ import annotations

import importlib
import json
import sys

import pytest

from remora.agent.modules import distributions


@pytest.fixture
def installed(write, tmp_path, monkeypatch):
    """A folder like site-packages with one distribution `rocket-tool` 2.1."""
    write("site/rocket/__init__.py", "")
    write("site/rocket/engine.py", "def fire(): pass\n")
    write(
        "site/rocket_tool-2.1.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: rocket-tool\nVersion: 2.1\n",
    )
    write(
        "site/rocket_tool-2.1.dist-info/RECORD",
        "rocket/__init__.py,sha256=x,0\nrocket/engine.py,sha256=y,10\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield tmp_path
    distributions.forget()
    for name in [name for name in sys.modules if name.startswith("rocket")]:
        del sys.modules[name]


def test_a_module_knows_its_distribution_and_version(installed, store):
    importlib.import_module("rocket.engine")
    for name in ("rocket", "rocket.engine"):
        record = store.find(name)
        assert (record.distribution, record.version) == ("rocket-tool", "2.1")


def test_a_vendored_copy_is_told_apart_by_its_path(
    installed, store, write, monkeypatch
):
    write("vendor/rocket/__init__.py", "")
    write("vendor/rocket/engine.py", "def fire(): pass\n")
    monkeypatch.syspath_prepend(str(installed / "vendor"))
    importlib.import_module("rocket.engine")
    record = store.find("rocket.engine")
    assert "/vendor/" in record.file
    assert (record.distribution, record.version) == ("", "")


def test_a_file_that_the_distribution_does_not_list_is_not_its_own(
    installed, store, write
):
    write("site/rocket/plugin_of_mine.py", "")
    importlib.import_module("rocket.plugin_of_mine")
    assert store.find("rocket.plugin_of_mine").distribution == ""


def test_an_editable_installation_is_found_by_its_folder(
    installed, store, write, monkeypatch
):
    write("work/satellite/__init__.py", "")
    write(
        "site/satellite-0.1.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: satellite\nVersion: 0.1\n",
    )
    write("site/satellite-0.1.dist-info/RECORD", "satellite.pth,,\n")
    write(
        "site/satellite-0.1.dist-info/direct_url.json",
        json.dumps({"url": f"file://{installed}/work", "dir_info": {"editable": True}}),
    )
    monkeypatch.syspath_prepend(str(installed / "work"))
    importlib.import_module("satellite")
    record = store.find("satellite")
    assert (record.distribution, record.version) == ("satellite", "0.1")


def test_a_module_without_file_belongs_to_no_distribution(store):
    assert store.find("sys").distribution == ""


def test_nothing_is_looked_up_before_somebody_asks(child, write):
    write("quiet_d.py")
    out = child("""
        store.start()
        store.subscribe(lambda m: None)
        import quiet_d
        store.look()
        print("importlib.metadata" in sys.modules)
    """)
    assert out == "False"
