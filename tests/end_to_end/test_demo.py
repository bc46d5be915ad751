"""`remora demo --check`: the main job, from start to end, as a newcomer sees it."""

import os
import signal
import subprocess
import sys
import time

import pytest

STEPS = 7


def demo(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "remora", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **options,
    )


def commands_that_name(text):
    """Command lines of running processes in which the text occurs."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if text in command:
            found.append(command)
    return found


@pytest.mark.timeout(150)
def test_the_check_verifies_every_step_and_leaves_nothing(tmp_path):
    started = time.monotonic()
    process = demo("--check", "--data", str(tmp_path))
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    took_s = time.monotonic() - started
    assert process.returncode == 0, output
    lines = output.splitlines()
    assert [line[:5] for line in lines] == ["ok   "] * STEPS, output
    assert took_s < 90
    assert commands_that_name(str(tmp_path)) == []


@pytest.mark.timeout(150)
def test_a_ctrl_c_ends_everything_that_was_started(tmp_path):
    process = demo("--data", str(tmp_path))
    try:
        for line in process.stdout:
            if line.startswith("ok"):
                break
        assert len(commands_that_name(str(tmp_path))) >= 4
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=40)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, output
    assert "has ended" in output
    assert commands_that_name(str(tmp_path)) == []
