from __future__ import annotations

import sys
import types

import pytest

from remora.agent.modules import LoadedModule, ModuleState


def make(file):
    module = types.ModuleType("loaded_l")
    module.__file__ = file
    return module


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("/app/pkg/mod.py", "/app/pkg/mod.py"),
        ("/app/pkg/mod.pyc", "/app/pkg/mod.py"),
        ("/app/pkg/__pycache__/mod.cpython-311.pyc", "/app/pkg/mod.py"),
        ("/app/pkg/mod.cpython-311-x86_64-linux-gnu.so",) * 2,
        (None, ""),
        ("", ""),
    ],
)
def test_the_file_is_the_real_path_of_the_source(file, source):
    module = make(file)
    assert LoadedModule("loaded_l", module, 1).file == source


def test_a_main_program_that_gets_its_file_later_has_it_then():
    # `remora run` looks at __main__ before Python has begun to read the script.
    module = types.ModuleType("__main__")
    loaded = LoadedModule("__main__", module, 1)
    assert (loaded.file, loaded.real_name) == ("", "__main__")
    module.__file__ = "/app/script.py"
    assert (loaded.file, loaded.real_name) == ("/app/script.py", "script")


def test_a_link_is_followed(tmp_path):
    real = tmp_path / "real.py"
    real.write_text("")
    (tmp_path / "link.py").symlink_to(real)
    module = make(str(tmp_path / "link.py"))
    assert LoadedModule("loaded_l", module, 1).file == str(real.resolve())


def test_state_follows_what_sys_modules_holds(monkeypatch):
    module = make(None)
    record = LoadedModule("loaded_l", module, 1)
    assert record.state is ModuleState.GONE
    monkeypatch.setitem(sys.modules, "loaded_l", module)
    assert record.state is ModuleState.LOADED
    assert repr(record) == "<LoadedModule loaded_l loaded>"
    monkeypatch.setitem(sys.modules, "loaded_l", make(None))
    assert record.state is ModuleState.GONE
