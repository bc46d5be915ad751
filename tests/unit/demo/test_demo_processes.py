"""What the demo starts ends with it, whatever happens."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from remora.demo.processes import ProcessGroup, free_port
from remora.demo.scenario import _folder, _signals_interrupt

FORKING = """
import os, signal, sys, time
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    print(os.getpid(), child, flush=True)
time.sleep(60)
"""


def pids_of(child):
    """The pids that the child wrote, once it has."""
    deadline = time.monotonic() + 20
    while not child.log.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [int(word) for word in child.log.read_text().split()]


def is_running(pid):
    """Whether the process does anything; a zombie that waits for init does not."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return line.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("manner", ["obedient", "stubborn"])
def test_children_and_what_they_forked_end(tmp_path, monkeypatch, manner):
    monkeypatch.setattr("remora.demo.processes.STOP_S", 1.0)
    with ProcessGroup(tmp_path) as processes:
        child = processes.start("one", [sys.executable, "-c", FORKING, manner])
        pids = pids_of(child)
        assert all(map(is_running, pids))
    deadline = time.monotonic() + 5
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_children_end_when_the_demo_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), ProcessGroup(tmp_path) as processes:
        child = processes.start("one", [sys.executable, "-c", FORKING, "obedient"])
        pids = pids_of(child)
        raise ZeroDivisionError
    assert child.has_ended()
    assert not is_running(pids[0])


def test_settings_of_the_person_do_not_reach_the_demo(tmp_path, monkeypatch):
    monkeypatch.setenv("REMORA_SERVER", "https://elsewhere.example")
    code = "import os; print([name for name in os.environ if 'REMORA' in name])"
    with ProcessGroup(tmp_path) as processes:
        child = processes.start("one", [sys.executable, "-c", code])
        child.process.wait(20)
        assert child.last_lines() == ["[]"]


def test_a_free_port_can_be_bound():
    assert 1024 <= free_port() <= 65535


def test_our_own_folder_is_removed_and_a_given_one_kept(tmp_path):
    with _folder(None) as folder:
        (folder / "file").touch()
    assert not folder.exists()
    with _folder(tmp_path / "kept") as folder:
        (folder / "file").touch()
    assert folder.is_dir()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_demo_once_and_the_ending_is_not_cut(name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    ended = False
    with pytest.raises(KeyboardInterrupt), _signals_interrupt():
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        finally:
            os.kill(os.getpid(), number)
            ended = True
    assert ended
    assert signal.getsignal(number) is before


def test_without_the_extra_one_sentence_says_what_is_missing():
    code = (
        "import sys; sys.modules['httpx'] = None\n"
        "from remora.demo import run\n"
        "from remora.errors import MissingExtraError\n"
        "try: run(True, None, None)\n"
        "except MissingExtraError as error: print(error)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert answer.stdout.startswith("the demo needs httpx"), answer.stderr
    assert "pip install 'remora[demo]'" in answer.stdout
