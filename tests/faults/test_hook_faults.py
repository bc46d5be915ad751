"""Whatever a hook raises or runs into, the app's call is as it was without us."""

import pytest


def test_no_exception_of_a_hook_reaches_the_app_from_any_phase(run_app):
    run_app(
        """
        import asyncio
        import remora

        class Own(BaseException):
            def __str__(self):
                raise SystemExit(3)

        kinds = [
            ValueError, StopIteration, StopAsyncIteration, AssertionError, OSError,
            RecursionError, MemoryError, SystemExit, GeneratorExit,
            asyncio.CancelledError, Own, BaseExceptionGroup,
        ]

        def make(kind):
            return kind("g", [Own()]) if kind is BaseExceptionGroup else kind("bad")

        def works(a): return a
        def fails(a): raise KeyError(a)
        async def pays(a): return a
        def yields(a): yield a

        def raiser(kind):
            def hook(): raise make(kind)
            return hook

        for kind in kinds:
            hook = raiser(kind)
            handles = [
                remora.hook(f"__main__:{name}", pre=hook, post=hook, fail=hook)
                for name in ("works", "fails", "pays", "yields")
            ]
            for _ in range(4):  # the fourth call finds them switched off
                assert works(1) == 1
                try:
                    fails(2)
                except KeyError as error:
                    assert error.args == (2,) and error.__context__ is None
                else:
                    raise SystemExit("the app's own exception was lost")
                assert asyncio.run(pays(3)) == 3
                assert list(yields(4)) == [4]
            states = [handle.state for handle in handles]
            for handle in handles:
                handle.remove()
        """
    )


def test_a_ctrl_c_that_hits_inside_a_hook_is_the_apps(run_app):
    done = run_app(
        """
        import signal
        import remora

        def f(): return 1

        def hook():
            signal.raise_signal(signal.SIGINT)
            for _ in range(100):
                pass

        for phase in ("pre", "post"):
            handle = remora.hook("__main__:f", **{phase: hook})
            for _ in range(5):  # no hook is blamed, so it is not switched off
                try:
                    assert f() == 1
                    for _ in range(100):
                        pass
                except KeyboardInterrupt:
                    print("interrupted")
            assert handle.state == "installed", handle.describe()
            handle.remove()
        """
    )
    assert done.out.count("interrupted") == 10


def test_a_ctrl_c_that_hits_a_reporting_probe_is_the_apps(run_app, tmp_path):
    (tmp_path / "p.toml").write_text(
        '[[probe]]\nid = "p"\ntarget = "__main__:f"\nlog = "{a.b.c}"\n'
        'snapshot = ["a"]\nlimit = { rate = "1000000/s", time = "100%" }\n'
    )
    done = run_app(
        """
        import os, signal, threading, time
        import remora

        class A:
            def __init__(self): self.b = self; self.c = list(range(50))

        def f(a): return a

        def busy():
            # In a function of its own: on 3.13 the jump back of a loop is outside the
            # `try` around that loop.
            end = time.monotonic() + 5
            while time.monotonic() < end:
                f(a)

        remora.start(probes=["p.toml"], records="records.jsonl")
        a, seen = A(), 0
        for _ in range(200):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, signal.default_int_handler)
                signal.setitimer(signal.ITIMER_REAL, 0.0003)
                busy()
            except KeyboardInterrupt:
                seen += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        (status,) = remora.status()["probes"]
        assert status["errors"] == 0, status
        print(seen, status["firings"] > 0)
        """
    )
    assert done.out == "200 True\n"


@pytest.mark.parametrize(
    "action",
    [
        'log = "{a.b.c}"\nsnapshot = ["a"]',
        'count = { by = ["a.b"], every = "1h" }',
        'span = { name = "f" }',
        'override = { return = "2" }',
    ],
    ids=["log", "count", "span", "override"],
)
def test_what_a_signal_handler_raises_inside_a_probe_is_the_apps(
    run_app, tmp_path, action
):
    (tmp_path / "p.toml").write_text(
        f'[[probe]]\nid = "p"\ntarget = "__main__:f"\n{action}\n'
        'limit = { rate = "1000000/s", time = "100%" }\n'
    )
    done = run_app(
        """
        import functools, signal, sys, time
        import remora

        class A:
            def __init__(self): self.b = 1

        class TooLate(Exception): pass

        def f(a): return a

        def busy():
            signal.setitimer(signal.ITIMER_REAL, 0.0005)
            end = time.monotonic() + 5
            while time.monotonic() < end:
                f(a)

        def leave(number, frame): sys.exit(3)

        class Handlers:
            def interrupt(self, number, frame): self.late()
            def late(self): raise TooLate
            def __call__(self, more, number, frame): raise TooLate

        remora.start(probes=["p.toml"], records="records.jsonl")
        a, seen = A(), 0
        handlers = [Handlers().interrupt, functools.partial(Handlers(), 1), leave]
        for handler in handlers * 60:
            signal.signal(signal.SIGALRM, handler)
            try:
                busy()
            except (TooLate, SystemExit):
                seen += 1
        (status,) = remora.status()["probes"]
        assert status["errors"] == 0, status
        print(seen, status["firings"] > 0)
        """
    )
    assert done.out == "180 True\n"


def test_what_a_signal_handler_raises_inside_a_local_hook_is_the_apps(run_app):
    done = run_app(
        """
        import signal, sys
        import remora

        def f(): return 1

        def leave(number, frame): sys.exit(3)

        def hook():
            signal.raise_signal(signal.SIGUSR1)

        def fails(): sys.exit(4)

        signal.signal(signal.SIGUSR1, leave)
        handle = remora.hook("__main__:f", pre=hook)
        for _ in range(5):
            try:
                f()
            except SystemExit as error:
                print("left with", error.code)
        assert handle.state == "installed", handle.describe()
        handle.remove()
        remora.hook("__main__:f", pre=fails)
        assert f() == 1  # its own SystemExit is a fault of the hook
        """
    )
    assert done.out == "left with 3\n" * 5


def test_a_hook_that_fails_for_lack_of_stack_is_not_seen_by_the_app(run_app):
    run_app(
        """
        import sys
        import remora

        def down(n): return 0 if n == 0 else 1 + down(n - 1)
        def hook(n): return repr([[[n]]])

        sys.setrecursionlimit(400)
        depth = 400
        while True:
            try:
                down(depth)
                break
            except RecursionError:
                depth -= 1
        handle = remora.hook("__main__:down", pre=hook)
        # A frame of ours is added to each call: half the depth is what remains.
        assert down(depth // 2 - 10) == depth // 2 - 10
        try:
            down(depth * 2)
        except RecursionError:
            pass  # the app's own, as without us
        handle.remove()
        assert down(depth) == depth
        """
    )


@pytest.mark.parametrize("kind", ["ValueError", "RecursionError", "MemoryError"])
def test_what_a_hook_raises_at_the_end_of_the_stack_is_contained(run_app, kind):
    done = run_app(
        f"""
        import sys
        import remora

        called = []
        def leaf(): return 1
        def hook():
            called.append(1)
            raise {kind}("of the hook")
        def down(n): return leaf() if n == 0 else down(n - 1)

        sys.setrecursionlimit(200)
        entered = 0
        for depth in range(120, 200):
            handle = remora.hook("__main__:leaf", pre=hook)
            called.clear()
            try:
                assert down(depth) == 1
            except RecursionError:
                # where there was room for the hook, there is room for the function
                assert not called, depth
            entered += bool(called)
            handle.remove()
        print(20 < entered < 80)
        """
    )
    assert done.out == "True\n"


def test_probes_at_the_end_of_the_stack_are_contained(run_app, tmp_path):
    (tmp_path / "p.toml").write_text(
        '[[probe]]\nid = "p"\ntarget = "__main__:down"\nlog = "{n}"\n'
        'when = "n >= 0"\nsnapshot = ["n", "stack"]\n'
        'limit = { rate = "1000000/s", time = "100%" }\n'
    )
    run_app(
        """
        import sys
        import remora

        def down(n): return 0 if n == 0 else 1 + down(n - 1)

        remora.start(probes=["p.toml"], records="records.jsonl")
        sys.setrecursionlimit(500)
        for _ in range(3):
            try:
                down(100_000)
            except RecursionError as error:
                assert "remora" not in str(error)
            assert down(50) == 50
        """
    )


def test_memory_that_runs_out_costs_a_record_and_not_the_app(run_app, tmp_path):
    (tmp_path / "p.toml").write_text(
        '[[probe]]\nid = "p"\ntarget = "__main__:f"\nlog = "{a}"\nsnapshot = ["a"]\n'
        'limit = { rate = "1000000/s", time = "100%" }\n'
    )
    run_app(
        """
        import resource
        import remora

        def f(a): return len(a)
        def greedy(a): return [bytearray(64 * 2**20) for _ in range(100)]

        remora.start(probes=["p.toml"], records="records.jsonl")
        remora.hook("__main__:f", pre=greedy)
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 128 * 2**20,) * 2)
        values = {n: "x" * 100 for n in range(1000)}
        for _ in range(300):
            assert f(values) == 1000
        hoard = []
        try:
            while True:
                hoard.append(bytearray(2**20))
        except MemoryError:
            del hoard[-8:]  # the app has to live, if barely
        for _ in range(300):
            assert f(values) == 1000
        del hoard
        assert f(values) == 1000
        remora.stop()
        """
    )


def test_a_hook_on_what_logging_does_may_log(run_app):
    run_app(
        """
        import logging
        import remora

        log = logging.getLogger("app")
        seen = []

        class Handler(logging.Handler):
            def emit(self, record):
                seen.append(record.getMessage())

        log.addHandler(Handler())

        def hook():
            log.warning("from the hook")

        remora.hook("logging:Logger._log", pre=hook)
        remora.hook("__main__:Handler.emit", post=hook)
        log.warning("from the app")
        assert sorted(seen) == ["from the app", "from the hook", "from the hook"], seen
        """
    )


def test_a_hook_that_forks_or_starts_a_thread_harms_nobody(run_app):
    run_app(
        """
        import os, threading
        import remora

        def f(): return 1

        def forks():
            pid = os.fork()
            if pid == 0:
                assert f() == 1
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7

        def threads():
            if threading.current_thread() is not threading.main_thread():
                return
            results = []
            thread = threading.Thread(target=lambda: results.append(f()))
            thread.start()
            thread.join(10)
            assert results == [1]

        remora.start(records="records.jsonl")
        for hook in (forks, threads):
            handle = remora.hook("__main__:f", pre=hook)
            for _ in range(5):
                assert f() == 1
            assert handle.describe()["errors"] == 0, handle.describe()
            handle.remove()
        """
    )


def test_the_exceptions_of_the_app_keep_their_identity_and_context(run_app):
    run_app(
        """
        import asyncio
        import remora

        async def sleeps():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError as error:
                errors.append(error)
                raise

        def yields():
            try:
                yield 1
                yield 2
            finally:
                closed.append(True)

        errors, closed, failed = [], [], []
        remora.hook("__main__:sleeps", fail=lambda error: failed.append(error))
        remora.hook("__main__:yields", pre=lambda: None, post=lambda result: None,
                    fail=lambda error: failed.append(error))

        async def main():
            task = asyncio.ensure_future(sleeps())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel("why")
            try:
                await task
            except asyncio.CancelledError as error:
                assert error.args == ("why",)
            assert task.cancelled()

        asyncio.run(main())
        assert failed == errors and errors, (failed, errors)
        generator = yields()
        next(generator)
        generator.close()
        assert closed == [True]
        generator = yields()
        next(generator)
        mine = KeyError("mine")
        try:
            generator.throw(mine)
        except KeyError as error:
            assert error is mine and error.__context__ is None
        assert failed[-1] is mine
        """
    )
