"""Finding out which Python a command will run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from remora.boot.interpreter import find_interpreter, read_shebang
from remora.pythons import Interpreter, shut_out_by

VERSION = ".".join(map(str, sys.version_info[:3]))


def script(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_python_itself_is_found_without_starting_it():
    found = find_interpreter([sys.executable, "app.py"], os.environ)
    assert found == Interpreter(sys.executable, "cpython", VERSION)
    assert found.refusal is None


@pytest.mark.parametrize(
    "shebang",
    [
        "#!{python}",
        "#!/usr/bin/env -S {python} -u",
        "#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''",
    ],
)
def test_a_scripts_first_line_leads_to_its_interpreter(tmp_path, shebang):
    path = script(tmp_path / "app", shebang.format(python=sys.executable) + "\n")
    found = find_interpreter([path], os.environ)
    assert found is not None
    assert found.path == sys.executable


def test_env_looks_the_interpreter_up_on_the_path_that_the_command_gets(tmp_path):
    script(tmp_path / "python3", "#!/bin/sh\necho -n 'cpython 3.6.15'\n")
    path = script(tmp_path / "app", "#!/usr/bin/env python3\n")
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    found = find_interpreter([path], environ)
    assert found is not None
    assert (found.path, found.version) == (str(tmp_path / "python3"), "3.6.15")
    assert found.refusal is not None
    assert str(tmp_path / "python3") in found.refusal
    assert "3.6.15" in found.refusal


def test_env_with_assignments_is_followed():
    found = find_interpreter(["env", "A=1", sys.executable, "x.py"], os.environ)
    assert found is not None
    assert found.path == sys.executable


def test_a_name_with_a_version_is_believed(tmp_path):
    path = script(tmp_path / "python2.7", "#!/bin/false\n")
    found = find_interpreter([path], os.environ)
    assert found is not None
    assert (found.version, found.refusal is None) == ("2.7", False)


def test_pypy_is_refused(tmp_path):
    path = script(tmp_path / "pypy3.11", "#!/bin/false\n")
    found = find_interpreter([path], os.environ)
    assert found is not None
    assert "PyPy 3.11" in (found.refusal or "")


@pytest.mark.parametrize("command", [["/bin/sh", "-c", "x"], ["no-such-thing"], []])
def test_what_hides_its_interpreter_is_unknown(command):
    assert find_interpreter(command, os.environ) is None


def test_a_python_that_does_not_answer_is_unknown(tmp_path):
    path = script(tmp_path / "python3", "#!/bin/sh\nexit 3\n")
    assert find_interpreter([path], os.environ) is None


def test_scripts_that_name_each_other_end(tmp_path):
    path = tmp_path / "loop"
    script(path, f"#!{path}\n")
    assert find_interpreter([str(path)], os.environ) is None


def test_a_binary_and_a_broken_line_have_no_interpreter(tmp_path):
    (tmp_path / "binary").write_bytes(b"\x7fELF\xff\xfe")
    (tmp_path / "broken").write_text("#!/bin/sh 'open")
    assert read_shebang(str(tmp_path / "binary")) == []
    assert read_shebang(str(tmp_path / "broken")) == []


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["-I", "app.py"], "-I"),
        (["-uS", "app.py"], "-S"),
        (["-W", "ignore", "-E", "app.py"], "-E"),
        (["-Wignore", "app.py"], ""),
        (["app.py", "-I"], ""),
        (["-m", "module", "-I"], ""),
        (["-c", "code", "-S"], ""),
        (["-X", "dev", "app.py"], ""),
        (["--check-hash-based-pycs", "always", "-I", "a.py"], "-I"),
        (["-"], ""),
    ],
)
def test_options_that_shut_the_agent_out_are_seen(arguments, option):
    assert shut_out_by(arguments) == option


def test_a_python_that_ignores_the_environment_is_refused_with_the_option():
    found = find_interpreter([sys.executable, "-I", "app.py"], os.environ)
    assert found is not None
    assert "-I" in (found.refusal or "")
