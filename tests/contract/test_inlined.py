"""Functions that would notice a frame of ours: with a hook they see what they saw."""

from __future__ import annotations

import inspect
import sys
import threading
import traceback
import warnings
import weakref
from collections.abc import Callable
from types import ModuleType

import pytest

from remora.agent.config import self_tests_must_fail
from remora.agent.hooks import Arguments, Return
from remora.agent.hooks.outcomes import Driver
from remora.agent.interception import Step, inline_trial, inlined, intercept
from remora.agent.probes import Handle, Probes
from remora.agent.runtime import facts
from remora.agent.targets import Site, SiteKind
from remora.protocol import parse_probe

if not facts.CAN_EDIT_CODE or self_tests_must_fail():
    pytest.skip("no steps inside code on this interpreter", allow_module_level=True)

Hook = Callable[..., Handle]

PHASES = {
    "pre": ("pre",),
    "post": ("post",),
    "fail": ("fail",),
    "all": ("pre", "post", "fail"),
}


def caller_by_frame(value):
    return sys._getframe(1).f_code.co_name, sys._getframe().f_lineno, value


def caller_by_inspect(value):
    frame = inspect.currentframe()
    assert frame is not None
    return frame.f_back.f_code.co_name, value


def warns(value):
    warnings.warn(f"odd {value}", UserWarning, stacklevel=2)
    return value


def sees_locals(value, *rest, key=1, **more):
    other = [value for _ in rest]
    del rest
    stack = [entry.name for entry in traceback.extract_stack(limit=2)]
    return sorted(locals()), stack, key, more, len(other)


def reads_below(value):
    names = []
    frame = sys._getframe()
    while frame is not None and len(names) < 2:
        names.append((frame.f_code.co_name, frame.f_lineno))
        frame = frame.f_back
    return names, value


SUBJECTS = [caller_by_frame, caller_by_inspect, sees_locals, reads_below]


@pytest.fixture(params=PHASES, ids=str)
def install(
    request: pytest.FixtureRequest, app: ModuleType, hook: Hook
) -> Callable[..., Handle]:
    """Hooks a function in the phases of this run; they see the argument `value`."""

    def put(function: Callable[..., object]) -> Handle:
        app.subject = function
        steps = dict.fromkeys(PHASES[request.param], lambda value: None)
        return hook("subject", **steps)

    return put


def mechanism(handle: Handle) -> str:
    (site,) = handle.describe()["sites"]
    return site["mechanism"]


@pytest.mark.parametrize("function", SUBJECTS, ids=lambda f: f.__name__)
def test_what_a_function_sees_of_frames_is_the_same(function, install) -> None:
    def call() -> object:
        return function(1)

    code = function.__code__
    before = call()
    handle = install(function)
    assert mechanism(handle) == "inlined"
    assert call() == before
    handle.remove()
    assert function.__code__ is code
    assert call() == before


def test_a_warning_blames_the_line_that_it_blamed(install) -> None:
    def blamed() -> tuple[str, int]:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            warns(1)
        return told[0].filename, told[0].lineno

    before = blamed()
    install(warns)
    assert blamed() == before
    assert before[0] == __file__


def down(value):
    return 0 if value == 0 else 1 + down(value - 1)


class Chain:
    def __init__(self, below: Chain | None) -> None:
        self.below = below

    def depth(self, value):
        return 1 + sum(below.depth(value) for below in [self.below] if below)


def test_recursion_reaches_nine_tenths_of_the_limit(install) -> None:
    depth = sys.getrecursionlimit() * 9 // 10
    handle = install(down)
    assert mechanism(handle) == "inlined"
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(down(depth)))
    thread.start()
    thread.join(60)
    assert results == [depth]


def test_recursion_through_a_generator_expression_is_seen(hook, app) -> None:
    app.Chain = Chain
    handle = hook("Chain.depth", pre=lambda value: None)
    assert mechanism(handle) == "inlined"
    assert Chain(Chain(None)).depth(1) == 2


def events_of(function: Callable[[], object]) -> list[tuple[str, str, int]]:
    """What a tracer is told while the function runs."""
    told: list[tuple[str, str, int]] = []

    def trace(frame, event, _):
        if frame.f_code.co_filename == __file__:
            told.append((frame.f_code.co_name, event, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return told


def traced(value):
    frame = sys._getframe()
    for number in range(2):
        if number == value:
            return frame.f_lineno
    try:
        if value == "boom":
            raise KeyError(value)
    except KeyError:
        return "caught"
    return None


@pytest.mark.parametrize("value", [0, 5, "boom"])
def test_a_tracer_is_told_of_the_same_lines(app, hook, install, value) -> None:
    def run() -> None:
        traced(value)

    before = events_of(run)
    install(traced)
    after = events_of(run)
    of_hooks = [event for event in after if event[0] == "<lambda>"]
    assert [event for event in after if event not in of_hooks] == before
    assert len(of_hooks) % 3 == 0


def test_a_tracer_always_finds_a_line_when_a_call_ends(install) -> None:
    def fails(value):
        sys._getframe()
        raise KeyError(value)

    def run() -> None:
        with pytest.raises(KeyError):
            fails(1)

    before = events_of(run)
    install(fails)
    after = events_of(run)
    assert None not in [line for name, _, line in after if name == "fails"]
    assert ("fails", "return") in [event[:2] for event in after]
    assert set(before) <= {*after, *[event for event in before if event[1] == "return"]}


def test_a_traceback_has_the_lines_it_had(install) -> None:
    def fails(value):
        sys._getframe()
        try:
            raise KeyError(value)
        finally:
            value += 1

    def places() -> list[tuple[str, int | None]]:
        with pytest.raises(KeyError) as raised:
            fails(1)
        frames = traceback.extract_tb(raised.value.__traceback__)
        return [(frame.name, frame.lineno) for frame in frames]

    before = places()
    install(fails)
    assert places() == before


def test_a_block_shows_the_line_of_the_def(app: ModuleType, hook: Hook) -> None:
    from remora.agent.hooks import Raise

    app.subject = caller_by_frame
    error = PermissionError("no")
    hook("subject", pre=lambda: Raise(error))
    with pytest.raises(PermissionError) as raised:
        caller_by_frame(1)
    lines = {f.name: f.lineno for f in traceback.extract_tb(raised.value.__traceback__)}
    assert lines["caller_by_frame"] == caller_by_frame.__code__.co_firstlineno


@pytest.mark.parametrize("phase", ["pre", "post", "fail"])
def test_an_argument_that_the_body_deletes_is_gone_at_once(
    app: ModuleType, hook: Hook, phase: str
) -> None:
    class Thing:
        pass

    gone: list[object] = []

    def drops(value):
        sys._getframe()
        reference = weakref.ref(value)
        del value
        gone.append(reference() is None)

    app.drops = drops
    hook("drops", **{phase: lambda: None})
    drops(Thing())
    assert gone == [True]
    hook("drops", post=lambda value: None)
    drops(Thing())
    assert gone == [True, False]


def test_what_a_later_phase_wants_is_the_value_at_entry(app, hook) -> None:
    seen: list[object] = []

    def changes(value, *rest, key=1, **more):
        sys._getframe()
        more.clear()
        value = key = rest = None
        return value, key, rest

    app.subject = changes
    hook(
        "subject",
        post=lambda value, args, kwargs, result: seen.append(
            (value, args, kwargs, result)
        ),
    )
    changes(1, 2, key=3, other=4)
    assert seen == [(1, (1, 2), {"key": 3, "other": 4}, (None, None, None))]


def test_pre_changes_arguments_that_are_in_cells(app, hook) -> None:
    def within(value, *rest, key=0, **more):
        sys._getframe()

        def read():
            return value, rest, key, more

        return read()

    app.subject = within
    changed = Arguments(value="v", rest=(1,), key="k", new="n")
    hook("subject", pre=lambda: changed, post=lambda result: Return([*result]))
    assert within(0, 5, key=6) == ["v", (1,), "k", {"new": "n"}]


def test_ordinary_functions_are_left_to_code_swap(app: ModuleType, hook: Hook) -> None:
    assert mechanism(hook("function", pre=lambda: None)) == "code swap"
    assert mechanism(hook("Child.method", pre=lambda: None)) == "code swap"


def test_the_status_says_why(app: ModuleType, hook: Hook) -> None:
    reasons = []
    for function in (caller_by_frame, warns, down):
        app.subject = function
        handle = hook("subject", pre=lambda: None)
        (site,) = handle.describe()["sites"]
        reasons.append(site["why"])
        handle.remove()
    assert "it uses _getframe, which counts frames" in reasons[0]
    assert "warn" in reasons[1] or "stacklevel" in reasons[1]
    assert "it calls itself" in reasons[2]


def test_where_the_trial_fails_the_status_names_the_difference(
    app: ModuleType, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inlined, "failure", lambda: "it gave 1 and not 2")
    app.subject = caller_by_frame
    handle = hook("subject", pre=lambda: None)
    (site,) = handle.describe()["sites"]
    assert site["mechanism"] == "code swap"
    assert "A known difference: it uses _getframe" in site["why"]
    assert "a trial failed: it gave 1 and not 2" in site["why"]


def test_the_trial_fails_where_self_tests_are_to_fail(monkeypatch) -> None:
    monkeypatch.setenv("REMORA_SELF_TESTS", "fail")
    assert inline_trial.failure.__wrapped__() == "self-tests are set to fail"


def test_no_variable_of_ours_is_in_a_snapshot(app: ModuleType, probes: Probes) -> None:
    records: list[dict[str, object]] = []

    def put(record, size):
        encode, *fields = record
        records.append(encode(*fields))
        return True

    probes.put = put

    def fails(value):
        me = sys._getframe().f_code.co_name
        raise KeyError(value, me)

    app.fails = fails
    for phase in ("fail", "pre"):
        probes.add(
            [
                parse_probe(
                    {
                        "id": phase,
                        "target": f"{app.__name__}:fails",
                        "phase": phase,
                        "snapshot": ["value", "stack"]
                        + (["locals"] if phase == "fail" else []),
                    }
                )
            ]
        )
    with pytest.raises(KeyError):
        fails(1)
    by_phase = {record["phase"]: record for record in records}
    assert by_phase["fail"]["values"]["locals"] == {"value": 1, "me": "fails"}
    here = sys._getframe().f_code.co_qualname
    stacks = [[f["function"] for f in by_phase[p]["stack"]][:2] for p in by_phase]
    assert by_phase["pre"]["stack"][0]["function"] == here
    assert here in stacks[0]


def site_of(function) -> Site:
    return Site(
        module=__name__,
        qualname=function.__qualname__,
        kind=SiteKind.FUNCTION,
        owner={},
        name=function.__name__,
        holder=function,
        function=function,
        code=function.__code__,
        own=True,
        file=__file__,
        line=1,
        note="",
    )


def test_a_closing_step_hears_of_a_generator_that_is_closed() -> None:
    seen: list[object] = []

    def items(value):
        sys._getframe()
        yield value
        yield value

    fail = Step(
        "fail", lambda: seen.append("fail"), (), seen.append, None, closing=True
    )
    installed = intercept(site_of(items), (fail,), Driver())
    assert installed.mechanism == "inlined"
    running = items(1)
    next(running)
    running.close()
    assert seen == ["fail"]
    left = items(2)
    assert list(left) == [2, 2]
    assert seen == ["fail"]
    installed.remove()


LINES = """
    import sys

    def charge(amount):
        name = sys._getframe(1).f_code.co_name  # name
        return name, amount  # last
"""


@pytest.mark.parametrize("first", ["line", "function"])
@pytest.mark.parametrize("gone", ["line", "function"])
def test_a_line_and_the_function_around_it_have_probes(lines, first, gone) -> None:
    module = lines.load(LINES)
    code = module.charge.__code__
    seen: list[object] = []
    handles: list[Handle] = []

    def add_function() -> None:
        pre = {"pre": lambda amount: seen.append(amount)}
        handles.append(Handle("line_subject:charge", pre, lines.probes))
        assert mechanism(handles[0]) == "inlined"

    if first == "function":
        add_function()
    lines.add("last", log="{amount} {name}")
    if first == "line":
        add_function()
    me = sys._getframe().f_code.co_name
    assert module.charge(1) == (me, 1)
    assert lines.messages == [f"1 {me}"]
    assert seen == [1]
    if gone == "line":
        lines.remove()
        assert module.charge(2) == (me, 2)
        assert (lines.messages, seen) == ([], [1, 2])
        handles[0].remove()
    else:
        handles[0].remove()
        assert module.charge(2) == (me, 2)
        assert (lines.messages, seen) == ([f"2 {me}"], [1])
        lines.remove()
    assert module.charge.__code__ is code
    assert module.charge(3) == (me, 3)
    assert (lines.messages, len(seen)) == ([], 2 if gone == "line" else 1)


def test_steps_change_while_a_line_of_the_function_has_a_probe(lines) -> None:
    module = lines.load(LINES)
    code = module.charge.__code__
    seen: list[object] = []
    one = Handle("line_subject:charge", {"pre": lambda: seen.append(1)}, lines.probes)
    lines.add("last", log="{amount}")
    two = Handle("line_subject:charge", {"post": lambda: seen.append(2)}, lines.probes)
    module.charge("a")
    one.remove()
    module.charge("b")
    two.remove()
    module.charge("c")
    assert seen == [1, 2, 2]
    assert lines.messages == ["a", "b", "c"]
    lines.remove()
    assert module.charge.__code__ is code
