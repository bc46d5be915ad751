"""A process that nobody has put a probe into: how it does without, and how it wakes."""

from __future__ import annotations

STARTED = """
import sys, threading, time
import remora
remora.start(server="http://127.0.0.1:9", token="rma_x", log="off")
from remora.agent import agent
from remora.agent.asleep import Asleep
parts = agent._agent.parts
assert isinstance(parts.probes, Asleep)
def rooms():
    return {n for n in sys.modules if n.startswith("remora.")}
"""


def test_what_is_imported_beforehand_is_all_that_the_first_probe_needs(run) -> None:
    """A probe must not depend on files that an upgrade may change meanwhile."""
    run(
        STARTED
        + """
for _ in range(30):
    parts.warm_up()
assert isinstance(parts.probes, Asleep)
before = rooms()
assert "remora.agent.interception.codeswap" in before
from remora.protocol import parse_probe
parts.wake()
assert rooms() == before, rooms() - before
"""
    )


def test_each_step_of_the_warming_imports_something_of_its_own(run) -> None:
    """One that brings the next ones along would keep the app's threads waiting."""
    run(
        STARTED
        + """
from remora.agent.parts import _ROOMS
sizes = []
for _ in _ROOMS:
    before = rooms()
    parts.warm_up()
    sizes.append(len(rooms() - before))
assert min(sizes) >= 1, sizes
assert max(sizes) <= 15, sizes
"""
    )


def test_a_process_is_warmed_only_while_it_has_a_server(run) -> None:
    run(
        STARTED
        + """
before = rooms()
agent._agent._tick()
assert rooms() == before
parts.link._registered = "known"
agent._agent._tick()
assert rooms() > before
"""
    )


def test_naming_a_user_opens_request_contexts_where_a_server_may_want_them(run) -> None:
    """Else a user who was named in one request would stay that of its thread."""
    run(
        STARTED
        + """
from wsgiref.handlers import BaseHandler
code = BaseHandler.run.__code__
remora.set_user("alice")
assert BaseHandler.run.__code__ is not code
remora.stop()
assert BaseHandler.run.__code__ is code
remora.start(records="/dev/null", log="off")
remora.set_user("alice")
assert BaseHandler.run.__code__ is code
"""
    )


def test_code_that_is_gone_when_a_user_is_named_costs_one_look_and_no_error(
    run,
) -> None:
    run(
        STARTED
        + """
looks = []
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name == "remora.agent.probes":
            looks.append(name)
            raise ImportError("taken away")
sys.meta_path.insert(0, Gone())
remora.set_user("alice")
remora.set_user("bob")
assert len(looks) == 1, looks
assert "taken away" in parts.lack
"""
    )


def test_code_that_is_gone_when_a_probe_comes_is_said_in_its_status(run) -> None:
    run(
        STARTED
        + """
from remora.agent.control import parse_push
class Gone:
    name = "remora.protocol.probe_reading"
    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            raise ImportError("taken away")
gone = Gone()
sys.meta_path.insert(0, gone)
orders = parts.link._listener
wanted = b'{"revision": 7, "probes": [{"id": "p", "target": "json:dumps", "log": "x"}]}'
def states():
    push = parse_push(wanted)
    orders.apply(list(push.probes), list(push.refused), push.revision)
    return [(s.probe, s.state.value, s.reason) for s in orders.statuses()]
((name, state, reason),) = states()
assert (name, state) == ("p", "failed") and "taken away" in reason, reason
gone.name = "remora.agent.probes"
((name, state, reason),) = states()
assert (name, state) == ("p", "failed") and "taken away" in reason, reason
gone.name = ""
import json
((name, state, reason),) = states()
assert (name, state) == ("p", "installed"), reason
"""
    )


def test_a_push_without_probes_wakes_nobody(run) -> None:
    run(
        STARTED
        + """
from remora.agent.control import parse_push
orders = parts.link._listener
before = rooms()
push = parse_push(
    b'{"revision": 7, "probes": [], "held": [{"id": "h", "reason": "r"}]}'
)
orders.apply(list(push.probes), list(push.refused), push.revision)
assert [s.probe for s in orders.statuses()] == ["h"]
assert isinstance(parts.probes, Asleep)
assert "remora.agent.probes" not in rooms() - before
"""
    )


def test_a_fork_waits_for_a_thread_that_is_just_importing_ours(run) -> None:
    """A child that inherits a half done import would wait for it for ever."""
    run(
        STARTED
        + """
import os
inside, go_on = threading.Event(), threading.Event()
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "remora.agent.probes":
            inside.set()
            go_on.wait(20)
sys.meta_path.insert(0, Slow())
waker = threading.Thread(target=parts.wake)
waker.start()
assert inside.wait(20)
threading.Timer(0.1, go_on.set).start()
child = os.fork()
if child == 0:
    import json
    remora.hook("json:dumps", pre=lambda: None)
    json.dumps(1)
    os._exit(7)
waker.join(20)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
""",
        "-W",
        "ignore::DeprecationWarning",
    )


def test_who_stops_while_another_thread_wakes_it_leaves_nothing(run) -> None:
    run(
        STARTED
        + """
from wsgiref.handlers import BaseHandler
from remora.agent.modules import ModuleStore
code, finders = BaseHandler.run.__code__, list(sys.meta_path)
inside, go_on = threading.Event(), threading.Event()
real = ModuleStore.start
def start(self):
    inside.set()
    go_on.wait(20)
    real(self)
ModuleStore.start = start
waker = threading.Thread(target=parts.wake)
waker.start()
assert inside.wait(20)
stopper = threading.Thread(target=agent.stop)
stopper.start()
stopper.join(0.3)
go_on.set()
stopper.join(20)
waker.join(20)
assert BaseHandler.run.__code__ is code
assert sys.meta_path == finders, sys.meta_path
"""
    )


def test_who_was_stopped_asleep_is_not_woken_any_more(run) -> None:
    """The agent's thread may be in the middle of a push."""
    run(
        STARTED
        + """
from wsgiref.handlers import BaseHandler
code, finders = BaseHandler.run.__code__, list(sys.meta_path)
agent.stop()
parts.wake()
assert sys.meta_path == finders
assert BaseHandler.run.__code__ is code
"""
    )


def test_a_process_that_was_switched_off_asleep_places_nothing_later(run) -> None:
    run(
        STARTED
        + """
import json
code = json.dumps.__code__
parts.probes.try_switch_off("switched off by a test")
from remora.agent.control import parse_push
orders = parts.link._listener
push = parse_push(
    b'{"revision": 7, "probes": [{"id": "p", "target": "json:dumps", "log": "x"}]}'
)
orders.apply(list(push.probes), list(push.refused), push.revision)
((status),) = orders.statuses()
assert "switched off by a test" in status.reason, status
assert json.dumps.__code__ is code
"""
    )


def test_a_master_has_all_imported_before_it_forks(run) -> None:
    """Its children share what it has; each would import it for itself."""
    run(
        """
import sys, remora
from remora.agent.runtime import process
process.master_reason = lambda: "forks others"
remora.start(server="http://127.0.0.1:9", token="rma_x", log="off")
assert "remora.agent.interception.codeswap" in sys.modules
assert "remora.agent.control.frameworks" in sys.modules
"""
    )


def test_a_process_that_forks_often_has_all_imported_for_its_children(run) -> None:
    run(
        STARTED
        + """
import os
def fork():
    child = os.fork()
    if child == 0:
        os._exit("remora.agent.control.frameworks" in sys.modules)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert [fork(), fork(), fork()] == [0, 1, 1]
assert isinstance(parts.probes, Asleep)
"""
    )
