"""Costs that can be counted: Python calls per hooked call, and modules imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from remora.agent.config import self_tests_must_fail
from remora.agent.probes import Handle, Probes
from remora.agent.runtime import facts
from remora.protocol import parse_probe

NAME = "budget_app"
SOURCE = Path(__file__).parents[2] / "src"

MODULES_STARTED = 180
"""What DESIGN promises, here with a first hook. Some 70 of them are the standard
library's and mostly there in an app anyway."""

MODULES_ASLEEP = 102
"""What a start imports where nobody has asked for a probe yet; the rest comes with the
first. 50 of them are the standard library's."""

MODULES_OF_A_LINK = 20
"""What speaks to a server, imported where one is set."""

HEAVY = {"ssl", "asyncio", "logging", "dataclasses", "inspect"}
"""What costs more than all of ours."""

TEXT = """
class Account:
    def __init__(self):
        self.plan = "free"
        self.balance = 5

def f(amount, account):
    return amount

async def coroutine(amount, account):
    return amount

def framed(amount):
    return currentframe if amount is None else amount

def generator(amount, account):
    yield amount
    yield amount
"""


@pytest.fixture
def app() -> Iterator[ModuleType]:
    module = ModuleType(NAME)
    sys.modules[NAME] = module
    exec(TEXT, module.__dict__)
    yield module
    del sys.modules[NAME]


@pytest.fixture
def probes(app: ModuleType, make_probes: Callable[[], Probes]) -> Probes:
    """Made after the module it is for, and gone before it."""
    return make_probes()


def calls(function: Callable[..., object], *arguments: object) -> int:
    """How many Python functions run for one call, the function's own included."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event == "call"

    for _ in range(3):
        function(*arguments)
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function(*arguments)
    finally:
        sys.setprofile(before)
    return count


def add(probes: Probes, **keys: object) -> None:
    probes.add([parse_probe({"id": "p", "target": f"{NAME}:f", **keys})])
    (status,) = probes.statuses()
    assert status.state.value == "installed", status.reason


def test_a_bare_call_is_one_call_and_so_it_is_after_removal(app, probes) -> None:
    account = app.Account()
    assert calls(app.f, 1, account) == 1
    Handle(f"{NAME}:f", {"pre": lambda: None}, probes).remove()
    assert calls(app.f, 1, account) == 1


@pytest.mark.parametrize(
    ("phases", "count"), [("pre", 3), ("post", 3), ("pre post", 4)]
)
def test_a_local_hook_adds_the_clone_and_each_hook(
    app, probes, phases: str, count: int
) -> None:
    Handle(f"{NAME}:f", {phase: lambda: None for phase in phases.split()}, probes)
    assert calls(app.f, 1, app.Account()) == count


@pytest.mark.parametrize(
    ("phases", "count"), [("pre", 2), ("post", 2), ("pre post", 3)]
)
@pytest.mark.skipif(
    not facts.CAN_EDIT_CODE or self_tests_must_fail(), reason="no steps inside code"
)
def test_a_local_hook_inside_the_code_adds_itself_alone(
    app, probes, phases: str, count: int
) -> None:
    hooks = {phase: lambda: None for phase in phases.split()}
    handle = Handle(f"{NAME}:framed", hooks, probes)
    (site,) = handle.describe()["sites"]
    assert site["mechanism"] == "inlined"
    assert calls(app.framed, 1) == count


PROBES = {
    "condition false over a plain argument": ({"when": "amount > 9", "log": "x"}, 3),
    "condition false over two arguments": (
        {"when": "amount == 9 or account is None", "log": "x"},
        3,
    ),
    "condition false over an attribute": (
        {"when": "account.plan == 'paid'", "log": "x"},
        4,
    ),
    "over its rate": ({"log": "x", "limit": {"rate": "1/h"}}, 3),
    "count": ({"count": True}, 4),
    "count by a text": ({"count": {"by": ["target"]}}, 5),
    "count by a number": ({"count": {"by": ["amount"]}}, 5),
    "count by an attribute with sum": (
        {"count": {"by": ["account.plan"], "sum": "account.balance"}},
        6,
    ),
}


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_adds_the_clone_its_gate_and_what_it_looks_at(
    app, probes, name: str
) -> None:
    keys, count = PROBES[name]
    add(probes, **keys)
    assert calls(app.f, 1, app.Account()) <= count


def test_a_probe_that_logs_stays_within_its_calls(app, probes) -> None:
    add(
        probes,
        log="{amount} {account.plan}",
        limit={"rate": "100000/s", "time": "100%"},
    )
    assert calls(app.f, 1, app.Account()) <= 30


def test_a_guarded_sink_outside_of_a_request_looks_only_for_one(app, probes) -> None:
    add(probes, protect={"detector": "sql", "argument": 0, "mode": "block"})
    # the clone and the judge
    assert calls(app.f, 1, app.Account()) == 3


def test_a_hooked_generator_adds_nothing_for_each_item(app, probes) -> None:
    def total(items: int) -> int:
        app.many = eval(f"lambda: (yield from range({items}))")
        handle = Handle(f"{NAME}:many", {"post": lambda result: None}, probes)
        count = calls(lambda: list(app.many()))
        handle.remove()
        return count

    # a resumed generator is reported as a call of it and of the one around it
    assert total(12) - total(11) == 2


def modules_after(statement: str) -> list[str]:
    """What a bare interpreter has imported besides its own after this statement."""
    script = (
        "import sys; before = set(sys.modules); "
        f"sys.path.insert(0, {str(SOURCE)!r}); {statement}; "
        "print(*sorted(set(sys.modules) - before))"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return result.stdout.split()


def test_importing_remora_adds_few_modules_and_none_that_is_heavy() -> None:
    modules = modules_after("import remora")
    assert len(modules) <= 40, modules
    heavy = {"ssl", "asyncio", "logging", "dataclasses", "typing", "inspect"}
    assert heavy.isdisjoint(modules)


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ("records='/dev/null'", MODULES_STARTED),
        ("server='http://127.0.0.1:9'", MODULES_STARTED + MODULES_OF_A_LINK),
    ],
)
def test_a_started_agent_adds_a_bounded_number_of_modules(
    settings: str, limit: int
) -> None:
    modules = modules_after(
        f"import remora; remora.start({settings}, log='off'); "
        "remora.hook('posixpath:join', pre=lambda: None)"
    )
    assert len(modules) <= limit, len(modules)
    assert HEAVY.isdisjoint(modules)
    tops = {n.partition(".")[0] for n in modules if not n.startswith("_sysconfigdata")}
    assert tops - set(sys.stdlib_module_names) <= {"remora"}


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ("records='/dev/null'", MODULES_ASLEEP),
        ("server='http://127.0.0.1:9'", MODULES_ASLEEP + MODULES_OF_A_LINK),
    ],
)
def test_a_start_imports_nothing_that_only_a_probe_needs(
    settings: str, limit: int
) -> None:
    modules = modules_after(f"import remora; remora.start({settings}, log='off')")
    assert len(modules) <= limit, len(modules)
    assert HEAVY.isdisjoint(modules)
    rooms = {name.split(".")[2] for name in modules if name.startswith("remora.agent.")}
    of_probes = {"actions", "capture", "hooks", "interception", "probes", "targets"}
    assert rooms.isdisjoint(of_probes)
    assert "remora.expression" not in modules


def test_a_start_looks_at_no_module_of_the_app() -> None:
    """The start is as long as the app's imports: each would pay for our interest."""
    script = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import remora; "
        "finders = list(sys.meta_path); remora.start(records='/dev/null', log='off'); "
        "import json; from wsgiref.handlers import BaseHandler; "
        "assert sys.meta_path == finders; code = BaseHandler.run.__code__; "
        "remora.hook('json:dumps', pre=lambda: None); "
        "assert sys.meta_path != finders; assert BaseHandler.run.__code__ is not code"
    )
    subprocess.run([sys.executable, "-I", "-c", script], timeout=60, check=True)
