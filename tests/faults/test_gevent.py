"""gevent: whoever patches the standard library, and when, nobody waits for us."""

import pytest

pytest.importorskip("gevent")

QUIET = ("-W", "ignore::DeprecationWarning", "-W", "ignore::ResourceWarning")
PROBE = (
    '[[probe]]\nid = "p"\ntarget = "__main__:f"\nlog = "{a}"\nsnapshot = ["a"]\n'
    'limit = { rate = "1000000/s", time = "100%" }\n'
)


@pytest.fixture(autouse=True)
def probe_file(tmp_path):
    (tmp_path / "p.toml").write_text(PROBE)


def test_a_gevent_hub_never_waits_for_us(run_app):
    run_app(
        """
        from gevent import monkey
        monkey.patch_all()
        import gevent, os, socket, sys, threading, time
        import remora

        def f(a): return a

        def g(a):
            gevent.sleep(0)
            return a

        # A server that takes connections and never answers.
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        remora.start(probes=["p.toml"], server=address)
        seen = []
        remora.hook("__main__:g", pre=lambda a: seen.append(a))
        gaps, last = [], [time.perf_counter()]

        def tick():
            for _ in range(300):
                gevent.sleep(0.001)
                now = time.perf_counter()
                gaps.append(now - last[0])
                last[0] = now

        def work(n):
            for i in range(100):
                assert f([n, i]) == [n, i]
                assert g(i) == i

        ticker = gevent.spawn(tick)
        gevent.joinall([gevent.spawn(work, n) for n in range(20)])
        ticker.join()
        assert len(seen) == 2000
        assert max(gaps) < 0.5, max(gaps)  # a wait of ours would be one second
        pid = os.fork()
        if pid == 0:
            assert f(1) == 1
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert remora.status()["probes"][0]["errors"] == 0
        """,
        runner=QUIET,
    )


def test_an_app_that_patches_after_our_start_is_told_of_nothing(run_app):
    """gevent warns of what has imported ssl before it; a thread of ours is no user."""
    done = run_app(
        """
        import remora

        def f(a): return a

        remora.start(probes=["p.toml"], records="r.jsonl", server="http://127.0.0.1:9")
        f(0)
        from gevent import monkey
        monkey.patch_all()
        import gevent, threading
        lock, seen = threading.Lock(), []

        def work(n):
            with lock:
                gevent.sleep(0)
                seen.append(f(n))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen) == list(range(20))
        assert remora.status()["probes"][0]["firings"] == 21
        remora.stop()
        """,
    )
    assert done.err == ""


def test_programs_that_a_hub_starts_come_and_go_as_without_us(run_app):
    """gevent forks for each: our thread ends before, and is back behind."""
    run_app(
        """
        from gevent import monkey
        monkey.patch_all()
        import gevent, socket, subprocess, sys
        import remora

        def f(a): return a

        listener = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        remora.start(probes=["p.toml"], server=address)
        said = []

        def start(n):
            done = subprocess.run(["/bin/echo", str(n)], capture_output=True)
            said.append(int(done.stdout))
            f(n)

        gevent.joinall([gevent.spawn(start, n) for n in range(8)])
        assert sorted(said) == list(range(8))
        assert remora.status()["agent"]["threads"] == 1
        assert remora.status()["probes"][0]["firings"] == 8
        """,
        runner=QUIET,
    )
