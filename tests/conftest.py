"""What tests of several folders need from the machine."""

import importlib.util
import os
import signal
import sys
import time
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
def needs():
    """`needs("waitress")`: without it a skip that is seen, in CI a failure."""

    def needs(package):
        if importlib.util.find_spec(package) is not None:
            return
        sentence = f"{package} is not installed: requirements/test.txt has it"
        if IN_CI:
            pytest.fail(sentence)
        pytest.skip(sentence)

    return needs


@pytest.fixture(scope="session")
def interpreters():
    """Paths of the CPythons that may be started: those nox found, or only our own."""
    given = os.environ.get("REMORA_TEST_PYTHONS", "")
    return [Path(path) for path in given.split(os.pathsep) if path] or [
        Path(sys.executable)
    ]


@pytest.fixture
def turns():
    """`turns(40)`: so many, or on a busy machine what fits into some seconds.

    Threads that fight for the interpreter wait for a processor at each change between
    them, if others keep that busy: the same turns take a second or half a minute.
    """

    def turns(most, least=5, seconds=3.0):
        end = time.monotonic() + seconds
        for number in range(most):
            if number >= least and time.monotonic() >= end:
                return
            yield number

    return turns


@pytest.fixture
def make_probes():
    """Makes registries of probes in this process, with no agent around them."""
    from remora.agent.capture import SecretNames
    from remora.agent.diagnostics import Diagnostics
    from remora.agent.hooks import HookTable
    from remora.agent.modules import ModuleStore
    from remora.agent.probes import Probes
    from remora.protocol import Instance

    made = []

    def make():
        store = ModuleStore(Diagnostics("off"))
        store.start()
        instance = Instance("i", "shop", "prod", "1", "web", 1, 0, 0, "CPython", "0")
        secret = SecretNames(())
        table = HookTable()
        made.append(
            Probes(
                store, table, lambda *_: True, secret, lambda: instance, lambda: None
            )
        )
        return made[-1]

    yield make
    for probes in made:
        probes.clear()
        probes.store.stop()


@pytest.fixture
def probes(make_probes):
    """One such registry."""
    return make_probes()
