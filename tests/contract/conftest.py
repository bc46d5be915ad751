from __future__ import annotations

import importlib
import importlib.util
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from mechanism_table import Seen

from remora.agent.capture import SecretNames
from remora.agent.config import self_tests_must_fail
from remora.agent.diagnostics import Diagnostics
from remora.agent.hooks import HookTable, Installed
from remora.agent.interception import Step, choose
from remora.agent.modules import ModuleStore
from remora.agent.probes import Handle, Probes
from remora.agent.runtime import facts, guard
from remora.agent.targets import Site
from remora.errors import CannotInterceptError
from remora.protocol import Instance, Status, parse_probe

NAME = "contract_subjects"

SEEN = Seen()
"""What the tests so far have diverted and been refused."""

FAULTS = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mechanisms", help="write what was diverted, for docs-tables")


def pytest_testnodedown(node: object) -> None:
    """Where workers share the tests, each one hands in what it has seen."""
    covered, refused = getattr(node, "workeroutput", {}).get("mechanisms", ((), {}))
    SEEN.covered.update(map(tuple, covered))
    SEEN.refused.update(refused)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """After the whole suite: no kind without either, and the page says the same."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["mechanisms"] = [list(SEEN.covered), SEEN.refused]
    elif session.exitstatus == pytest.ExitCode.OK and _is_whole(config):
        output = config.getoption("--mechanisms", None)
        if faults := SEEN.faults() if output is None else SEEN.write(Path(output)):
            config.stash[FAULTS] = faults
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for fault in config.stash.get(FAULTS, ()):
        terminalreporter.write_line(f"FAILED mechanisms of the suite: {fault}")


def _is_whole(config: pytest.Config) -> bool:
    """Not by what was collected: in the safe mode whole modules are skipped."""
    here = Path(__file__).parent
    asked = [config.invocation_params.dir / argument for argument in config.args]
    is_asked = any(here.is_relative_to(folder) for folder in asked)
    return is_asked and not (config.option.keyword or config.option.markexpr)


@pytest.fixture(autouse=True, scope="module")
def _note_mechanisms(request: pytest.FixtureRequest) -> Iterator[None]:
    """Note what every diversion of these tests comes to.

    What is refused as a rule is what the plain subjects of test_every_kind.py are.
    """
    plain = HookTable.install
    is_plain = request.module.__name__.endswith("test_every_kind")

    def install(self: HookTable, site: Site, *steps: Step) -> Installed:
        try:
            installed = plain(self, site, *steps)
        except CannotInterceptError as error:
            if is_plain:
                SEEN.note_refusal(site, error)
            raise
        SEEN.note(site, installed.mechanism)
        return installed

    HookTable.install = install
    yield
    HookTable.install = plain


@pytest.fixture
def app() -> Iterator[ModuleType]:
    """The subjects, executed anew."""
    spec = importlib.util.spec_from_file_location(
        NAME, Path(__file__).with_name("subjects.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[NAME]


@pytest.fixture(params=["code swap", "inlined"])
def mechanism(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Diverts Python functions by one mechanism, whatever their code says."""
    inlines = request.param == "inlined"
    if inlines and (not facts.CAN_EDIT_CODE or self_tests_must_fail()):
        pytest.skip("no steps inside code on this interpreter")
    reason = "this test asks for it" if inlines else ""
    monkeypatch.setattr(choose, "need_of", lambda _: reason)
    if inlines:
        # the table of mechanisms is of what is chosen by itself
        monkeypatch.setattr(SEEN, "note", lambda *_: None)
    return request.param


@pytest.fixture
def probes(app: ModuleType) -> Iterator[Probes]:
    store = ModuleStore(Diagnostics("off"))
    store.start()
    instance = Instance("id", "app", "dev", "0", "host", 1, 0, 0, "CPython", "0")
    table = HookTable()
    probes = Probes(
        store, table, lambda *_: True, SecretNames(()), lambda: instance, lambda: None
    )
    yield probes
    probes.clear()
    store.stop()
    assert table.settle() == 0
    assert len(table) == 0
    assert not guard.busy


@pytest.fixture
def hook(probes: Probes) -> Callable[..., Handle]:
    """Installs a local hook on a subject."""

    def install(name: str, **phases: object) -> Handle:
        return Handle(f"{NAME}:{name}", phases, probes)

    return install


LINES = "line_subject"
FREE_IDS = (3, 4, 5)
"""Identifiers of sys.monitoring that nobody is meant to have."""


class LineBench:
    """One subject module, and the probes of a process of its own with their records."""

    def __init__(self, folder: Path, mechanism: str) -> None:
        self.folder = folder
        self.mechanism = mechanism
        self.text = ""
        self.records: list[dict[str, object]] = []
        self.hooks = HookTable()
        self.store = ModuleStore(Diagnostics("off"))
        self.store.start()
        instance = Instance("id", "app", "dev", "0", "host", 1, 0, 0, "CPython", "0")
        self.probes = Probes(
            self.store,
            self.hooks,
            self._put,
            SecretNames(()),
            lambda: instance,
            lambda: None,
        )
        self.store.subscribe(self.probes.module_loaded)

    def _put(self, record: tuple[object, ...], size: int) -> bool:
        encode, *fields = record
        self.records.append(encode(*fields))
        return True

    def write(self, text: str) -> None:
        self.text = textwrap.dedent(text)
        (self.folder / f"{LINES}.py").write_text(self.text)
        importlib.invalidate_caches()

    def load(self, text: str) -> ModuleType:
        """Write the subject and import it."""
        self.write(text)
        return importlib.import_module(LINES)

    def line(self, mark: str) -> int:
        """The line that ends in `# mark`."""
        lines = self.text.splitlines()
        found = [n for n, t in enumerate(lines, 1) if t.endswith(f"# {mark}")]
        assert len(found) == 1, (mark, found)
        return found[0]

    def add(self, mark: str, *, name: str = "p", **keys: object) -> Status:
        """Probe the marked line."""
        limit = {"rate": "1000000/s", "time": "100%"}
        target = f"{LINES}.py:{self.line(mark)}"
        probe = {"id": name, "target": target, "limit": limit, **keys}
        self.probes.add([parse_probe(probe)])
        return self.status(name)

    def remove(self, name: str = "p") -> None:
        self.probes.remove([name])

    def status(self, name: str = "p") -> Status:
        return next(s for s in self.probes.statuses() if s.probe == name)

    @property
    def messages(self) -> list[object]:
        """What the probes logged; asking empties the list."""
        messages = [record.get("message") for record in self.records]
        self.records.clear()
        return messages

    def close(self) -> None:
        self.probes.clear()
        self.store.stop()


@pytest.fixture(params=["line event", "injected bytecode"])
def lines(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LineBench]:
    """Line probes by each mechanism that this interpreter has."""
    taken: list[int] = []
    if request.param == "line event":
        if not facts.HAS_MONITORING:
            pytest.skip("needs sys.monitoring")
    elif not facts.CAN_EDIT_CODE or self_tests_must_fail():
        pytest.skip("no injection on this interpreter")
    elif facts.HAS_MONITORING:
        for identifier in FREE_IDS:
            sys.monitoring.use_tool_id(identifier, "another tool")
            taken.append(identifier)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    bench = LineBench(tmp_path, request.param)
    yield bench
    bench.close()
    for identifier in taken:
        sys.monitoring.free_tool_id(identifier)
    if facts.HAS_MONITORING:
        assert [sys.monitoring.get_tool(n) for n in FREE_IDS] == [None] * 3
    sys.modules.pop(LINES, None)
    assert len(bench.hooks) == 0
    assert bench.hooks.settle() == 0
    assert not guard.busy
