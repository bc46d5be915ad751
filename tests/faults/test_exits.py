"""However a process ends, it ends as it would have without us."""

import json
import socket

import pytest

PROBE = (
    '[[probe]]\nid = "p"\ntarget = "__main__:f"\nlog = "{a}"\nsnapshot = ["a"]\n'
    'limit = { rate = "1000000/s", time = "100%" }\n'
)


@pytest.fixture(autouse=True)
def probe_file(tmp_path):
    (tmp_path / "p.toml").write_text(PROBE)


@pytest.fixture
def black_hole():
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


AT_THE_END = """
import atexit, sys
import remora

def f(a):
    print(a)

class Late:
    def __del__(self):
        f("destructor")

atexit.register(f, "atexit")
if sys.argv[1] == "served":
    remora.start(probes=["p.toml"], records="records.jsonl")
    remora.hook("__main__:f", pre=lambda a: None, post=lambda result: None)
    remora.hook("__main__:Late.__del__", pre=lambda: None)
late, later = Late(), Late()
late.me = late
lost = open("lost.txt", "w")
lost.write(sys.argv[1])
"""


def test_what_a_probed_modules_globals_hold_is_finalized_as_ever(run_app, tmp_path):
    for how in ("served", "bare"):
        done = run_app(
            AT_THE_END, how, runner=("-W", "ignore::ResourceWarning:program")
        )
        assert done.out.split() == ["atexit", "destructor", "destructor"], how
        # A file that nobody closed is flushed when its module ends.
        assert (tmp_path / "lost.txt").read_text() == how
        assert "Error" not in done.err


def test_destructors_that_call_hooks_at_the_very_end_are_as_without_us(run_app):
    done = run_app(
        """
        import os
        import remora

        def f(a): return a

        class Late:
            def __init__(self):
                self.me = self
            def __del__(self, f=f, write=os.write):
                write(1, b"%d " % f(2))

        remora.hook("__main__:f", pre=lambda a: remora.Arguments(a=a + 1))
        remora.start(probes=["p.toml"], records="r.jsonl")
        lates = [Late() for _ in range(20)]
        held = Late()
        del lates
        """
    )
    # hooked while the collector runs for the modules, or as the app wrote it after that
    assert {int(each) for each in done.out.split()} <= {2, 3}
    assert len(done.out.split()) == 21
    assert done.err == ""


def test_hooks_still_run_in_callbacks_of_atexit(run_app):
    done = run_app(
        """
        import atexit, sys
        import remora

        def f(a): return a
        atexit.register(f, "late")
        remora.start(records="records.jsonl")
        remora.hook("__main__:f", pre=lambda a: print("saw", a))
        """
    )
    assert done.out == "saw late\n"


def test_the_first_record_may_come_when_no_thread_can_start(run_app, tmp_path):
    done = run_app(
        """
        import atexit
        import remora

        def f(a): return a
        atexit.register(f, "late")
        remora.start(probes=["p.toml"], records="records.jsonl")
        """
    )
    assert done.err == ""


def test_os_exit_ends_at_once_with_its_status(run_app, black_hole):
    done = run_app(
        """
        import os
        import remora

        def f(a): return a
        remora.start(probes=["p.toml"])
        for n in range(100):
            f(n)
        os._exit(3)
        """,
        status=3,
        REMORA_SERVER=black_hole,
    )
    assert done.err == ""


def test_a_black_hole_may_be_told_to_cost_no_time_at_all(run_app, black_hole):
    done = run_app(
        """
        import time, atexit
        import remora

        def f(a): return a
        remora.start(probes=["p.toml"])
        for n in range(100):
            f(n)
        began = time.monotonic()
        remora.stop()
        assert time.monotonic() - began < 0.3, time.monotonic() - began
        """,
        REMORA_SERVER=black_hole,
        REMORA_EXIT_S="0",
    )
    assert done.err == ""


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_ends_the_process_as_the_app_would(run_app, black_hole, number):
    done = run_app(
        f"""
        import signal, time
        import remora

        def f(a): return a
        remora.start(probes=["p.toml"])
        f(1)
        began = time.monotonic()
        signal.raise_signal({number})
        """,
        status=-number,
        REMORA_SERVER=black_hole,
    )
    assert done.seconds < 10


def test_daemon_threads_that_fire_at_the_very_end_crash_nothing(run_app):
    for _ in range(3):
        done = run_app(
            """
            import threading, time
            import remora

            def f(a): return a

            def spin(n):
                while True:
                    f([n, {}, "x"])

            remora.start(probes=["p.toml"], records="/dev/null")
            remora.hook("__main__:f", pre=lambda a: None, post=lambda result: None)
            for n in range(8):
                threading.Thread(target=spin, args=(n,), daemon=True).start()
            time.sleep(0.1)
            """
        )
        assert done.err == ""


def test_an_exit_while_probes_come_and_go_is_clean(run_app):
    done = run_app(
        """
        import threading, time
        import remora

        def f(a): return a

        def spin():
            while True:
                handle = remora.hook("__main__:f", pre=lambda a: None)
                f(1)
                handle.remove()

        remora.start(probes=["p.toml"], records="/dev/null")
        threading.Thread(target=spin, daemon=True).start()
        time.sleep(0.1)
        """
    )
    assert done.err == ""


def test_an_unhandled_exception_keeps_its_status_and_its_traceback(run_app):
    done = run_app(
        """
        import remora

        def f(a):
            raise ValueError(a)

        remora.start(probes=["p.toml"], records="records.jsonl")
        f("of the app")
        """,
        status=1,
    )
    assert done.err.rstrip().endswith("ValueError: of the app")
    assert "remora" not in done.err


def test_a_subinterpreter_is_left_alone_and_harms_nothing(run_app):
    done = run_app(
        """
        import sys
        import remora

        def f(a): return a
        remora.start(probes=["p.toml"], records="records.jsonl")
        f(1)
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        for _ in range(3):
            other = interpreters.create()
            interpreters.run_string(
                other,
                "import json, time\\n"
                "def f(a): return a\\n"
                "assert f(json.loads('1')) == 1\\n",
            )
            interpreters.destroy(other)
            assert f(2) == 2
        assert remora.status()["probes"][0]["state"] == "installed"
        """
    )
    assert done.err == ""


OUTLIVED = """
import gc, os, sys, threading, time, weakref
import remora
def f(a): return a
def lines():
    if not os.path.exists("records.jsonl"):
        return []
    with open("records.jsonl") as file:
        return file.readlines()
def wait_for(number):
    end = time.monotonic() + 30
    while len(lines()) < number:
        time.sleep(0.01)
        assert time.monotonic() < end, lines()
def go_on():
    threading.main_thread().join()
    for n in range(3):
        f(n)
        wait_for(n + 2)
    f(3)
    print("well")
"""


def test_threads_that_outlive_the_main_one_go_on_being_reported(run_app, tmp_path):
    """The end of the main thread was taken for that of the program."""
    text = """
remora.start(probes=["p.toml"], records="records.jsonl")
f(-1)
wait_for(1)
threading.Thread(target=go_on).start()
"""
    assert run_app(OUTLIVED + text).out == "well\n"
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    assert [json.loads(line)["message"] for line in lines] == [
        str(n) for n in range(-1, 4)
    ]


def test_a_stop_after_the_main_thread_has_ended_is_the_end_of_us(run_app):
    text = """
def stop():
    threading.main_thread().join()
    held = weakref.ref(sys.modules["remora.agent.agent"]._agent)
    remora.stop()
    assert len(os.listdir("/proc/self/task")) == 2, os.listdir("/proc/self/task")
    gc.collect(), gc.collect(), gc.collect()
    assert held() is None
    print("well")
remora.start(probes=["p.toml"], records="records.jsonl")
f(-1)
wait_for(1)
threading.Thread(target=stop).start()
"""
    done = run_app(OUTLIVED + text)
    assert (done.out, done.err) == ("well\n", "")


def test_records_of_a_process_of_multiprocessing_with_threads_arrive(run_app, tmp_path):
    """It ends without `atexit`, when the last of its threads has ended."""
    text = """
import multiprocessing
def child():
    threading.Thread(target=threading.main_thread().join).start()
    f(7)
if __name__ == "__main__":
    remora.start(probes=["p.toml"], records="records.jsonl")
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    wait_for(1)
"""
    run_app(OUTLIVED + text)
    (line,) = (tmp_path / "records.jsonl").read_text().splitlines()
    assert json.loads(line)["message"] == "7"
