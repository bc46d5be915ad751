"""Which mechanism a line gets, and the sentences where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import remora
from remora.agent.config import self_tests_must_fail
from remora.agent.hooks.outcomes import Driver
from remora.agent.interception import Step, intercept, line_events
from remora.agent.runtime import facts
from remora.agent.targets import Site, SiteKind
from remora.errors import CannotInterceptError

SOURCE = str(Path(remora.__file__).parents[1])


def subject(a):
    b = a + 1
    return b * 2


CODE = subject.__code__
LINE = CODE.co_firstlineno + 1


def site() -> Site:
    return Site(
        module=__name__,
        qualname="subject",
        kind=SiteKind.LINE,
        owner=globals(),
        name="subject",
        holder=CODE,
        function=subject,
        code=CODE,
        own=True,
        file="shop.py",
        line=LINE,
        note="",
    )


def step(seen: list[object]) -> Step:
    return Step("line", seen.append, ("a",), seen.append, lambda _: None)


@pytest.mark.skipif(
    not facts.CAN_MONITOR and self_tests_must_fail(), reason="a trial comes first"
)
def test_a_line_is_diverted_and_put_back() -> None:
    seen: list[object] = []
    installed = intercept(site(), (step(seen),), Driver())
    assert installed.mechanism in {"line event", "injected bytecode"}
    assert installed.why.startswith("a line: ")
    subject(5)
    assert installed.remove()
    assert installed.remove()
    subject(6)
    assert seen == [5]
    assert subject.__code__ is CODE


def test_the_first_line_probe_imports_modules_of_ours_only() -> None:
    script = (
        "import sys, remora\n"
        "remora.start(app='a', env='e', records='/dev/null', log='off')\n"
        "remora.hook('posixpath:join', pre=lambda: None)\n"
        "before = set(sys.modules)\n"
        "import remora.agent.interception.line\n"
        "import remora.agent.interception.line_code\n"
        "import remora.agent.interception.line_trial\n"
        "print(*(set(sys.modules) - before))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    modules = result.stdout.split()
    assert "remora.agent.interception.line" in modules
    assert all(name.startswith("remora.") for name in modules)


def test_an_unknown_interpreter_gets_no_line_probes(monkeypatch) -> None:
    monkeypatch.setattr(facts, "CAN_MONITOR", False)
    monkeypatch.setattr(facts, "CAN_EDIT_CODE", False)
    with pytest.raises(CannotInterceptError, match="cannot be probed in this"):
        intercept(site(), (step([]),), Driver())


@pytest.mark.skipif(not facts.HAS_MONITORING, reason="needs sys.monitoring")
def test_lines_are_injected_when_other_tools_have_every_id(monkeypatch) -> None:
    from remora.agent.interception import line_trial

    monkeypatch.setattr(line_trial, "failure", lambda: "")
    for identifier in (3, 4, 5):
        sys.monitoring.use_tool_id(identifier, "another tool")
    try:
        seen: list[object] = []
        injected = intercept(site(), (step(seen),), Driver())
        assert injected.mechanism == "injected bytecode"
        assert "other tools use every free identifier" in injected.why
        subject(5)
        assert injected.remove()
        assert seen == [5]
        assert subject.__code__ is CODE
        sys.monitoring.free_tool_id(5)
        installed = intercept(site(), (step([]),), Driver())
        assert "tool id 5" in installed.why
        installed.remove()
        assert sys.monitoring.get_tool(5) is None
        sys.monitoring.use_tool_id(5, "another tool")
    finally:
        for identifier in (3, 4, 5):
            sys.monitoring.free_tool_id(identifier)


ALL_IDS_TAKEN = """
import sys, {name}
for identifier in range(6):
    sys.monitoring.use_tool_id(identifier, "another tool")
import remora
remora.start(records=sys.argv[1], log="off", probes=[sys.argv[2]])
for amount in range(3):
    {name}.charge(amount)
print(remora.status()["probes"][0]["sites"][0]["mechanism"])
remora.stop()
"""


@pytest.mark.skipif(
    not facts.HAS_MONITORING or self_tests_must_fail(), reason="needs sys.monitoring"
)
def test_a_process_with_six_other_tools_gets_its_line_probes(tmp_path) -> None:
    name = "shop_of_many_tools"
    text = "def charge(amount):\n    fee = amount * 2\n    return fee\n"
    (tmp_path / f"{name}.py").write_text(text)
    probe = f'[[probe]]\nid = "p"\ntarget = "{name}.py:3"\nlog = "fee {{fee}}"\n'
    (tmp_path / "probes.toml").write_text(probe)
    records = tmp_path / "records.jsonl"
    (tmp_path / "main.py").write_text(ALL_IDS_TAKEN.format(name=name))
    result = subprocess.run(
        [sys.executable, "main.py", records, tmp_path / "probes.toml"],
        env={**os.environ, "PYTHONPATH": SOURCE},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stdout.split("\n")[0] == "injected bytecode"
    assert [f"fee {n}" in records.read_text() for n in (0, 2, 4)] == [True] * 3


@pytest.mark.skipif(not facts.CAN_EDIT_CODE, reason="nothing is injected here")
def test_a_trial_that_fails_refuses_line_probes(monkeypatch) -> None:
    from remora.agent.interception import line_trial

    monkeypatch.setattr(facts, "CAN_MONITOR", False)
    monkeypatch.setattr(line_trial, "failure", lambda: "calls came at 1 2")
    with pytest.raises(CannotInterceptError, match="of injected bytecode failed"):
        intercept(site(), (step([]),), Driver())
    assert subject.__code__ is CODE


@pytest.mark.skipif(not facts.HAS_MONITORING, reason="needs sys.monitoring")
def test_lines_without_a_probe_are_heard_once_only() -> None:
    passes: list[int] = []
    installed = intercept(site(), (step([]),), Driver())
    heard = line_events._on_line

    def listen(code, line):
        passes.append(line)
        return heard(code, line)

    tool = int(installed.why.split("tool id ")[1].split(")")[0])
    sys.monitoring.register_callback(tool, sys.monitoring.events.LINE, listen)
    for _ in range(3):
        subject(1)
    assert passes == [LINE, LINE + 1, LINE, LINE]
    installed.remove()
    assert sys.monitoring.get_tool(tool) is None
