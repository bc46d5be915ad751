"""Event loops and other tools in the same process: nobody notices us."""

import pytest

PROBE = (
    '[[probe]]\nid = "p"\ntarget = "__main__:f"\nlog = "{a}"\nsnapshot = ["a"]\n'
    'limit = { rate = "1000000/s", time = "100%" }\n'
)


@pytest.fixture(autouse=True)
def probe_file(tmp_path):
    (tmp_path / "p.toml").write_text(PROBE)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_an_event_loop_idle_or_busy_never_waits_for_us(run_app, loop):
    pytest.importorskip(loop)
    run_app(
        f"""
        import asyncio, socket, time
        import {loop}
        import remora

        async def f(a): return a

        async def hook(a):
            await asyncio.sleep(0)

        async def tick(gaps):
            last = time.perf_counter()
            for _ in range(200):
                await asyncio.sleep(0.001)
                now = time.perf_counter()
                gaps.append(now - last)
                last = now

        async def work(n):
            for i in range(100):
                assert await f([n, i]) == [n, i]

        async def main():
            idle, busy = [], []
            await tick(idle)
            await asyncio.gather(tick(busy), *(work(n) for n in range(20)))
            return max(idle), max(busy)

        listener = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{{listener.getsockname()[1]}}"
        remora.start(probes=["p.toml"], server=address)
        handle = remora.hook("__main__:f", pre=hook, post=lambda result: None)
        if {loop!r} == "uvloop":
            slowest = uvloop.run(main())
        else:
            slowest = asyncio.run(main(), debug=True)
        assert max(slowest) < 0.5, slowest  # a wait of ours would be one second
        assert handle.describe()["errors"] == 0
        listener.close()
        """
    )


def test_coverage_sees_the_same_lines_with_us(run_app, tmp_path):
    pytest.importorskip("coverage")
    text = """
import sys
import coverage
measure = coverage.Coverage(data_file=None, config_file=False, include=["*/subject.py"])
measure.start()
import subject
if sys.argv[1] == "served":
    import remora
    remora.start(records="/dev/null")
    handle = remora.hook("subject:f", pre=lambda a: None, post=lambda result: None)
for n in range(3):
    subject.f(n)
if sys.argv[1] == "served":
    assert handle.describe()["errors"] == 0
    remora.stop()
measure.stop()
print(sorted(measure.get_data().lines(subject.__file__)))
"""
    (tmp_path / "subject.py").write_text(
        "def f(a):\n    if a:\n        return 1\n    return 2\n\ndef g():\n    pass\n"
    )
    found = {run_app(text, how).out for how in ("bare", "served")}
    assert found == {"[1, 2, 3, 4, 6]\n"}


def test_tracing_and_profiling_functions_of_the_app_stay_its_own(run_app):
    run_app(
        """
        import sys, threading
        import remora

        def f(a): return a
        calls = []
        def tracer(frame, event, argument):
            calls.append(frame.f_code.co_name)
            return None
        sys.settrace(tracer)
        sys.setprofile(lambda *arguments: None)
        profile = sys.getprofile()
        remora.start(probes=["p.toml"], records="/dev/null")
        assert f(1) == 1
        remora.stop()
        assert sys.gettrace() is tracer and sys.getprofile() is profile
        sys.settrace(None); sys.setprofile(None)
        assert "f" in calls
        """
    )


def test_a_tool_that_wraps_what_we_hook_and_one_that_was_there_before(run_app):
    run_app(
        """
        import functools, sys, types
        import remora

        module = types.ModuleType("shop")
        exec("def f(a):\\n    return a\\n", module.__dict__)
        sys.modules["shop"] = module
        original, code = module.f, module.f.__code__
        seen = []

        def wrap(function, name):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                seen.append(name)
                return function(*args, **kwargs)
            return wrapper

        module.f = wrap(module.f, "before")
        remora.start(records="/dev/null")
        handle = remora.hook("shop:f", pre=lambda a: seen.append("ours"))
        module.f = outer = wrap(module.f, "after")
        assert module.f(1) == 1
        assert seen.count("before") == seen.count("after") == 1, seen
        assert seen.count("ours") == 1, seen
        handle.remove()
        seen.clear()
        assert module.f(1) == 1
        assert seen == ["after", "before"]
        assert module.f is outer
        assert original.__code__ is code
        remora.stop()
        """
    )


def test_mock_patches_over_us_and_leaves_again(run_app):
    run_app(
        """
        from unittest import mock
        import remora

        class Shop:
            def buy(self, a): return a

        handle = remora.hook("__main__:Shop.buy", pre=lambda a: seen.append(a))
        seen = []
        with mock.patch.object(Shop, "buy", return_value=9):
            assert Shop().buy(1) == 9
        assert Shop().buy(2) == 2
        with mock.patch.object(Shop, "buy", autospec=True) as spied:
            Shop().buy(3)
            assert spied.call_count == 1
        assert seen == [2]
        handle.remove()
        assert Shop().buy(4) == 4 and seen == [2]
        """
    )


@pytest.mark.parametrize(
    ("comes", "leaves"), [("before", "first"), ("after", "first"), ("after", "last")]
)
def test_opentelemetry_instruments_what_we_hook(run_app, comes, leaves):
    pytest.importorskip("opentelemetry.instrumentation.sqlite3")
    run_app(
        """
        import sqlite3, sys
        import remora
        from opentelemetry import trace
        from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
        from opentelemetry.sdk.trace import Span, TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
            InMemorySpanExporter,
        )

        comes, leaves = sys.argv[1:]
        spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(spans))
        tracer = provider.get_tracer("shop")
        instrumentor = SQLite3Instrumentor()
        seen = []

        @tracer.start_as_current_span("buy")
        def buy(a):
            database = sqlite3.connect(":memory:")
            found = database.cursor().execute("select ?", (a,)).fetchone()
            database.close()
            return found[0]

        def instrument():
            instrumentor.instrument(tracer_provider=provider)

        def hook_ours():
            return [
                remora.hook("__main__:buy", pre=lambda a: seen.append(a)),
                remora.hook(
                    "opentelemetry.sdk.trace:Span.end", pre=lambda: seen.append("end")
                ),
            ]

        def hook_connect():
            return remora.hook("sqlite3:connect", pre=lambda: seen.append("connect"))

        end = vars(Span)["end"]
        before = sqlite3.connect, buy, buy.__code__, end, end.__code__
        remora.start(records="/dev/null")
        if comes == "before":
            instrument()
            handles = hook_ours()
            # What stands there now is called through its type: refused, and said so.
            try:
                hook_connect()
            except remora.errors.HookError as error:
                assert "name a function that calls it" in str(error), error
            else:
                raise AssertionError("not refused")
        else:
            handles = [*hook_ours(), hook_connect()]
            instrument()
        connects = len(handles) - 2
        assert buy(7) == 7
        names = [span.name for span in spans.get_finished_spans()]
        assert names == ["select", "buy"], names
        assert seen.count(7) == 1 and seen.count("connect") == connects, seen
        assert seen.count("end") == 2, seen
        assert all(handle.describe()["errors"] == 0 for handle in handles)
        if leaves == "first":
            instrumentor.uninstrument()
            assert buy(8) == 8 and seen.count("connect") == 2 * connects, seen
        for handle in handles:
            handle.remove()
        spans.clear()
        seen.clear()
        assert buy(9) == 9 and not seen
        assert len(spans.get_finished_spans()) == (1 if leaves == "first" else 2)
        if leaves == "last":
            instrumentor.uninstrument()
        remora.stop()
        end = vars(Span)["end"]
        assert before == (sqlite3.connect, buy, buy.__code__, end, end.__code__)
        provider.shutdown()
        """,
        comes,
        leaves,
    )


def test_debugpy_listens_beside_line_probes_and_code_swaps(run_app, tmp_path):
    pytest.importorskip("debugpy")
    (tmp_path / "shop.py").write_text("def f(a):\n    b = a + 1\n    return b\n")
    (tmp_path / "lines.toml").write_text(
        PROBE.replace("__main__:f", "shop.py:3").replace("{a}", "b={b}")
    )
    done = run_app(
        """
        import sys, threading
        import debugpy
        import remora
        import shop

        def work(a):
            assert shop.f(a) == a + 1
            # A debugger's tables have code for keys.
            assert {shop.f.__code__: a}[shop.f.__code__] == a

        code = shop.f.__code__
        debugpy.listen(("127.0.0.1", 0))
        tracer = sys.gettrace()
        remora.start(probes=["lines.toml"], records="records.jsonl")
        seen = []
        handle = remora.hook("shop:f", pre=lambda a: seen.append(a))
        for n in range(3):
            work(n)
        thread = threading.Thread(target=work, args=(3,))
        thread.start()
        thread.join()
        assert seen == [0, 1, 2, 3], seen
        assert handle.describe()["errors"] == 0
        (status,) = remora.status()["probes"]
        assert status["state"] == "installed" and status["errors"] == 0, status
        remora.stop()
        assert shop.f.__code__ is code
        work(4)
        assert len(seen) == 4
        assert sys.gettrace() is tracer
        assert not debugpy.is_client_connected()
        records = open("records.jsonl").read()
        assert [f"b={n}" in records for n in range(1, 6)] == [True] * 4 + [False]
        """,
        # The debugger itself does what Python warns of.
        runner=("-W", "ignore", "-X", "frozen_modules=off"),
    )
    assert done.err == ""


@pytest.mark.parametrize("leaves", ["first", "last"])
@pytest.mark.parametrize("place", ["below", "on top"])
def test_ddtrace_wraps_what_we_hook(run_app, place, leaves):
    pytest.importorskip("ddtrace", reason="ddtrace is not installed: opt in by hand")
    run_app(
        """
        import sys, types
        from ddtrace.internal.wrapping import unwrap, wrap
        import remora

        place, leaves = sys.argv[1:]

        def f(a, *rest, b=1):
            return a, rest, b

        def theirs(function, args, kwargs):
            seen.append("theirs")
            return function(*args, **kwargs)

        def hook():
            return remora.hook("__main__:f", pre=lambda a: seen.append("ours"))

        original, code, seen = f, f.__code__, []
        remora.start(records="/dev/null")
        if place == "below":
            wrap(f, theirs)
            handle = hook()
        else:
            handle = hook()
            wrap(f, theirs)
        assert f(1, 2, b=3) == (1, (2,), 3)
        assert sorted(seen) == ["ours", "theirs"], seen
        seen.clear()
        if leaves == "first":
            unwrap(f, theirs)
            assert f(1) == (1, (), 1)
            # Under the code of another ddtrace does not find its own: it stays there.
            assert seen.count("ours") == 1, seen
            assert seen.count("theirs") == (place == "below"), seen
            handle.remove()
            unwrap(f, theirs)
        else:
            handle.remove()
            assert f(1) == (1, (), 1)
            assert seen == ["theirs"], seen
            unwrap(f, theirs)
        seen.clear()
        assert f(1) == (1, (), 1) and not seen
        remora.stop()
        assert f is original and f.__code__ is code
        """,
        place,
        leaves,
        runner=("-W", "ignore"),
        DD_TRACE_ENABLED="false",
        DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
    )
