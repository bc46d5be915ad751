"""The end of an app is the app's: we neither hold it up nor lose what can be kept."""

import signal
import socket
import time

import pytest

WORK = "import os\ndef work(n): pass\nORIGINAL = work.__code__"
UNLIMITED = {"rate": "1000000/s", "time": "100%"}
SLACK_S = 1.0


@pytest.fixture
def black_hole():
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def seconds_to_finish(child):
    started = time.monotonic()
    assert child.finish() == 0
    return time.monotonic() - started


def test_a_black_hole_delays_the_exit_by_less_than_a_second(
    black_hole, start_child, tmp_path, until, remora_options
):
    probes = tmp_path / "work.toml"
    probes.write_text(
        '[[probe]]\nid = "p"\ntarget = "__main__:work"\nlog = "{n}"\n'
        'limit = { rate = "1000000/s" }\n'
    )
    bare = start_child(None, WORK)
    bare.ask("1")
    bare_s = seconds_to_finish(bare)
    options = remora_options(
        app="child", server=black_hole, token="rma_" + "x" * 43, probes=probes
    )
    child = start_child(options, WORK)
    until(lambda: not child.ask("work.__code__ is ORIGINAL"), "the probe")
    child.ask("[work(n) for n in range(2000)] and 0")
    assert seconds_to_finish(child) - bare_s < SLACK_S


def test_records_of_the_last_moment_arrive_and_the_instance_says_goodbye(
    server, operator, start_child
):
    child = start_child(server.options("child"), WORK)
    operator.connected("child")
    operator.add(id="p", target="__main__:work", log="{n}", limit=UNLIMITED)
    operator.reached("p", "installed")
    child.ask("[work(n) for n in range(500)] and 0")
    assert child.finish() == 0
    assert operator.messages("p") == [str(n) for n in range(500)]
    (instance,) = operator.instances(app="child")
    assert instance["state"] == "gone"
    assert instance["left"]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_gunicorn_ends_as_fast_with_agents_as_without(
    server, operator, serve_site, sent
):
    bare = serve_site([], bare=True)
    with_agents = serve_site(server.options("shop"))
    operator.connected("shop", 2)
    operator.add(id="p", target="prices:price", log="{number}")
    operator.reached("p", "installed", 2)
    with_agents.everywhere("price(1)")
    bare_status, bare_s = bare.process.stop(sent)
    status, took_s = with_agents.process.stop(sent)
    assert status == bare_status
    assert took_s - bare_s < SLACK_S
    assert len(operator.arrived("p", 2)) == 2
    states = {each["state"] for each in operator.instances(app="shop")}
    assert states == {"gone"}


def test_a_ctrl_c_is_the_apps_own(server, operator, start_child):
    bare = start_child(None)
    with_agent = start_child(server.options("child"))
    operator.connected("child")
    statuses = []
    for child in (bare, with_agent):
        child.ask("1")
        statuses.append(child.process.stop(signal.SIGINT)[0])
        assert child.process.said().rstrip().endswith("KeyboardInterrupt")
    assert statuses[0] == statuses[1]


def test_after_stop_nothing_of_ours_is_left(server, operator, start_child, until):
    child = start_child(server.options("child"), f"import threading, remora\n{WORK}")
    operator.connected("child")
    operator.add(id="p", target="__main__:work", log="{n}")
    operator.reached("p", "installed")
    child.ask("work(1)")
    child.ask("remora.stop()")
    assert child.ask("work.__code__ is ORIGINAL")
    assert child.ask("[each.name for each in threading.enumerate()]") == ["MainThread"]
    assert child.ask("len(os.listdir('/proc/self/task'))") == 1
    finders = "[each for each in sys.meta_path if 'remora' in type(each).__module__]"
    assert child.ask(finders) == []
    assert operator.messages("p") == ["1"]
    (instance,) = operator.instances(app="child")
    assert instance["state"] == "gone"
