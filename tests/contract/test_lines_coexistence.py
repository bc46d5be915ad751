"""Line probes beside code swap and beside other tools that look at lines."""

from __future__ import annotations

import bdb
import itertools
import os
import subprocess
import sys

import pytest

from remora.agent.probes import Handle

MONITORING = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="needs sys.monitoring"
)

TEXT = """
    def charge(amount):
        fee = amount * 2  # fee
        return fee

    def short(a): return a + 1  # short

    async def wait(a):
        b = a + 1  # wait
        return b

    def stream(n):
        for i in range(n):
            yield i  # stream

    class Cart:
        def add(self, n):
            return n  # add
"""


@pytest.mark.parametrize(
    ("install", "remove"),
    list(
        itertools.product(itertools.permutations(["line", "hook", "other"]), repeat=2)
    ),
)
def test_lines_and_calls_of_one_function_in_any_order(lines, install, remove) -> None:
    module = lines.load(TEXT)
    code = module.charge.__code__
    seen: list[object] = []
    handles: dict[str, Handle] = {}

    def put(name: str) -> None:
        if name == "hook":
            handles[name] = Handle(
                "line_subject:charge", {"post": lambda result: seen.append(result)},
                lines.probes,
            )  # fmt: skip
        else:
            lines.add("fee", name=name, log=name + " {amount} {fee}")

    def take(name: str) -> None:
        if name == "hook":
            handles.pop(name).remove()
        else:
            lines.remove(name)

    def check(present: list[str]) -> None:
        assert module.charge(2) == 4
        assert lines.messages == [f"{n} 2 missing" for n in present if n != "hook"]
        assert seen == ([4] if "hook" in present else [])
        seen.clear()

    present: list[str] = []
    for name in install:
        put(name)
        present.append(name)
        check(present)
    for name in remove:
        take(name)
        present.remove(name)
        check(present)
    assert module.charge.__code__ is code


@pytest.mark.parametrize("hook_first", [True, False])
@pytest.mark.parametrize("line_leaves_first", [True, False])
def test_a_line_of_a_closure_beside_a_hook_on_the_function_around_it(
    lines, hook_first: bool, line_leaves_first: bool
) -> None:
    module = lines.load("""
        def outer(n):
            def inner(x):
                return x + n  # inner
            return inner(n)
    """)
    code = module.outer.__code__
    seen: list[object] = []

    def hook() -> Handle:
        return Handle(
            "line_subject:outer", {"post": lambda result: seen.append(result)},
            lines.probes,
        )  # fmt: skip

    handle = hook() if hook_first else None
    assert lines.add("inner", log="{x} {n}").state.value == "installed"
    handle = handle or hook()
    assert module.outer(2) == 4
    assert (seen, lines.messages) == ([4], ["2 2"])
    if line_leaves_first:
        lines.remove()
        assert module.outer(3) == 6
        assert (seen, lines.messages) == ([4, 6], [])
        handle.remove()
    else:
        handle.remove()
        assert module.outer(3) == 6
        assert (seen, lines.messages) == ([4], ["3 3"])
        lines.remove()
    assert module.outer.__code__ is code
    assert module.outer(1) == 2
    assert lines.messages == []


def test_every_kind_of_function_has_both(lines) -> None:
    module = lines.load(TEXT)
    codes = [module.short.__code__, module.wait.__code__, module.stream.__code__]
    seen: list[object] = []
    hooks = [
        Handle(f"line_subject:{name}", {"pre": lambda: seen.append(1)}, lines.probes)
        for name in ("short", "wait", "stream", "Cart.add")
    ]
    for mark in ("short", "wait", "stream", "add"):
        status = lines.add(mark, name=mark, log=mark)
        assert status.state.value == "installed", status.reason
        assert status.site_count == 1
    assert module.short(1) == 2
    with pytest.raises(StopIteration):
        module.wait(1).send(None)
    assert list(module.stream(2)) == [0, 1]
    assert module.Cart().add(5) == 5
    assert lines.messages == ["short", "wait", "stream", "stream", "add"]
    assert len(seen) == 4
    for hook in hooks:
        hook.remove()
    assert module.short(1) == 2
    assert lines.messages == ["short"]
    lines.probes.remove(["short", "wait", "stream", "add"])
    assert codes == [
        module.short.__code__, module.wait.__code__, module.stream.__code__,
    ]  # fmt: skip


def test_a_tracer_sees_the_lines_as_before_and_none_of_ours(lines) -> None:
    module = lines.load(TEXT)

    def traced() -> list[tuple[str, int]]:
        events: list[tuple[str, int]] = []

        def trace(frame, event, _argument):
            if frame.f_code.co_filename == module.__file__:
                events.append((event, frame.f_lineno))
            return trace

        sys.settrace(trace)
        try:
            assert module.charge(2) == 4
        finally:
            sys.settrace(None)
        return events

    before = traced()
    lines.add("fee", log="{amount} {fee}")
    during = traced()
    assert during == before
    assert lines.messages == ["2 missing"]
    lines.remove()
    assert traced() == before


def test_a_debugger_stops_on_the_line_that_has_a_probe(lines) -> None:
    module = lines.load(TEXT)
    lines.add("fee", log="{amount}")
    stops: list[tuple[int, dict[str, object]]] = []

    class Debugger(bdb.Bdb):
        def user_line(self, frame) -> None:
            if frame.f_code is not None and self.break_here(frame):
                stops.append((frame.f_lineno, dict(frame.f_locals)))

    debugger = Debugger()
    assert debugger.set_break(module.__file__, lines.line("fee")) is None
    assert debugger.runcall(module.charge, 2) == 4
    assert stops == [(lines.line("fee"), {"amount": 2})]
    assert lines.messages == ["2"]


@MONITORING
def test_what_other_tools_disabled_in_other_code_stays_disabled(lines) -> None:
    module = lines.load(TEXT)
    monitoring = sys.monitoring
    codes = [module.charge.__code__, module.Cart.add.__code__]
    heard: list[object] = []

    def once(code, _line):
        heard.append(code)
        return monitoring.DISABLE

    def call() -> list[object]:
        heard.clear()
        module.charge(1)
        module.Cart().add(1)
        return heard

    tool, event = monitoring.COVERAGE_ID, monitoring.events.LINE
    monitoring.use_tool_id(tool, "coverage")
    try:
        monitoring.register_callback(tool, event, once)
        for code in codes:
            monitoring.set_local_events(tool, code, event)
        assert call() == [codes[0], codes[0], codes[1]]
        assert call() == []
        lines.add("fee", name="a", log="{amount}")
        assert codes[1] not in call()
        lines.remove("a")
        assert codes[1] not in call()
        assert lines.messages == ["1"]
    finally:
        for code in codes:
            monitoring.set_local_events(tool, code, 0)
        monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)


@MONITORING
def test_the_ids_of_debuggers_coverage_and_profilers_stay_free(lines) -> None:
    module = lines.load(TEXT)
    lines.add("fee", log="{amount}")
    assert [sys.monitoring.get_tool(n) for n in (0, 1, 2)] == [None] * 3
    module.charge(1)
    lines.remove()
    events = [
        sys.monitoring.get_local_events(n, module.charge.__code__)
        for n in range(6)
        if sys.monitoring.get_tool(n) is not None
    ]
    assert not any(events)


COVERED = """
import sys
sys.path.insert(0, {folder!r})
sys.dont_write_bytecode = True
import remora
import line_subject
remora.start(app="a", env="e", probes=[{probes!r}])
assert line_subject.charge(2) == 4
assert line_subject.charge(3) == 6
remora.stop()
"""


@pytest.mark.parametrize("core", ["ctrace", "pytrace", "sysmon"])
def test_coverage_counts_the_same_lines(lines, core: str, tmp_path) -> None:
    pytest.importorskip("coverage")
    if core == "sysmon" and sys.version_info < (3, 12):
        pytest.skip("needs sys.monitoring")
    lines.load(TEXT)
    (tmp_path / "probes.toml").write_text(
        f'[[probe]]\nid = "p"\ntarget = "line_subject.py:{lines.line("fee")}"\n'
        'log = "{amount}"\n'
    )
    script = tmp_path / "covered.py"
    script.write_text(
        COVERED.format(folder=str(tmp_path), probes=str(tmp_path / "probes.toml"))
    )
    environment = dict(
        os.environ,
        COVERAGE_CORE=core,
        COVERAGE_FILE=str(tmp_path / "data"),
        REMORA_RECORDS=str(tmp_path / "records"),
    )
    command = [sys.executable, "-m", "coverage"]
    run = subprocess.run(
        [*command, "run", "--include=*/line_subject.py", str(script)],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    shown = subprocess.run(
        [*command, "report", "-m"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    fee = lines.line("fee")
    missing = shown.stdout.splitlines()[2].split("%")[1]
    assert f"{fee}" not in missing.replace(",", " ").split(), shown.stdout
    assert '"message":"2"' in (tmp_path / "records").read_text().replace(" ", "")
