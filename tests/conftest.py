"""What tests of several folders need from the machine."""

import os
import signal
import sys
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}


for _number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    # Whoever runs the tests in the background or under nohup has them ignored, and the
    # programs that tests start would inherit that.
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


@pytest.fixture(scope="session")
def chromium():
    """The path of Chromium; without one, a skip that is seen, and in CI a failure."""
    if CHROMIUM.exists():
        return CHROMIUM
    sentence = f"{CHROMIUM} is not there: apt install chromium"
    if IN_CI:
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture(scope="session")
def interpreters():
    """Paths of the CPythons that may be started: those nox found, or only our own."""
    given = os.environ.get("REMORA_TEST_PYTHONS", "")
    return [Path(path) for path in given.split(os.pathsep) if path] or [
        Path(sys.executable)
    ]
