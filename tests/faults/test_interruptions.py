"""Whatever interrupts us, wherever, nothing of the app waits for us or is lost."""

import json


def write_probe(folder, keys='log = "{a}"\nsnapshot = ["a", "stack"]', target="f"):
    (folder / "p.toml").write_text(
        f'[[probe]]\nid = "p"\ntarget = "__main__:{target}"\n{keys}\n'
        'limit = { rate = "1000000/s", time = "100%" }\n'
    )


def test_a_signal_handler_that_calls_what_is_hooked_every_half_millisecond(
    run_app, tmp_path
):
    write_probe(tmp_path, 'log = "{a}"\ncount = { by = ["a"], every = "100ms" }')
    run_app(
        """
        import signal, time
        import remora

        def f(a): return a
        def g(a): return a

        calls = [0]
        def handler(number, frame):
            calls[0] += 1
            assert f("handler") == "handler"
            assert g(1) == 1

        remora.start(probes=["p.toml"], records="records.jsonl")
        remora.hook("__main__:g", pre=lambda a: f(a), post=lambda result: None)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            assert f("main") == "main"
            assert g(2) == 2
            remora.status()
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert calls[0] > 100, calls
        (status,) = remora.status()["probes"]
        assert status["errors"] == 0, status
        remora.stop()
        """
    )


def test_destructors_that_the_collector_runs_in_our_own_code_may_call_hooks(
    run_app, tmp_path
):
    write_probe(tmp_path)
    run_app(
        """
        import gc
        import remora

        def f(a): return a

        class Dies:
            def __init__(self): self.me = self
            def __del__(self):
                counts[0] += 1
                assert f("dying") == "dying"

        counts = [0]
        remora.start(probes=["p.toml"], records="records.jsonl")
        gc.set_threshold(5, 2, 2)
        for _ in range(2000):
            Dies()
            f([{}, [], {"a": []}])
            if counts[0] % 100 == 0:
                remora.hook("__main__:f", pre=lambda a: [[], []]).remove()
        gc.set_threshold(700)
        gc.collect()
        assert counts[0] == 2000
        (status,) = remora.status()["probes"]
        assert status["errors"] == 0, status
        remora.stop()
        """
    )


def test_forks_while_our_thread_works_and_our_locks_are_held(run_app, tmp_path):
    write_probe(tmp_path, 'count = { by = ["a"], every = "100ms" }')
    run_app(
        """
        import os, threading, time
        import remora
        import remora.agent.agent as agent

        def f(a): return a

        remora.start(probes=["p.toml"], records="records.jsonl")
        f(0)
        stopping, busy = [], []

        def hold():
            # What another thread does when the fork comes: install and remove.
            while not stopping:
                handle = remora.hook("__main__:f", pre=lambda a: None)
                handle.remove()
                busy.append(1)

        import warnings
        warnings.simplefilter("ignore")  # a fork beside the app's own thread
        thread = threading.Thread(target=hold)
        thread.start()
        for turn in range(25):
            seen = len(busy)
            while len(busy) == seen:
                time.sleep(0.0005)
            pid = os.fork()
            if pid == 0:
                f(turn)
                handle = remora.hook("__main__:f", post=lambda result: None)
                assert f(turn) == turn
                handle.remove()
                remora.status()
                remora.stop()
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            assert status == 0, status
        stopping.append(1)
        thread.join(10)
        remora.stop()
        """
    )


def test_a_fork_in_the_middle_of_our_own_lock_leaves_the_child_free(run_app):
    run_app(
        """
        import os
        import remora
        import remora.agent.agent as agent

        def f(a): return a

        remora.start(records="records.jsonl")
        remora.hook("__main__:f", pre=lambda a: None)
        probes = agent._agent.parts.probes
        import threading
        held, done = threading.Event(), threading.Event()

        def hold():
            with agent._lock, probes._lock, probes.hooks._lock:
                held.set()
                done.wait(30)

        import warnings
        warnings.simplefilter("ignore")  # a fork beside the app's own thread
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(30)
        pid = os.fork()
        if pid == 0:
            assert f(1) == 1
            remora.hook("__main__:f", post=lambda result: None).remove()
            import colorsys
            remora.stop()
            os._exit(0)
        deadline = __import__("time").monotonic() + 20
        while True:
            got, status = os.waitpid(pid, os.WNOHANG)
            if got:
                break
            if __import__("time").monotonic() > deadline:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
                status = -1
                break
            __import__("time").sleep(0.01)
        done.set()
        thread.join(10)
        assert status == 0, status
        """
    )


def test_an_import_that_waits_for_a_thread_that_is_served_goes_on(run_app, tmp_path):
    write_probe(tmp_path, target="work")
    (tmp_path / "cycle_a.py").write_text(
        "import threading, sys\n"
        "def work(a):\n    return a\n"
        "results = []\n"
        "def run():\n"
        "    import __main__\n"
        "    results.append(__main__.work(work(1)))\n"
        "thread = threading.Thread(target=run)\n"
        "thread.start()\n"
        "thread.join(20)\n"
        "assert results == [1], 'the thread is stuck'\n"
        "import cycle_b\n"
    )
    (tmp_path / "cycle_b.py").write_text("import cycle_a\n")
    run_app(
        """
        import time
        import remora

        def work(a): return a

        remora.start(probes=["p.toml"], records="records.jsonl")
        remora.hook("cycle_a:work", pre=lambda a: None)
        remora.hook("cycle_b:nothing", pre=lambda: None)
        began = time.monotonic()
        import cycle_a
        assert time.monotonic() - began < 10
        remora.stop()
        """
    )


def test_children_that_serve_one_task_each_report_every_task(run_app, tmp_path):
    """Ten tasks in, one record out: what recycled workers of a pool do to others."""
    write_probe(tmp_path)
    run_app(
        """
        import multiprocessing
        import remora

        def f(a): return a

        if __name__ == "__main__":
            remora.start(probes=["p.toml"], records="r.jsonl")
            context = multiprocessing.get_context("fork")
            with context.Pool(2, maxtasksperchild=1) as pool:
                assert pool.map(f, range(10), chunksize=1) == list(range(10))
                pool.close()
                pool.join()
        """,
        runner=("-W", "ignore::DeprecationWarning"),
    )
    lines = (tmp_path / "r.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert sorted(int(each["message"]) for each in records) == list(range(10))
    assert len({each["pid"] for each in records}) == 10


def test_the_records_of_all_forked_children_arrive_once(run_app, tmp_path):
    write_probe(tmp_path, 'log = "{a}"')
    run_app(
        """
        import os
        import remora

        def f(a): return a

        remora.start(probes=["p.toml"], records="records.jsonl")
        for turn in range(20):
            f(f"parent {turn}")
            pid = os.fork()
            if pid == 0:
                f(f"child {turn}")
                raise SystemExit(0)
            assert os.waitpid(pid, 0)[1] == 0
        """
    )
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    messages = sorted(json.loads(line)["message"] for line in lines)
    wanted = [f"{who} {n}" for who in ("parent", "child") for n in range(20)]
    assert messages == sorted(wanted)
