"""The environment of a command, the checks before it, and the exec."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from remora.boot import BOOT_FOLDER, build_environment, check_run, exec_command
from remora.boot.run import find_command
from remora.errors import CommandError, CommandNotFoundError, ConfigError, ProbeError


def test_the_boot_folder_goes_first_and_the_existing_path_stays():
    environ = build_environment({}, {"PYTHONPATH": "/a::/b", "X": "1"})
    assert environ == {"PYTHONPATH": f"{BOOT_FOLDER}:/a::/b", "X": "1"}


def test_without_a_path_nothing_but_the_boot_folder_is_added():
    assert build_environment({}, {"PYTHONPATH": ""})["PYTHONPATH"] == BOOT_FOLDER


def test_a_run_inside_a_run_adds_the_folder_once():
    once = build_environment({}, {})
    assert build_environment({}, once) == once


def test_options_become_settings_and_files_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {
        "app": "shop",
        "probes": ["a.toml", "/b.toml"],
        "records": "out.jsonl",
        "token_file": "token",
        "env": None,
    }
    environ = build_environment(options, {"REMORA_ENV": "prod"})
    assert environ["REMORA_APP"] == "shop"
    assert environ["REMORA_ENV"] == "prod"
    assert environ["REMORA_PROBES"] == f"{tmp_path}/a.toml:/b.toml"
    assert environ["REMORA_RECORDS"] == f"{tmp_path}/out.jsonl"
    assert environ["REMORA_TOKEN_FILE"] == f"{tmp_path}/token"


def test_records_on_standard_error_stay_a_dash():
    assert build_environment({"records": "-"}, {})["REMORA_RECORDS"] == "-"


def test_a_token_given_beats_a_token_file_of_the_environment():
    environ = build_environment({"token": "rma_x"}, {"REMORA_TOKEN_FILE": "/gone"})
    assert environ["REMORA_TOKEN"] == "rma_x"
    assert "REMORA_TOKEN_FILE" not in environ


def test_a_setting_that_the_agent_would_refuse_is_refused_before():
    with pytest.raises(ConfigError, match="REMORA_SERVER = 'shop' is no address"):
        check_run({"REMORA_SERVER": "shop"})


def test_an_operators_token_is_refused_with_the_kind_that_is_needed():
    with pytest.raises(CommandError, match="needs an agent token"):
        check_run({"REMORA_TOKEN": "rmo_x"})


def test_a_mistake_in_any_probe_file_is_found_before(tmp_path):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text("[[probe]]\ntarget = 'a:b'\nlog = 'x'\n")
    bad.write_text("[[probe]]\ntarget = 'a:b'\nlgo = 'x'\n")
    check_run({"REMORA_PROBES": str(good)})
    with pytest.raises(ProbeError, match=r"bad\.toml:3: 'lgo' is no key"):
        check_run({"REMORA_PROBES": f"{good}:{bad}"})


def test_two_files_with_one_id_are_refused(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("[[probe]]\nid = 'a'\ntarget = 'a:b'\nlog = 'x'\n")
    with pytest.raises(ProbeError, match="'a' is used before"):
        check_run({"REMORA_PROBES": f"{path}:{path}"})


def test_a_missing_command_says_what_to_check_and_ends_with_127():
    with pytest.raises(CommandNotFoundError, match="'no-such' was not found") as caught:
        find_command("no-such", {"PATH": "/nowhere"})
    assert caught.value.exit_status == 127


def test_a_file_that_may_not_be_started_is_named(tmp_path):
    path = tmp_path / "app"
    path.write_text("x")
    with pytest.raises(CommandNotFoundError, match="make it executable"):
        find_command(str(path), {"PATH": ""})


def test_a_program_for_another_machine_is_an_error_of_ours(tmp_path):
    path = tmp_path / "app"
    path.write_bytes(b"\x00\x01\x02")
    path.chmod(0o755)
    with pytest.raises(CommandError, match="cannot start"):
        exec_command([str(path)], {"PATH": ""})


def test_the_command_takes_over_the_process_id():
    code = (
        "import os; from remora.boot import exec_command; print(os.getpid(), flush=1);"
        "exec_command(['sh', '-c', 'echo $$; echo $X; exit 5'],"
        " {'PATH': os.environ['PATH'], 'X': 'y'})"
    )
    source = str(Path(BOOT_FOLDER).parents[2])
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    own, child, value = result.stdout.split()
    assert (own, value, result.returncode) == (child, "y", 5)
