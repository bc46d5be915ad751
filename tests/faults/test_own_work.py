"""Probes on what the agent itself uses fire for the app's calls and for no others."""

import pytest

TARGETS = {
    "json:JSONEncoder.encode": "json.JSONEncoder().encode([1])",
    "socket:socket.send": "one.send(b'x')",
    "threading:Lock": "threading.Lock()",
    "_thread:allocate_lock": "threading._allocate_lock()",
    "time:time": "time.time()",
    "time:monotonic": "time.monotonic()",
    "time:sleep": "time.sleep(0)",
    "builtins:open": "open('/dev/null').close()",
    "builtins:len": "list(map(len, [[]]))",
    "builtins:isinstance": "list(map(isinstance, [1], [int]))",
    "collections:deque.append": "deque.append(1)",
    "os:getpid": "os.getpid()",
    "os:write": "os.write(null, b'')",
    "os:stat": "os.stat('.')",
    "zlib:compressobj": "zlib.compressobj()",
    "builtins:dict.get": "{}.get(1)",
    "select:poll": "select.poll()",
    "gc:collect": "gc.collect(0)",
}


APP = """
import collections, gc, json, os, select, socket, sys, threading, time, zlib
import remora

deque = collections.deque()
one, other = socket.socketpair()
null = os.open("/dev/null", os.O_WRONLY)

def call(text, code=None):
    exec(text)

def f(a): return a

def pause(seconds):
    threading.Event().wait(seconds)
"""


@pytest.mark.parametrize("kind", ["hook", "probe"])
def test_a_probe_on_our_own_tools_does_not_fire_by_our_own_work(
    run_app, tmp_path, kind
):
    (tmp_path / "p.toml").write_text(
        '[[probe]]\nid = "f"\ntarget = "__main__:f"\nlog = "{a}"\nsnapshot = ["a"]\n'
        'limit = { rate = "1000000/s", time = "100%" }\n'
        '[[probe]]\nid = "c"\ntarget = "__main__:f"\ncount = { by = ["a"] }\n'
    )
    (tmp_path / "q.toml").write_text(
        "".join(
            f'[[probe]]\nid = "on-{name.replace(":", "-")}"\ntarget = "{name}"\n'
            'log = "fired"\n'
            'limit = { rate = "1000000/s", time = "100%" }\n'
            for name in TARGETS
        )
    )
    run_app(
        f"TARGETS = {TARGETS!r}\nKIND = {kind!r}\n"
        + APP
        + """
remora.start(
    probes=["p.toml"] + (["q.toml"] if KIND == "probe" else []),
    records="records.jsonl",
)
fired = collections.Counter()
others = set()
main = threading.get_ident()

def counter(name):
    def hook(ident=threading.get_ident, main=main):
        fired[name] += 1
        if ident() != main:
            others.add(name)
    return hook

handles = []
if KIND == "hook":
    handles = [remora.hook(name, pre=counter(name)) for name in TARGETS]
for text in TARGETS.values():
    call(text)
before = dict(fired)
for n in range(300):
    f([n, {"a": n}])
pause(0.4)  # the thread writes, ticks, looks
after = dict(fired)
for handle in handles:
    handle.remove()
if KIND == "hook":
    assert set(before) == set(TARGETS), set(TARGETS) - set(before)
    assert not others, others
    # What the loop and the pause above do not use themselves:
    for name in ("json:JSONEncoder.encode", "socket:socket.send", "zlib:compressobj",
                 "os:write", "os:stat", "builtins:open", "time:time", "select:poll"):
        assert after[name] == before[name], name
else:
    counts = {p["probe"]: p["firings"] for p in remora.status()["probes"]}
    assert all(counts.values()), counts
    assert counts["f"] == 300, counts
remora.stop()
one.close(), other.close()
with open("records.jsonl") as file:
    lines = [json.loads(line) for line in file]
threads = {line["thread"] for line in lines if line["kind"] != "aggregate"}
assert threads == {threading.get_native_id()}, threads
"""
    )


def test_the_guard_is_gone_after_each_way_out_of_a_hook(run_app):
    run_app(
        """
        import remora
        from remora.agent.runtime import guard

        def f(a): return a
        def bad(a): raise ValueError(a)
        def deep(a): return deep(a)

        for hook in (bad, deep, lambda a: remora.Raise(KeyError(a)), lambda a: 1 / 0):
            handle = remora.hook("__main__:f", pre=hook)
            try:
                f(1)
            except KeyError:
                pass
            assert not guard.busy and not guard.shielded
            handle.remove()
        """
    )
