"""The file that starts the agent in an environment, in a virtual environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from remora.__main__ import main
from remora.boot import BOOT_FOLDER
from remora.boot.install import (
    Environment,
    find_environment,
    install,
    python_of,
    uninstall,
)
from remora.errors import CommandError

LOOK = "import sys; print('remora.agent.agent' in sys.modules)"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("install") / "venv"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60
    )
    return folder


@pytest.fixture
def environment(prefix):
    found = find_environment(python_of(str(prefix)), allow_system=False)
    yield found
    Path(found.file).unlink(missing_ok=True)


def run(environment, *flags, **variables):
    """What a program in the environment prints, on both streams."""
    given = {"PATH": os.environ["PATH"], "REMORA_RECORDS": "/dev/null", **variables}
    return subprocess.run(
        [environment.python, *flags, "-c", LOOK],
        env=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=True,
    ).stdout.split()


def test_only_a_process_that_is_switched_on_has_the_agent(environment):
    assert install(environment)
    assert not install(environment)
    assert run(environment, REMORA_ENABLED="1") == ["True"]
    assert run(environment, "-I", REMORA_ENABLED="1") == ["True"]
    assert run(environment, "-S", REMORA_ENABLED="1") == ["False"]
    assert run(environment, REMORA_ENABLED="0") == ["False"]
    assert run(environment, REMORA_SERVER="http://127.0.0.1:9") == ["False"]
    assert uninstall(environment)
    assert not uninstall(environment)
    assert run(environment, REMORA_ENABLED="1") == ["False"]


def test_beside_remora_run_it_starts_once_and_in_silence(environment):
    install(environment)
    variables = {"REMORA_ENABLED": "1", "PYTHONPATH": BOOT_FOLDER}
    assert run(environment, **variables) == ["True"]


def test_a_removed_package_leaves_no_error_at_start(environment, monkeypatch):
    monkeypatch.setattr("remora.boot.install.BOOT_FOLDER", "/nowhere/remora/boot/site")
    install(environment)
    assert run(environment, REMORA_ENABLED="1") == ["False"]


def test_a_file_of_another_is_left_alone(environment):
    Path(environment.file).write_text("/somewhere\n")
    for change in (install, uninstall):
        with pytest.raises(CommandError, match="was not made by"):
            change(environment)
    assert Path(environment.file).read_text() == "/somewhere\n"


def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(CommandError, match="cannot write '/nowhere/"):
        install(Environment("python", "CPython 3.11.7", "/nowhere"))


def answering(path, **answer):
    """A program that answers as a Python would."""
    path.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_of_the_system_is_refused_unless_meant(tmp_path):
    said = {"folder": "/f", "implementation": "cpython", "version": "3.12.1"}
    python = answering(tmp_path / "python", is_managed=True, **said)
    with pytest.raises(CommandError, match="add --system"):
        find_environment(python, allow_system=False)
    assert find_environment(python, allow_system=True).folder == "/f"


def test_what_cannot_be_served_or_is_no_environment_is_refused(tmp_path):
    said = {"folder": "/f", "implementation": "cpython", "version": "3.8.1"}
    old = answering(tmp_path / "python", is_managed=False, **said)
    with pytest.raises(CommandError, match=r"CPython 3.8.1 .* needs CPython 3.11"):
        find_environment(old, allow_system=False)
    with pytest.raises(CommandError, match="is no environment"):
        python_of(str(tmp_path))
    with pytest.raises(CommandError, match="cannot be asked"):
        find_environment("/bin/false", allow_system=False)


def test_the_commands_say_what_they_did(environment, prefix, capsys):
    for command, changed in (
        ("install", True),
        ("install", False),
        ("uninstall", True),
        ("uninstall", False),
    ):
        assert main([command, "--prefix", str(prefix), "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert (answer["file"], answer["changed"]) == (environment.file, changed)
    assert main(["install", "--python", environment.python]) == 0
    assert "REMORA_ENABLED=1" in capsys.readouterr().out
