"""The boot code in real child processes of every interpreter found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOOK = """
import sys
print("sitecustomize" in sys.modules)
print([p for p in sys.path if p.endswith("site") and "boot" in p])
print("remora" in sys.modules)
"""


def write_own(folder: Path, body: str) -> str:
    """A sitecustomize of the site's own."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(body)
    return str(folder)


def test_the_agent_starts_and_the_boot_folder_leaves_the_path(sandbox, served_python):
    result = sandbox.run(served_python, LOOK)
    assert result.stderr == "agent started\n"
    assert result.stdout.split("\n")[:3] == ["False", "[]", "True"]


def test_the_agent_comes_from_the_travelling_package_and_not_from_the_path(
    sandbox, served_python
):
    decoy = sandbox.root / "decoy" / "remora"
    decoy.mkdir(parents=True)
    (decoy / "__init__.py").write_text("def start(): print('wrong one')")
    result = sandbox.run(
        served_python,
        "import remora; print(remora.__file__)",
        path=str(decoy.parent),
    )
    assert result.stdout == f"{sandbox.package / '__init__.py'}\n"
    assert result.stderr == "agent started\n"


def test_the_sites_own_sitecustomize_runs_once_under_its_name(sandbox, served_python):
    own = write_own(sandbox.root / "own", "print('own ran')\nVALUE = 42\n")
    result = sandbox.run(
        served_python, "import sitecustomize; print(sitecustomize.VALUE)", path=own
    )
    assert result.stdout == "own ran\n42\n"
    assert result.stderr == "agent started\n"


def test_the_sites_own_sitecustomize_runs_on_old_pythons_too(sandbox, old_python):
    own = write_own(sandbox.root / "own", "print('own ran')\nVALUE = 42\n")
    result = sandbox.run(
        old_python, "import sitecustomize; print(sitecustomize.VALUE)", path=own
    )
    assert result.stdout == "own ran\n42\n"
    assert result.returncode == 0


@pytest.mark.parametrize(
    "body",
    [
        "1 / 0",
        "import not_there_at_all",
        "raise SystemExit(7)",
        "raise ImportError('own')",
        "raise KeyboardInterrupt",
    ],
)
def test_an_exception_of_the_sites_own_behaves_as_without_us(
    sandbox, served_python, body
):
    own = write_own(sandbox.root / "own", f"{body}\n")
    code = "import sys; print('sitecustomize' in sys.modules)"
    ours = sandbox.run(served_python, code, path=own)
    bare = subprocess.run(
        [served_python, "-c", code],
        env={"PYTHONPATH": own},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ours.returncode == bare.returncode
    assert ours.stdout == bare.stdout
    said = ours.stderr.replace("agent started\n", "")
    if "SystemExit" in body or "Interrupt" in body:
        # These end the interpreter with a traceback, in which our frames show.
        assert said.splitlines()[-1:] == bare.stderr.splitlines()[-1:]
    else:
        assert said == bare.stderr


def test_children_get_the_agent_too(sandbox, served_python):
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'pass'])"
    result = sandbox.run(served_python, code)
    assert result.stderr == "agent started\n" * 2


@pytest.mark.parametrize("value", ["0", "off", "No", "FALSE"])
def test_the_kill_switch_leaves_the_process_alone(sandbox, value):
    result = sandbox.run(sys.executable, LOOK, REMORA_ENABLED=value)
    assert result.stderr == ""
    assert result.stdout.split("\n")[:3] == ["False", "[]", "False"]


def test_a_failing_start_is_one_line_and_the_app_goes_on(sandbox, served_python):
    sandbox.start("raise ValueError('two\\nlines \\x1b[31m')")
    result = sandbox.run(served_python, "print('app')")
    assert result.stdout == "app\n"
    assert result.stderr.count("\n") == 1
    assert "ValueError: two lines  [31m" in result.stderr


def test_a_package_that_cannot_be_imported_is_one_line_and_leaves_no_half(sandbox):
    (sandbox.package / "__init__.py").write_text("import not_there_at_all")
    result = sandbox.run(sys.executable, LOOK)
    assert result.stderr.count("\n") == 1
    assert "the agent did not start" in result.stderr
    assert result.stdout.split("\n")[:3] == ["False", "[]", "False"]


def test_an_interpreter_that_is_too_old_is_named_once_for_all_its_children(
    sandbox, old_python
):
    code = (
        "import subprocess, sys\n"
        "subprocess.call([sys.executable, '-c', 'pass'])\nprint('app')"
    )
    result = sandbox.run(old_python, code)
    assert result.stdout == "app\n"
    assert result.stderr.count("\n") == 1
    assert old_python in result.stderr
    assert "needs CPython 3.11 or newer" in result.stderr


def test_isolated_children_are_left_alone(sandbox, served_python):
    assert sandbox.run(served_python, "print('app')", "-I").stderr == ""


@pytest.mark.parametrize("path", ["", "/elsewhere"])
def test_children_go_without_the_agent_where_that_is_asked_for(sandbox, path):
    code = (
        "import os, subprocess, sys; print(os.environ.get('PYTHONPATH'), flush=True);"
        "subprocess.run([sys.executable, '-c', 'pass'])"
    )
    result = sandbox.run(sys.executable, code, path=path, REMORA_CHILDREN="off")
    assert result.stdout == f"{path or None}\n"
    assert result.stderr == "agent started\n"
