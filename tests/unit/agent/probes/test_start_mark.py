"""A mark of a start, and the state that it belongs to, where files cannot be locked."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from remora.agent.probes.start_mark import StartMark
from remora.agent.probes.state_file import Remembered, StateFile


@pytest.fixture
def no_locks(monkeypatch) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_mark_that_cannot_be_locked_says_why_and_leaves_no_file_open(
    tmp_path: Path, no_locks: None
) -> None:
    before = open_files()
    mark = StartMark(str(tmp_path / "state.start"))
    with pytest.raises(OSError, match=os.strerror(errno.ENOLCK)):
        mark.set()
    assert open_files() == before
    assert not mark.is_set


def test_a_state_that_cannot_be_locked_is_changed_without(
    tmp_path: Path, no_locks: None
) -> None:
    before = open_files()
    state = StateFile(str(tmp_path / "state"))
    for number in (1, 2):
        state.change(lambda _, number=number: Remembered({"p": number}, {}))
    assert state.read().numbers == {"p": 2}
    assert open_files() == before
