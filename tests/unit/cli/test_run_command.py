"""`remora run` as a process, with a travelling package that only says that it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from remora.boot import BOOT_FOLDER

PACKAGE = Path(BOOT_FOLDER).parents[1]
START = "def start():\n    import os\n    os.write(2, b'agent started\\n')\n"


@pytest.fixture
def run(tmp_path):
    """Runs `remora run` from a copy of the package whose agent is a stand-in."""
    source = tmp_path / "src"
    shutil.copytree(
        PACKAGE, source / "remora", ignore=shutil.ignore_patterns("__pycache__")
    )
    (source / "remora" / "__init__.py").write_text(START)

    def start(*argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
        code = (
            f"import sys; sys.path.insert(0, {str(source)!r});"
            "from remora.__main__ import main; sys.exit(main())"
        )
        return subprocess.run(
            [sys.executable, "-c", code, "run", *argv],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
        )

    return start


SHOW = "import os; print(*sorted(f'{k}={v}' for k, v in os.environ.items() if k.startswith('REMORA')))"  # noqa: E501


def test_the_command_runs_with_the_agent_and_its_settings(run):
    result = run("--app", "shop", "--env", "prod", "--", sys.executable, "-c", SHOW)
    assert result.stderr == "agent started\n"
    assert result.stdout == "REMORA_APP=shop REMORA_ENV=prod\n"


def test_the_exit_status_is_the_commands(run):
    assert run("--", "sh", "-c", "exit 9").returncode == 9


def test_a_missing_command_is_127(run):
    result = run("--", "no-such-command")
    assert result.returncode == 127
    assert result.stderr == (
        "remora: error: the command 'no-such-command' was not found: check its name "
        "and PATH\n"
    )


def test_a_bad_setting_starts_nothing(run):
    result = run("--server", "nowhere", "--", "echo", "ran")
    assert (result.returncode, result.stdout) == (1, "")
    assert "REMORA_SERVER = 'nowhere' is no address" in result.stderr


def test_an_interpreter_that_cannot_be_served_is_named_and_runs_all_the_same(
    run, tmp_path
):
    old = tmp_path / "python3.6"
    old.write_text("#!/bin/sh\necho ran $REMORA_UNSERVED_SAID\n")
    old.chmod(0o755)
    result = run("--server", "http://127.0.0.1:9", "--", str(old), "app.py")
    assert result.stdout == "ran 1\n"
    first, second = result.stderr.splitlines()
    assert first == (
        f"remora: {old} is CPython 3.6 and runs without the agent, which needs "
        "CPython 3.11 or newer"
    )
    assert "http://127.0.0.1:9 did not answer" in second


def test_the_token_of_a_server_on_this_machine_is_offered(run, tmp_path):
    token = tmp_path / ".local" / "share" / "remora" / "agent.token"
    token.parent.mkdir(parents=True)
    token.write_text("rma_x")
    argv = ("--", sys.executable, "-c", SHOW)
    local = run("--server", "http://127.0.0.1:9", *argv).stdout
    assert f"REMORA_TOKEN_FILE={token}" in local
    remote = run("--server", "https://remora.example", *argv).stdout
    assert "REMORA_TOKEN_FILE" not in remote


def test_the_kill_switch_runs_the_command_bare(run):
    result = run("--", sys.executable, "-c", "print('ran')", REMORA_ENABLED="off")
    assert (result.stdout, result.stderr) == ("ran\n", "")
