"""Line probes: every mechanism that this interpreter has, on every form of code."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

import pytest

from remora.agent.probes import Handle
from remora.errors import HookError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remora.protocol import Status

CHARGE = """
    def charge(amount, account):  # def
        fee = amount * 2  # first
        if fee > 10:  # test
            late = fee  # in
        return fee  # last
"""


def test_a_line_fires_before_it_runs_with_the_locals_it_names(lines) -> None:
    module = lines.load(CHARGE)
    code = module.charge.__code__
    status = lines.add("test", log="{amount} {fee} {account} {late}")
    assert status.state.value == "installed", status.reason
    assert status.sites[0].mechanism == lines.mechanism
    assert module.charge(4, None) == 8
    assert module.charge(6, "a") == 12
    assert lines.messages == ["4 8 None missing", "6 12 a missing"]
    lines.remove()
    assert module.charge(6, "a") == 12
    assert lines.messages == []
    assert module.charge.__code__ is code


def test_the_first_line_fires_before_the_body(lines) -> None:
    module = lines.load(CHARGE)
    lines.add("first", log="{amount} {fee}")
    module.charge(4, None)
    assert lines.messages == ["4 missing"]


def test_a_line_that_is_not_come_to_does_not_fire(lines) -> None:
    module = lines.load(CHARGE)
    lines.add("in", log="{fee}")
    module.charge(4, None)
    module.charge(40, None)
    assert lines.messages == ["80"]


def test_condition_count_and_snapshot_work_on_locals(lines) -> None:
    module = lines.load(CHARGE)
    lines.add("last", name="when", when="fee > 10 and amount != 6", log="{fee}")
    lines.add("last", name="count", count={"by": ["account"], "sum": "fee"})
    lines.add(
        "test",
        name="snap",
        snapshot=["fee", "late", "locals", "stack", "arguments"],
    )
    for amount in (1, 6, 7):
        module.charge(amount, "a")
    lines.probes.ship()
    by_probe = {record["probe"]: record for record in lines.records}
    assert [r["message"] for r in lines.records if r["probe"] == "when"] == ["14"]
    assert by_probe["count"]["rows"][0]["sum"] == 28
    snapshot = by_probe["snap"]
    assert snapshot["phase"] == "line"
    assert snapshot["values"]["late"] == {"$": "missing", "reason": "absent"}
    assert snapshot["values"]["locals"] == {"amount": 7, "account": "a", "fee": 14}
    assert snapshot["values"]["arguments"] == {"amount": 7, "account": "a"}
    here = sys._getframe()
    assert [frame["function"] for frame in snapshot["stack"]][:2] == [
        "charge",
        here.f_code.co_qualname,
    ]
    assert snapshot["stack"][0]["line"] == lines.line("test")


def test_several_probes_on_a_line_leave_one_by_one(lines) -> None:
    module = lines.load(CHARGE)
    code = module.charge.__code__
    lines.add("test", name="a", log="a")
    lines.add("test", name="b", log="b")
    lines.add("last", name="c", log="c")
    module.charge(1, None)
    assert lines.messages == ["a", "b", "c"]
    lines.remove("a")
    module.charge(1, None)
    assert lines.messages == ["b", "c"]
    lines.add("first", name="d", log="d")
    module.charge(1, None)
    assert lines.messages == ["d", "b", "c"]
    lines.remove("b")
    lines.remove("d")
    module.charge(1, None)
    assert lines.messages == ["c"]
    lines.remove("c")
    module.charge(1, None)
    assert lines.messages == []
    assert module.charge.__code__ is code


def test_a_line_that_was_passed_before_can_be_probed_later(lines) -> None:
    module = lines.load(CHARGE)
    lines.add("first", name="a", log="a")
    for _ in range(100):
        module.charge(10, None)
    lines.messages
    lines.add("in", name="b", log="b")
    module.charge(10, None)
    assert lines.messages == ["a", "b"]


FORMS = (
    """
    import contextlib

    def loop(items):
        total = 0
        for item in items:  # for
            total += item  # body
        else:
            total += 100  # else
        return total

    def while_loop(n):
        while n:
            n -= 1  # while
        return n

    def guarded(error):
        try:
            if error:
                raise error
        except ValueError as caught:
            return "caught"  # except
        finally:
            done = 1  # finally
        return "fine"

    def managed(manager):
        with manager as value:
            result = value  # with
        return result

    def spread(a, b):
        x = max(  # spread
            a,
            b,
        )
        return x

    def made(items):
        return [
            item * 2  # element
            for item in items
        ]

    def choose(a):
        x = 1 if a else 2  # choose
        return x

    @contextlib.contextmanager
    def context(a):
        yield a + 1  # decorated

    def outer(n):
        def inner(x):
            y = x + n  # inner
            return y
        return inner

    def celled(a):
        b = a + 1
        f = lambda: (a, b)  # cell
        return f()

    def starred(a, *args, k=1, **kwargs):
        return (a, args, k, kwargs)  # starred

    def deleted(a):
        del a
        return 1  # deleted

    def generate(n):
        for i in range(n):
            got = yield i  # yield
        return n

    async def wait(n):
        await n
        return 5  # coroutine

    async def agen(n):
        for i in range(n):
            yield i  # agen

    class Thing:
        def __init__(self, a):
            self.a = a  # method

        @property
        def double(self):
            return self.a * 2  # property

        def __call__(self):
            return __class__  # class cell

    def matched(a):
        match a:
            case (x, y):
                return x + y  # match
            case _:
                return None

    def oneliner(a): return a + 1  # oneliner

    def asserted(a):
        assert a, (
            "text")  # assert
        return a

    def nested_try(a):
        for i in range(a):
            try:
                try:
                    if i == 1:
                        continue
                    if i == 2:
                        raise KeyError(i)
                finally:
                    b = i  # nested finally
            except KeyError:
                pass
        return b

    def large(a):
        b = 0
        if a:
"""
    + "".join(f"            b += a * {n} + len(str(b))\n" for n in range(300))
    + """
        else:
            b = 1  # far
        for _ in range(2):
            b += 1
            if b > 1000000:
                break  # break
        return b  # after
"""
)


@pytest.fixture
def forms(lines):
    return lines.load(FORMS)


def test_loops_fire_each_time_round(lines, forms) -> None:
    lines.add("for", name="for", log="for {total}")
    lines.add("body", name="body", log="body {item}")
    lines.add("else", name="else", log="else")
    assert forms.loop([1, 2]) == 103
    assert lines.messages == [
        "for 0", "body 1", "for 1", "body 2", "for 3", "else",
    ]  # fmt: skip
    lines.add("while", name="while", log="{n}")
    assert forms.while_loop(3) == 0
    assert lines.messages == ["3", "2", "1"]


def test_try_and_finally_fire_on_each_way_through(lines, forms) -> None:
    lines.add("except", name="except", log="except {caught}")
    lines.add("finally", name="finally", log="finally")
    assert forms.guarded(None) == "fine"
    assert lines.messages == ["finally"]
    assert forms.guarded(ValueError("x")) == "caught"
    assert len(lines.messages) == 2
    with pytest.raises(KeyError):
        forms.guarded(KeyError("y"))
    assert lines.messages == ["finally"]


def test_nested_finally_with_continue_and_exceptions(lines, forms) -> None:
    lines.add("nested finally", log="{i} {b}")
    assert forms.nested_try(4) == 3
    assert lines.messages == ["0 missing", "1 0", "2 1", "3 2"]


def test_the_body_of_a_with_fires(lines, forms) -> None:
    lines.add("with", log="{value}")
    with forms.context(4) as five:
        assert five == 5
    assert forms.managed(forms.context(4)) == 5
    assert lines.messages == ["5"]


@pytest.mark.parametrize("way", ["through", "return", "raise", "swallow", "async"])
def test_a_with_begins_once_and_not_again_when_it_is_left(lines, way: str) -> None:
    module = lines.load("""
        def managed(manager, way):
            with manager:  # with
                done = 1
                if way == "return":
                    return 1
                if way in {"raise", "swallow"}:
                    raise KeyError(way)
            return 2

        async def asynchronous(manager):
            async with manager:  # async
                done = 1
            return 2
    """)

    class Manager:
        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> bool:
            return way == "swallow"

        async def __aenter__(self) -> None:
            await asyncio.sleep(0)

        async def __aexit__(self, *_: object) -> None:
            await asyncio.sleep(0)

    lines.add("async" if way == "async" else "with", log="entered")
    if way == "async":
        assert asyncio.run(module.asynchronous(Manager())) == 2
    elif way == "raise":
        with pytest.raises(KeyError):
            module.managed(Manager(), way)
    else:
        assert module.managed(Manager(), way) == (1 if way == "return" else 2)
    assert lines.messages == ["entered"]


def test_a_statement_over_several_lines_begins_once(lines, forms) -> None:
    lines.add("spread", log="{a} {x}")
    assert forms.spread(1, 2) == 2
    assert forms.spread(3, 2) == 3
    assert lines.messages == ["1 missing", "3 missing"]


def test_the_element_of_a_comprehension_fires_for_each_item(lines, forms) -> None:
    lines.add("element", log="{item}")
    assert forms.made([1, 2, 3]) == [2, 4, 6]
    assert lines.messages[-3:] == ["1", "2", "3"]


def test_branches_within_a_line_are_one_line(lines, forms) -> None:
    lines.add("choose", log="{a}")
    assert (forms.choose(1), forms.choose(0)) == (1, 2)
    assert lines.messages == ["1", "0"]


def test_code_under_a_decorator_fires(lines, forms) -> None:
    lines.add("decorated", log="{a}")
    with forms.context(1) as value:
        assert value == 2
    assert lines.messages == ["1"]


def test_closures_made_before_and_after_fire(lines, forms) -> None:
    before = forms.outer(1)
    code = before.__code__
    lines.add("inner", log="{x} {n} {y}")
    after = forms.outer(2)
    assert (before(10), after(10)) == (11, 12)
    assert lines.messages == ["10 1 missing", "10 2 missing"]
    lines.remove()
    assert (before(10), after(10)) == (11, 12)
    assert before.__code__ is code
    assert after.__code__ is code
    assert forms.outer(3).__code__ is code
    assert lines.messages == []


def test_variables_in_cells_are_read(lines, forms) -> None:
    lines.add("cell", log="{a} {b} {f}")
    assert forms.celled(1) == (1, 2)
    assert lines.messages[0] == "1 2 missing"


def test_all_kinds_of_parameters_are_read(lines, forms) -> None:
    lines.add("starred", log="{a} {args[0]} {k} {kwargs['z']}")
    assert forms.starred(1, 2, 3, k=4, z=5) == (1, (2, 3), 4, {"z": 5})
    assert lines.messages == ["1 2 4 5"]


def test_a_deleted_variable_is_missing(lines, forms) -> None:
    lines.add("deleted", log="{a}")
    assert forms.deleted(1) == 1
    assert lines.messages == ["missing"]


def test_generators_fire_and_keep_their_protocol(lines, forms) -> None:
    lines.add("yield", log="{i} {got}")
    generator = forms.generate(2)
    assert next(generator) == 0
    assert generator.send("sent") == 1
    with pytest.raises(StopIteration) as ended:
        next(generator)
    assert ended.value.value == 2
    assert lines.messages == ["0 missing", "1 sent"]
    closed = forms.generate(2)
    next(closed)
    closed.close()
    with pytest.raises(KeyError):
        thrown = forms.generate(2)
        next(thrown)
        thrown.throw(KeyError("x"))


def test_coroutines_and_async_generators_fire(lines, forms) -> None:
    lines.add("coroutine", name="c", log="{n}")
    lines.add("agen", name="a", log="{i}")

    async def main() -> tuple[int, list[int]]:
        return await forms.wait(asyncio.sleep(0)), [i async for i in forms.agen(2)]

    assert asyncio.iscoroutinefunction(forms.wait)
    assert asyncio.run(main()) == (5, [0, 1])
    assert len(lines.messages) == 3


def test_methods_properties_and_class_cells(lines, forms) -> None:
    lines.add("method", name="m", log="{a}")
    lines.add("property", name="p", log="{self.a}")
    lines.add("class cell", name="c", log="{self.a}")
    thing = forms.Thing(3)
    assert thing.double == 6
    assert thing() is forms.Thing
    assert lines.messages == ["3", "3", "3"]


def test_match_and_oneliners(lines, forms) -> None:
    lines.add("match", name="m", log="{x} {y}")
    lines.add("oneliner", name="o", log="{a}")
    assert forms.matched((1, 2)) == 3
    assert forms.matched(1) is None
    assert forms.oneliner(1) == 2
    assert lines.messages == ["1 2", "1"]


def test_jumps_over_long_code_stay_right(lines, forms) -> None:
    expected = (forms.large(0), forms.large(2))
    lines.add("far", name="far", log="far")
    lines.add("break", name="break", log="break")
    lines.add("after", name="after", log="after {b}")
    assert (forms.large(0), forms.large(2)) == expected
    assert lines.messages[:2] == ["far", f"after {expected[0]}"]


def test_tracebacks_show_the_lines_of_the_source(lines) -> None:
    module = lines.load("""
        def fail(a):
            b = a  # before
            return 1 // b  # fails
    """)
    lines.add("before", name="b", log="b")
    lines.add("fails", name="f", log="f")
    with pytest.raises(ZeroDivisionError) as caught:
        module.fail(0)
    rows = []
    trace = caught.value.__traceback__
    while trace is not None:
        rows.append((trace.tb_frame.f_code.co_name, trace.tb_lineno))
        trace = trace.tb_next
    assert rows[-1] == ("fail", lines.line("fails"))
    assert len(rows) == 2
    assert lines.messages == ["b", "f"]


def test_a_class_body_inside_a_function_is_refused(lines) -> None:
    lines.load("""
        def make():
            class Made:
                x = 1  # here
            return Made
    """)
    status = lines.add("here", log="x")
    assert status.state.value == "failed"
    assert "body of class Made" in status.reason


RUNNING = """
    begin()
    def early(a):
        return a  # early
    class Kept:
        def method(self, a):
            return [a]  # method
    values = early(1), Kept().method(2)
    begin()
    values += early(3), Kept().method(4)
    end()
    def late(a):
        return early(a)
    values += late(5), late.__code__
"""


def test_a_module_that_still_runs_defines_functions_with_their_probes(lines) -> None:
    lines.write(RUNNING)
    module = ModuleType("line_subject")
    module.__file__ = str(lines.folder / "line_subject.py")
    code = compile(lines.text, module.__file__, "exec")
    before = [code.co_consts, *(within.co_consts for within in _within(code))]

    def begin() -> None:
        for mark in ("early", "method"):
            status = lines.add(mark, name=mark, log="{a}")
            assert status.state.value == "installed", status.reason

    def end() -> None:
        for mark in ("early", "method"):
            lines.remove(mark)

    vars(module).update(begin=begin, end=end)
    sys.modules["line_subject"] = module
    exec(code, vars(module))
    assert lines.messages == ["1", "2", "3", "4"]
    assert module.values[:-1] == (1, [2], 3, [4], 5)
    after = [code.co_consts, *(within.co_consts for within in _within(code))]
    assert [list(map(id, each)) for each in after] == [
        list(map(id, each)) for each in before
    ]
    assert module.early.__code__ in code.co_consts
    assert module.values[-1] is module.late.__code__


def _within(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield constant
            yield from _within(constant)


def test_a_line_outside_of_all_functions_is_refused(lines) -> None:
    lines.write("begin()\nx = 1  # here\n")
    module = ModuleType("line_subject")
    module.__file__ = str(lines.folder / "line_subject.py")
    seen: list[Status] = []
    vars(module).update(begin=lambda: seen.append(lines.add("here", log="x")))
    sys.modules["line_subject"] = module
    exec(compile(lines.text, module.__file__, "exec"), vars(module))
    assert [status.state.value for status in seen] == ["failed"]
    assert "is outside of all functions" in seen[0].reason


def test_a_line_without_code_names_the_nearest(lines) -> None:
    lines.load(CHARGE)
    status = lines.add("def", log="x")
    assert status.state.value == "failed"
    assert f"the nearest line with code is {lines.line('first')}" in status.reason


def test_an_unknown_name_is_refused_with_the_variables_there_are(lines) -> None:
    lines.load(CHARGE)
    status = lines.add("test", log="{feee}")
    assert status.state.value == "failed"
    assert "the function has account, amount, fee, late" in status.reason
    assert "did you mean 'fee'?" in status.reason


def test_another_text_than_expected_is_refused_with_both(lines) -> None:
    module = lines.load(CHARGE)
    status = lines.add("in", log="x", expect="late = amount")
    assert status.state.value == "failed"
    assert "is 'late = fee  # in' and not 'late = amount'" in status.reason
    fits = lines.add("in", log="x", expect="late = fee  # in")
    assert fits.state.value == "installed", fits.reason
    module.charge(9, None)
    assert lines.messages == ["x"]


def test_a_line_of_a_module_to_come_waits(lines) -> None:
    lines.write(CHARGE)
    status = lines.add("test", log="{fee}")
    assert status.state.value == "waiting"
    assert "no imported module has the file" in status.reason
    module = lines.load(CHARGE)
    assert lines.status().state.value == "installed"
    module.charge(1, None)
    assert lines.messages == ["2"]


def test_a_local_hook_on_a_line_is_refused_with_what_to_do(lines) -> None:
    lines.load(CHARGE)
    target = f"line_subject.py:{lines.line('test')}"
    with pytest.raises(HookError, match="add a probe with log"):
        Handle(target, {"pre": lambda: None}, lines.probes)


def test_what_our_code_raises_stays_here(lines, monkeypatch) -> None:
    module = lines.load(CHARGE)
    lines.add("test", log="{fee}")

    def fail(*_: object) -> None:
        raise RuntimeError("ours")

    active = lines.probes._active["p"]
    monkeypatch.setattr(active.firings, "put", fail)
    assert module.charge(5, None) == 10
    assert lines.status().errors == 1
    assert lines.status().last_error == "RuntimeError: ours"


def test_values_do_not_live_longer_by_being_read(lines) -> None:
    module = lines.load("""
        def run(make, dead):
            value = make()
            again = 1  # here
            del value
            return dead()
    """)
    import weakref

    class Value:
        pass

    references = []

    def make() -> Value:
        value = Value()
        references.append(weakref.ref(value))
        return value

    lines.add("here", name="a", log="{value}")
    lines.add("here", name="b", snapshot=["locals"])
    assert module.run(make, lambda: references[0]()) is None


def test_the_dictionary_that_the_app_got_from_locals_is_left_alone(lines) -> None:
    module = lines.load("""
        def run():
            a = 1
            mine = locals()
            mine["extra"] = 5
            b = 2  # here
            return dict(locals()) if False else mine
    """)
    lines.add("here", log="{a}")
    assert module.run()["extra"] == 5
    assert lines.messages == ["1"]


def test_functions_that_the_collector_does_not_see_are_reached(lines) -> None:
    module = lines.load(CHARGE)
    gc.collect()
    gc.freeze()
    try:
        status = lines.add("test", log="{fee}")
        assert status.state.value == "installed", status.reason
        module.charge(1, None)
        assert lines.messages == ["2"]
        lines.remove()
    finally:
        gc.unfreeze()


def test_a_forked_child_keeps_its_probes_and_may_remove_them(lines) -> None:
    module = lines.load(CHARGE)
    code = module.charge.__code__
    lines.add("test", log="{fee}")
    child = os.fork()
    if child == 0:
        try:
            module.charge(1, None)
            fired = lines.messages == ["2"]
            lines.remove()
            module.charge(1, None)
            is_gone = not lines.messages and module.charge.__code__ is code
        finally:
            os._exit(0 if fired and is_gone else 1)
    assert os.waitpid(child, 0)[1] == 0
    module.charge(2, None)
    assert lines.messages == ["4"]


def test_a_probe_is_removed_while_its_line_runs(lines) -> None:
    module = lines.load("""
        def run(act):
            for n in range(4):
                act(n)  # here
            return n
    """)
    code = module.run.__code__
    lines.add("here", log="{n}")

    def act(n: int) -> None:
        if n == 1:
            lines.remove()

    assert module.run(act) == 3
    assert lines.messages == ["0", "1"] if lines.mechanism == "line event" else True
    assert module.run.__code__ is code


def test_threads_that_run_a_line_lose_no_firing_while_others_come_and_go(
    lines, turns
) -> None:
    module = lines.load(CHARGE)
    code = module.charge.__code__
    lines.add("test", name="steady", count=True)
    stop = threading.Event()
    calls = [0, 0]
    errors: list[BaseException] = []

    def work(slot: int) -> None:
        try:
            while not stop.is_set():
                assert module.charge(3, None) == 6
                calls[slot] += 1
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    threads = [threading.Thread(target=work, args=(slot,)) for slot in range(2)]
    try:
        for thread in threads:
            thread.start()
        for _ in turns(40):
            lines.add("first", name="other", log="{amount}", limit={"rate": "1/m"})
            lines.add("test", name="last", count={"by": ["fee"]})
            lines.remove("other")
            lines.remove("last")
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
        sys.setswitchinterval(interval)
    assert not errors
    lines.probes.ship()
    rows = [r["rows"] for r in lines.records if r.get("probe") == "steady"]
    assert sum(row["count"] for part in rows for row in part) == sum(calls)
    lines.remove("steady")
    assert module.charge.__code__ is code
