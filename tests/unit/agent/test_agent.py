"""The agent as a whole, in processes of its own: start, hook, status, stop, fork."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path

import pytest

from remora.boot.run import BOOT_FOLDER

SOURCE = Path(__file__).parents[3] / "src"


@pytest.fixture
def probes(tmp_path: Path) -> str:
    path = tmp_path / "probes.toml"
    path.write_text(
        textwrap.dedent(
            """
            [[probe]]
            id = "charges"
            target = "__main__:charge"
            log = "charged {amount}"
            """
        )
    )
    return str(path)


def test_a_started_agent_reports_what_fires(run, probes: str, tmp_path: Path) -> None:
    run(
        """
        import remora
        def charge(amount):
            return amount
        code = charge.__code__
        remora.start(probes=["probes.toml"], records="records.jsonl", log="off")
        assert charge(5) == 5
        (probe,) = remora.status()["probes"]
        assert probe["state"] == "installed", probe
        assert probe["firings"] == 1, probe
        remora.stop()
        assert charge.__code__ is code
        """
    )
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    (record,) = [r for r in map(json.loads, lines) if r["kind"] == "log"]
    assert record["message"] == "charged 5"
    assert record["pid"] > 0


LATE_MAIN = """
import os, time
def charge(amount):
    return amount
end = time.monotonic() + 30
while not os.path.exists("records.jsonl"):
    charge(5)
    time.sleep(0.01)
    assert time.monotonic() < end
"""


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("__main__:charge", ()),
        ("**:charge", ()),
        ("script.py:4", ()),
        ("script:charge", ("-m", "script")),
        ("script.py:4", ("-m", "script")),
    ],
)
def test_a_probe_in_a_file_reaches_what_the_program_itself_defines_later(
    run, tmp_path: Path, target: str, words: tuple[str, ...]
) -> None:
    """No import tells of it, and without a server there was no thread to look."""
    (tmp_path / "late.toml").write_text(
        f'[[probe]]\nid = "p"\ntarget = "{target}"\nlog = "charged"\n'
    )
    path = os.pathsep.join((BOOT_FOLDER, str(SOURCE), str(tmp_path)))
    settings = {"REMORA_PROBES": "late.toml", "REMORA_RECORDS": "records.jsonl"}
    run(LATE_MAIN, *words, PYTHONPATH=path, REMORA_LOG="off", **settings)


def test_a_probe_in_a_file_for_another_module_begins_no_thread(
    run, tmp_path: Path
) -> None:
    (tmp_path / "other.toml").write_text(
        '[[probe]]\nid = "p"\ntarget = "colorsys:rgb_to_hsv"\ncount = true\n'
    )
    run(
        """
        import os, remora
        remora.start(probes=["other.toml"], records="records.jsonl", log="off")
        import colorsys
        (probe,) = remora.status()["probes"]
        assert probe["state"] == "installed", probe
        assert len(os.listdir("/proc/self/task")) == 1
        """
    )


def test_records_are_written_when_the_program_just_ends(
    run, probes: str, tmp_path: Path
) -> None:
    run(
        """
        import remora
        def charge(amount):
            return amount
        remora.start(probes=["probes.toml"], records="records.jsonl", log="off")
        for n in range(50):
            charge(n)
        """
    )
    text = (tmp_path / "records.jsonl").read_text()
    assert text.count('"charged ') == 50


def test_stop_leaves_no_trace(run, probes: str) -> None:
    run(
        """
        import gc, sys, threading, atexit, os, signal
        def charge(amount):
            return amount
        class Thing:
            def method(self):
                return 1
        def state():
            return {
                "codes": (charge.__code__, Thing.method.__code__),
                "meta_path": list(sys.meta_path),
                "path_hooks": list(sys.path_hooks),
                "threads": threading.enumerate(),
                "tasks": len(os.listdir("/proc/self/task")),
                "files": sorted(os.listdir("/proc/self/fd")),
                "trace": (sys.gettrace(), sys.getprofile()),
                "signals": [signal.getsignal(s) for s in (2, 15)],
                "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook),
                "atexits": list(threading._threading_atexits),
                "import": __import__,
                "displayed": sys.displayhook,
            }
        before = state()
        import remora
        remora.start(probes=["probes.toml"], records="records.jsonl", log="off")
        handle = remora.hook("__main__:Thing.method", pre=lambda: None)
        remora.hook("__main__:charge", post=lambda result: None)
        remora.hook("not_there_yet:f", pre=lambda: None)
        charge(1); Thing().method()
        import json.tool
        assert Thing.method.__code__ is not before["codes"][1]
        remora.stop()
        after = state()
        for key in before:
            assert before[key] == after[key], (key, before[key], after[key])
        assert handle.state == "removed"
        assert charge(1) == 1
        remora.stop()
        del handle, after
        gc.collect()
        from remora.agent.agent import Agent
        left = [o for o in gc.get_objects() if type(o) is Agent]
        assert left == [], [gc.get_referrers(o) for o in left]
        """
    )


def test_a_second_start_changes_nothing_and_says_so(run) -> None:
    shown = run(
        """
        import remora
        remora.start(app="shop", records="records.jsonl")
        remora.start(app="other", records="records.jsonl")
        assert remora.status()["instance"]["app"] == "shop"
        remora.stop()
        remora.start(app="third", records="records.jsonl", log="off")
        assert remora.status()["instance"]["app"] == "third"
        """
    )
    assert shown.count("start() was called again") == 1


def test_hooks_need_no_start_and_start_no_thread(run) -> None:
    run(
        """
        import threading, os
        import remora
        def f(x): return x
        handle = remora.hook("__main__:f", pre=lambda x: remora.Arguments(x=x + 1))
        assert f(1) == 2
        assert handle.state == "installed"
        assert len(os.listdir("/proc/self/task")) == 1
        assert remora.status()["hooks"][0]["target"] == "__main__:f"
        remora.start(records="records.jsonl", log="off")
        assert f(1) == 2
        assert len(os.listdir("/proc/self/task")) == 1
        remora.stop()
        assert f(1) == 1
        """
    )


def test_a_start_that_fails_leaves_the_app_as_it_was(run) -> None:
    run(
        """
        import sys
        import remora
        meta_path = list(sys.meta_path)
        for arguments in (
            {"probes": ["missing.toml"]},
            {"server": "ftp://nowhere"},
            {"allow": "everything"},
        ):
            try:
                remora.start(log="off", **arguments)
            except remora.RemoraError as error:
                print(type(error).__name__, error)
            else:
                raise AssertionError(arguments)
            assert sys.meta_path == meta_path
            assert "hooks" not in remora.status()
        """
    )


def test_status_says_where_each_setting_came_from(run) -> None:
    run(
        """
        import remora
        settings = {s["name"]: s for s in remora.status()["settings"]}
        assert settings["env"]["value"] == "prod", settings["env"]
        assert "REMORA_ENV" in settings["env"]["source"]
        assert settings["records"]["source"] == "default"
        """,
        REMORA_ENV="prod",
    )


def test_the_kill_switch_keeps_the_agent_out(run, probes: str) -> None:
    run(
        """
        import sys
        import remora
        def charge(amount): return amount
        code = charge.__code__
        remora.start(probes=["probes.toml"])
        assert charge.__code__ is code
        assert "probes" not in remora.status()
        """,
        REMORA_ENABLED="off",
    )


@pytest.mark.parametrize(
    "unknown", ["sys.abiflags = 't'", "sys.version_info = (3, 99, 0, 'final', 0)"]
)
def test_in_an_interpreter_that_is_not_known_nothing_is_diverted(
    run, probes: str, unknown: str
) -> None:
    run(
        f"""
        import json, sys
        {unknown}
        import remora
        def charge(amount): return amount
        code, dumps = charge.__code__, json.dumps
        remora.start(probes=["probes.toml"], records="records.jsonl", log="off")
        assert charge(1) == 1 and charge.__code__ is code and json.dumps is dumps
        (status,) = remora.status()["probes"]
        assert status["state"] == "failed", status
        remora.stop()
        """
    )


def test_the_thread_is_back_before_a_parent_can_wait_for_its_child(run, probes) -> None:
    """On 3.13 it came when the main thread first gave up the GIL, or never."""
    run(
        """
        import os
        import remora
        from remora.agent import agent
        def charge(amount): return amount
        remora.start(probes=["probes.toml"], records="records.jsonl", log="off")
        charge(1)
        worker = agent._agent.parts.worker
        assert worker.running
        for _ in range(3):
            child = os.fork()
            if child == 0:
                os._exit(0)
            for _ in range(100): pass
            assert worker.running
            os.waitpid(child, 0)
        """
    )


def test_the_thread_is_back_where_the_main_thread_waits_for_the_one_that_forks(
    run, probes: str
) -> None:
    run(
        """
        import os, threading, warnings
        import remora
        from remora.agent import agent
        warnings.simplefilter("ignore", DeprecationWarning)  # of the app's own threads
        def charge(amount): return amount
        remora.start(probes=["probes.toml"], records="records.jsonl", log="off")
        charge(1)
        worker, seen = agent._agent.parts.worker, []
        def fork():
            child = os.fork()
            if child == 0:
                os._exit(0)
            seen.append(worker.running)
            os.waitpid(child, 0)
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
        assert seen == [True]
        """
    )


def test_a_fork_with_the_agents_thread_running_warns_nobody(run, probes: str) -> None:
    run(
        """
        import os, time, threading
        import remora
        def charge(amount): return amount
        remora.start(probes=["probes.toml"], records="records.jsonl", log="off")
        charge(1)
        def tasks():
            return len(os.listdir("/proc/self/task"))
        def until(condition):
            end = time.monotonic() + 10
            while not condition():
                assert time.monotonic() < end
                time.sleep(0.01)
        until(lambda: remora.status()["agent"]["threads"])
        assert tasks() == 2
        mine = remora.status()["instance"]["id"]
        child = os.fork()
        if child == 0:
            try:
                assert remora.status()["instance"]["id"] != mine
                assert remora.status()["instance"]["pid"] == os.getpid()
                charge(2)
                until(lambda: remora.status()["agent"]["threads"])
                remora.stop()
                assert tasks() == 1
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        charge(3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        until(lambda: remora.status()["agent"]["threads"])
        assert remora.status()["instance"]["id"] == mine
        for _ in range(3):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
        remora.stop()
        texts = open("records.jsonl").read()
        assert all(f'"charged {n}"' in texts for n in (1, 2, 3)), texts
        """
    )


def test_a_child_forked_in_a_request_of_threads_can_still_change_hooks(run) -> None:
    run(
        """
        import os, threading
        import remora
        def f(x): return x
        code = f.__code__
        handle = remora.hook("__main__:f", pre=lambda: None)
        child = os.fork()
        if child == 0:
            other = remora.hook("__main__:f", post=lambda: None)
            handle.remove(); other.remove()
            os._exit(0 if f.__code__ is code else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert f.__code__ is not code
        """
    )


def test_framework_requests_are_installed_and_not_listed(run) -> None:
    run(
        """
        import remora
        from wsgiref.handlers import BaseHandler
        code = BaseHandler.run.__code__
        remora.start(records="records.jsonl", log="off")
        remora.hook("posixpath:join", pre=lambda: None)
        assert BaseHandler.run.__code__ is not code
        assert remora.status()["probes"] == []
        remora.stop()
        assert BaseHandler.run.__code__ is code
        """
    )


@pytest.mark.parametrize(("allow", "result"), [("", 1), ("observe", 1), ("act", 0)])
def test_a_server_may_override_only_where_the_app_allows_it(
    run, allow: str, result: int
) -> None:
    run(
        f"""
        import remora
        from remora.agent import agent
        from remora.agent.orders import Orders
        from remora.protocol import parse_probe
        def charge(amount):
            return amount
        remora.start(records="/dev/null", log="off")
        orders = Orders(agent._agent.parts)
        target = "__main__:charge"
        table = {{"id": "fix", "target": target, "override": {{"return": "0"}}}}
        orders.apply([parse_probe(table)], [], 1)
        (probe,) = remora.status()["probes"]
        assert charge(1) == {result}, probe
        assert ("REMORA_ALLOW" in probe["reason"]) == {bool(result)}, probe
        remora.stop()
        """,
        **({"REMORA_ALLOW": allow} if allow else {}),
    )


@pytest.mark.parametrize(
    ("variables", "is_trusted"),
    [
        ({}, True),
        ({"REMORA_ALLOW": "observe"}, False),
        ({"REMORA_PUBLIC_KEY": f"ed25519:{'A' * 43}="}, False),
    ],
)
def test_a_server_may_refuse_users_only_where_the_app_lets_it(
    run, variables: dict[str, str], is_trusted: bool
) -> None:
    run(
        f"""
        import sys
        import remora
        from remora.agent import agent
        from remora.agent.orders import Orders
        late = "remora.agent.request.refused"
        remora.start(records="/dev/null", log="off")
        orders = Orders(agent._agent.parts)
        orders.refuse(())
        assert late not in sys.modules
        orders.refuse(("user:a",))
        assert (late in sys.modules) == {is_trusted}
        if late in sys.modules:
            refused = sys.modules[late].refused_actors
            assert refused.hold("user:a")
            orders.refuse(("user:b",))
            assert not refused.hold("user:a")
            remora.stop()
            assert not refused
        """,
        **variables,
    )


def test_a_probe_file_of_the_app_s_own_environment_may_override(
    run, tmp_path: Path
) -> None:
    (tmp_path / "fix.toml").write_text(
        '[[probe]]\nid = "fix"\ntarget = "__main__:charge"\n'
        'override = { return = "0" }\n'
    )
    run(
        """
        import remora
        def charge(amount):
            return amount
        remora.start(records="/dev/null", log="off")
        assert charge(1) == 0
        remora.stop()
        assert charge(1) == 1
        """,
        REMORA_PROBES="fix.toml",
    )


def test_messages_reach_the_app_s_log_redacted_and_from_our_thread(
    run, tmp_path: Path
) -> None:
    (tmp_path / "log.toml").write_text(
        '[[probe]]\nid = "said"\ntarget = "__main__:charge"\n'
        'log = "charged {amount} to {card}"\nlogger = "shop"\n'
    )
    output = run(
        """
        import logging, sys, threading
        import remora
        threads = set()
        class Handler(logging.Handler):
            def emit(self, record):
                threads.add(threading.current_thread())
                charge(0, "inner")
                print(record.levelname, record.getMessage())
        logging.getLogger("shop").addHandler(Handler())
        logging.getLogger("shop").setLevel("INFO")
        def charge(amount, card):
            return amount
        remora.start(probes=["log.toml"], records="/dev/null", log="off")
        charge(5, "4111 1111 1111 1111")
        remora.stop()
        assert threads and threading.main_thread() not in threads, threads
        """
    )
    # the call of the handler itself fires nothing
    assert output.strip() == "INFO charged 5 to (redacted card)"


def test_a_signed_override_ends_with_its_signature_whatever_the_server_says(
    run,
) -> None:
    run(
        """
        import os, time
        import remora
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from remora.agent import agent
        from remora.agent.orders import Orders
        from remora.cli.signing import public_text, sign_all
        from remora.protocol import parse_probe
        from remora.values import replace
        def charge(amount):
            return amount
        code = charge.__code__
        key = Ed25519PrivateKey.generate()
        os.environ["REMORA_PUBLIC_KEY"] = public_text(key)
        remora.start(records="/dev/null", log="off", allow="act")
        orders = Orders(agent._agent.parts)
        target = "__main__:charge"
        table = {"id": "fix", "target": target, "override": {"return": "0"}}
        plain = parse_probe(table)
        later = time.time_ns() + 10**15
        (fix,) = sign_all([plain], key, 3600)
        orders.apply([replace(plain, expires_at=later)], [], 1)
        assert charge(1) == 1
        assert remora.status()["probes"][0]["state"] == "failed"
        orders.apply([replace(fix, expires_at=later)], [], 2)
        assert charge(1) == 0
        active = agent._agent.parts.probes._active["fix"]
        active.tick(fix.signature.expires_at - 1)
        assert charge(1) == 0
        active.tick(fix.signature.expires_at)
        assert charge.__code__ is code
        assert remora.status()["probes"][0]["state"] == "expired"
        # looking needs no signature, and taking away none either
        look = parse_probe({"id": "look", "target": target, "log": "seen"})
        orders.apply([look], [], 3)
        assert remora.status()["probes"][0]["state"] == "installed"
        orders.apply([], [], 4)
        assert charge.__code__ is code
        remora.stop()
        """
    )


def test_a_later_policy_ends_at_once_what_it_no_longer_grants(run) -> None:
    run(
        """
        import os, time
        import remora
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from remora.agent import agent
        from remora.agent.orders import Orders
        from remora.cli.signing import public_text, sign_one_policy
        from remora.protocol import parse_probe
        from remora.protocol.policy import parse_policy
        def charge(amount):
            return amount
        code = charge.__code__
        key = Ed25519PrivateKey.generate()
        os.environ["REMORA_PUBLIC_KEY"] = public_text(key)
        remora.start(records="/dev/null", log="off", allow="act")
        orders = Orders(agent._agent.parts)
        def policy(*unsigned):
            table = {"unsigned": [*unsigned], "target": "__main__:*"}
            return sign_one_policy(parse_policy(table), key, 60).to_json()
        target = "__main__:charge"
        table = {"id": "fix", "target": target, "override": {"return": "0"}}
        probe = parse_probe(table)
        orders.obey_policy(policy("return"))
        orders.apply([probe], [], 1)
        assert charge(1) == 0, remora.status()["probes"]
        orders.obey_policy(policy("raise"))
        orders.apply([probe], [], 2)
        assert charge.__code__ is code
        (status,) = remora.status()["probes"]
        assert "grants raise and not return" in status["reason"], status
        remora.stop()
        """
    )


def test_an_app_remembers_signed_probes_over_a_restart(run) -> None:
    run(
        """
        import os, time
        import remora
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from remora.agent import agent
        from remora.agent.orders import Orders
        from remora.cli.signing import public_text, sign_all
        from remora.protocol import parse_probe
        def charge(amount):
            return amount
        key = Ed25519PrivateKey.generate()
        os.environ["REMORA_PUBLIC_KEY"] = public_text(key)
        os.environ["REMORA_STATE"] = "remora.state"
        target = "__main__:charge"
        table = {"id": "fix", "target": target, "override": {"return": "0"}}
        (first,) = sign_all([parse_probe(table)], key, 60)
        time.sleep(0.000_002)  # numbers are microseconds
        (second,) = sign_all([parse_probe(table)], key, 60)
        for probe, result in ((second, 0), (first, 1), (second, 0)):
            remora.start(records="/dev/null", log="off", allow="act")
            orders = Orders(agent._agent.parts)
            orders.apply([probe], [], 1)
            assert charge(1) == result, remora.status()["probes"]
            remora.stop()
        assert os.stat("remora.state").st_mode & 0o777 == 0o600
        """
    )


def test_an_app_without_a_key_takes_no_policy(run) -> None:
    run(
        """
        import sys
        import remora
        from remora.agent import agent
        from remora.agent.orders import Orders
        remora.start(records="/dev/null", log="off", allow="act")
        orders = Orders(agent._agent.parts)
        orders.obey_policy({"unsigned": ["return"], "target": "m:f"})
        assert "remora.agent.probes.trust" not in sys.modules
        remora.stop()
        """
    )


def test_the_library_that_verifies_is_imported_for_a_signed_acting_probe_alone(
    run,
) -> None:
    run(
        """
        import sys
        import remora
        from remora.agent import agent
        from remora.agent.orders import Orders
        from remora.protocol import parse_probe
        def charge(amount):
            return amount
        remora.start(records="/dev/null", log="off")
        orders = Orders(agent._agent.parts)
        assert "remora.agent.probes.trust" not in sys.modules
        for keys in ({"log": "seen"}, {"override": {"return": "0"}}):
            probe = parse_probe({"id": "p", "target": "__main__:charge", **keys})
            orders.apply([probe], [], 1)
        assert "remora.agent.probes.trust" in sys.modules
        assert not [name for name in sys.modules if name.startswith("cryptography")]
        remora.stop()
        """,
        REMORA_PUBLIC_KEY="ed25519:" + "A" * 43 + "=",
    )


@pytest.mark.parametrize("value", ["ed25519:short", "x" * 52])
def test_a_public_key_that_is_none_is_refused_at_the_start(run, value: str) -> None:
    run(
        """
        import remora
        from remora.errors import ConfigError
        try:
            remora.start(log="off")
        except ConfigError as error:
            assert "REMORA_PUBLIC_KEY" in str(error) and "key show" in str(error)
        else:
            raise AssertionError
        """,
        REMORA_PUBLIC_KEY=value,
    )


def test_a_probe_says_so_where_its_code_is_gone_from_the_disk(run) -> None:
    """The package may be upgraded or unreadable when the first probe comes."""
    run(
        """
        import sys
        import remora
        from remora.agent import agent
        from remora.agent.orders import Orders
        from remora.protocol import parse_probe
        def charge(amount):
            return amount
        code = charge.__code__
        remora.start(records="/dev/null", log="off")
        orders = Orders(agent._agent.parts)
        keys = {"target": "__main__:charge", "log": "seen"}
        sys.modules["remora.agent.probes.gate"] = None
        orders.apply([parse_probe({"id": "early", **keys})], [], 1)
        (status,) = remora.status()["probes"]
        assert status["state"] == "failed", status
        assert "restart the app" in status["reason"], status
        assert charge.__code__ is code
        del sys.modules["remora.agent.probes.gate"]
        orders.apply([parse_probe({"id": "late", **keys})], [], 2)
        (status,) = remora.status()["probes"]
        assert status["state"] == "installed", status
        remora.stop()
        """
    )
