"""After `remora.stop()` the process is what it was before `start`, fact by fact."""

from pathlib import Path

SNAPSHOT = """
import atexit, builtins, ctypes, gc, os, signal, sys, threading, time, types, warnings
import collections.abc, inspect, json, logging, math, sqlite3, subprocess
# What of the standard library the agent uses stays loaded: the app may hold it by now.
import __future__, ast, copy, dataclasses, difflib, dis, ipaddress, opcode, sysconfig
import tomllib, typing, urllib.parse, zlib, select, fcntl, contextvars, socket
import importlib.util, importlib.metadata
sysconfig.get_config_vars()

def snapshot():
    facts = {}
    for name, module in list(sys.modules.items()):
        if not isinstance(module, types.ModuleType):
            continue
        facts["module", name] = (id(module), id(type(module)))
        for key, value in list(vars(module).items()):
            if name == "__main__" and key in {"before", "remora"}:
                continue
            facts["attribute", name, key] = id(value)
            if isinstance(value, types.FunctionType):
                facts["function", name, key] = (
                    id(value.__code__), id(value.__defaults__),
                    id(value.__kwdefaults__), tuple(sorted(vars(value))),
                )
            if isinstance(value, type) and value.__module__ == name:
                for inner, member in list(vars(value).items()):
                    facts["member", name, key, inner] = id(member)
                    if isinstance(member, types.FunctionType):
                        facts["code", name, key, inner] = id(member.__code__)
    facts["meta_path"] = [id(finder) for finder in sys.meta_path]
    facts["path_hooks"] = [id(hook) for hook in sys.path_hooks]
    facts["path"] = list(sys.path)
    facts["importers"] = sorted(sys.path_importer_cache)
    facts["import"] = id(builtins.__import__)
    facts["trace"] = (sys.gettrace(), sys.getprofile(), threading.gettrace())
    facts["hooks"] = (
        sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook
    )
    if hasattr(sys, "monitoring"):
        facts["tools"] = [sys.monitoring.get_tool(n) for n in range(6)]
        facts["events"] = [
            sys.monitoring.get_events(n)
            for n in range(6) if sys.monitoring.get_tool(n)
        ]
    facts["tasks"] = len(os.listdir("/proc/self/task"))
    facts["threads"] = [thread.name for thread in threading.enumerate()]
    facts["files"] = sorted(os.listdir("/proc/self/fd"))
    with open("/proc/self/maps") as maps:
        paths = {line.split(None, 5)[-1] for line in maps if "/" in line}
        facts["maps"] = sorted(paths)
    facts["environment"] = dict(os.environ)
    facts["collector"] = ([id(c) for c in gc.callbacks], gc.get_threshold())
    facts["loggers"] = sorted(logging.root.manager.loggerDict)
    facts["atexit"] = atexit._ncallbacks()
    facts["at the end"] = len(threading._threading_atexits)
    facts["signals"] = [signal.getsignal(n) for n in signal.valid_signals()]
    facts["filters"] = list(warnings.filters)
    facts["switch"] = (sys.getswitchinterval(), sys.getrecursionlimit())
    return facts

class K:
    def method(self): return 1
    @property
    def prop(self): return 2
    @staticmethod
    def static(): return 3
    @classmethod
    def made(cls): return cls()
    def __call__(self): return 4

class L(K): pass

def work(a):
    b = a + 1
    return b

def items(a):
    yield a

async def waits(a): return a

def outer(a):
    def inner(b): return a + b
    return inner

thing, before = K(), None
TARGETS = [
    "__main__:work", "__main__:items", "__main__:waits", "__main__:K.method",
    "__main__:K.prop", "__main__:K.static", "__main__:K.made", "__main__:L.method",
    "__main__:thing", "time:time", "math:sqrt", "json:dumps", "builtins:eval",
    "sqlite3:Connection.execute", "os:getcwd", "builtins:str.upper",
]
"""

PROBES = """
[[probe]]
id = "log"
target = "__main__:work"
log = "{a}"
snapshot = ["a", "stack"]
[[probe]]
id = "line"
target = "program.py:LINE"
log = "{b}"
[[probe]]
id = "count"
target = "__main__:K.*"
count = true
[[probe]]
id = "c"
target = "time:monotonic"
count = true
[[probe]]
id = "later"
target = "not_imported:f"
log = "x"
"""

LIVE = """
def live():
    import remora
    remora.start(probes=["p.toml"], records="records.jsonl")
    handles = [remora.hook(target, pre=lambda: None) for target in TARGETS]
    states = [handle.state for handle in handles]
    assert set(states) == {"installed"}, dict(zip(TARGETS, states))
    states = {p["probe"]: p["state"] for p in remora.status()["probes"]}
    assert states.pop("later") == "waiting", states
    assert set(states.values()) == {"installed"}, states
    for _ in range(3):
        work(1), list(items(1)), thing.method(), thing.prop, K.static(), K.made()
        L().method(), thing(), time.time(), math.sqrt(4.0), json.dumps([]), eval("1")
        database = sqlite3.connect(":memory:")
        database.execute("select 1"), database.close(), os.getcwd()
    for handle in handles[::2]:
        handle.remove()
    while not os.path.exists("records.jsonl") or not os.path.getsize("records.jsonl"):
        time.sleep(0.01)
    remora.stop()
"""


PROTECTED = """
# What a request under protection uses of the standard library.
import asyncio, concurrent.futures.thread, datetime, email.parser, encodings.idna
import glob, hashlib, hmac, html, http.client, io, mmap, pathlib, pickle, random
import secrets, shutil, tarfile, tempfile, urllib.request, wsgiref.handlers
import wsgiref.util, xml.etree.ElementTree, zipfile

def serve(environ, start_response):
    database = sqlite3.connect(":memory:")
    try:
        database.execute("select '" + environ["QUERY_STRING"][2:] + "'")
    finally:
        database.close()
    work(1)
    start_response("200 OK", [])
    return [b"served"]

def ask(query):
    environ, out = {"QUERY_STRING": query}, io.BytesIO()
    wsgiref.util.setup_testing_defaults(environ)
    nothing = io.BytesIO(), out, io.StringIO(), environ
    wsgiref.handlers.SimpleHandler(*nothing).run(serve)
    return out.getvalue()

def live():
    import remora
    remora.start(
        server="http://127.0.0.1:9", token="rma_x", probes=["p.toml"], protect="block",
        records="records.jsonl",
    )
    assert b"served" in ask("a=b")
    assert b"403" in ask("a=b'--x")
    remora.set_user("alice", role="admin")
    work(2)
    protection = remora.status()["protection"]
    assert (protection["requests"], protection["refused"]) == (2, 1), protection
    (probe,) = remora.status()["probes"]
    assert (probe["state"], probe["errors"]) == ("installed", 0), probe
    remora.stop()

ask("a=b")
"""

NOTES = """
[[probe]]
id = "noted"
target = "__main__:work"
set = { last = "a" }
log = "{a} by {user.id}"
"""

COMPARE = """
import colorsys
sqlite3.connect(":memory:").close()
snapshot()
before = snapshot()
live()
vars().pop("remora", None)
# Code objects hide what they hold from the collector's first round.
gc.collect(), gc.collect(), gc.collect()
after = snapshot()
wanted = {("module", f"remora{rest}") for rest in (
    "", ".version", ".errors", ".outcomes", ".agent.runtime.fork",
    ".agent.runtime.facts")}
package = os.path.dirname(sys.modules["remora"].__file__)
left = {
    key for key in before.keys() | after.keys() if before.get(key) != after.get(key)
}
left = {key for key in left if not str(key[1]).startswith("remora") or
        key[0] == "module"}
assert left == wanted, [(key, before.get(key), after.get(key)) for key in left - wanted]
alive = [o for o in gc.get_objects() if type(o).__module__.startswith("remora.")]
assert alive == [], [type(o) for o in alive]
"""


def with_line(text: str) -> str:
    number = text.splitlines().index("    b = a + 1") + 1
    return PROBES.replace("LINE", str(number))


def test_stop_leaves_the_process_as_it_was(run_app, tmp_path: Path):
    text = SNAPSHOT + LIVE + COMPARE
    (tmp_path / "p.toml").write_text(with_line(text))
    done = run_app(text)
    assert done.err == ""


def test_stop_leaves_nothing_of_requests_users_and_a_server(run_app, tmp_path: Path):
    """What was set outside a request stood in the context of its thread for ever."""
    (tmp_path / "p.toml").write_text(NOTES)
    assert run_app(SNAPSHOT + PROTECTED + COMPARE).err == ""


def test_starting_and_stopping_again_and_again_costs_no_memory(run_app, tmp_path: Path):
    text = SNAPSHOT + LIVE
    text += """
def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

sizes = []
for turn in range(6):
    live()
    os.remove("records.jsonl")
    sizes.append(resident())
assert len(os.listdir("/proc/self/task")) == 1
# The first turns fill the interpreter's own caches.
assert sizes[-1] - sizes[2] < 2 * 2**20, sizes
"""
    (tmp_path / "p.toml").write_text(with_line(text))
    run_app(text)


def test_what_the_app_holds_of_us_works_after_a_stop_and_a_new_start(run_app):
    run_app(
        """
        import sys
        import remora
        from remora import Arguments, Raise, Return
        from remora import RemoraError
        from remora.errors import HookError

        def f(a): return a

        for turn in range(3):
            handle = remora.hook("__main__:f", pre=lambda a: Arguments(a=a + 1))
            assert f(1) == 2
            handle.remove()
            handle = remora.hook("__main__:f", post=lambda result: Return(7))
            assert f(1) == 7
            remora.start(records="/dev/null")
            try:
                remora.hook("__main__:f", pre=3)
            except HookError as error:
                assert isinstance(error, RemoraError)
            else:
                raise SystemExit("no error")
            remora.stop()
            assert f(1) == 1
            handle.remove()
            assert handle.state == "removed"
            assert "remora.agent.agent" not in sys.modules
        remora.stop()
        assert remora.status()["version"]
        """
    )


def test_a_fork_after_stop_runs_nothing_of_ours(run_app):
    run_app(
        """
        import os, sys
        import remora

        def f(a): return a
        for turn in range(3):
            remora.start(records="/dev/null")
            remora.hook("__main__:f", pre=lambda a: None)
            remora.stop()
        called = []
        def profile(frame, event, argument):
            if event == "call":
                called.append(frame.f_code.co_qualname)
        sys.setprofile(profile)
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        sys.setprofile(None)
        os.waitpid(pid, 0)
        ours = [name for name in called if name.startswith("_run_")]
        assert ours == ["_run_before", "_run_after_in_parent"], called
        """
    )
