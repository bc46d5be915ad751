"""Under each server idle workers are reached, and the master is listed as idle."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

SITES = Path(__file__).parent / "sites"
BIN = Path(sys.executable).parent

UWSGI = [BIN / "uwsgi", "--http-socket", "127.0.0.1:{port}", "--module", "counter"]
UVICORN = [sys.executable, "-m", "uvicorn", "--port", "{port}", "counter:asgi"]
HYPERCORN = [sys.executable, "-m", "hypercorn", "--bind", "127.0.0.1:{port}"]
# Its control socket has a thread in the master, which sometimes is there in time.
GUNICORN = [
    *(sys.executable, "-m", "gunicorn", "--no-control-socket"),
    *("--bind", "127.0.0.1:{port}"),
]
SERVERS = {
    "uwsgi plain": ([*UWSGI, "--master", "-p", 2], 2, "uWSGI"),
    "uwsgi lazy-apps": ([*UWSGI, "--master", "-p", 2, "--lazy-apps"], 2, "uWSGI"),
    "uwsgi threads": (
        [*UWSGI, "--master", "-p", 2, "--enable-threads", "--threads", 2],
        2,
        "uWSGI",
    ),
    "uwsgi alone": (UWSGI, 1, ""),
    "uwsgi without a master": ([*UWSGI, "-p", 2], 2, ""),
    "uvicorn": (UVICORN, 1, ""),
    "uvicorn workers": ([*UVICORN, "--workers", 2], 2, "uvicorn's master"),
    "uvicorn reload": ([*UVICORN, "--reload"], 1, "uvicorn's reloader"),
    "hypercorn": ([*HYPERCORN, "-w", 2, "counter:asgi"], 2, "hypercorn's master"),
    "gunicorn sync": ([*GUNICORN, "-w", 2, "counter"], 2, "gunicorn's master"),
    "gunicorn gthread": (
        [*GUNICORN, "-w", 2, "-k", "gthread", "--threads", 2, "counter"],
        2,
        "gunicorn's master",
    ),
    "gunicorn preload": (
        [*GUNICORN, "-w", 2, "--preload", "counter"],
        2,
        "gunicorn's master",
    ),
    "gunicorn gevent": (
        [*GUNICORN, "-w", 2, "-k", "gevent", "counter"],
        2,
        "gunicorn's master",
    ),
    "django runserver": (
        [sys.executable, SITES / "manage.py", "runserver", "{port}"],
        1,
        "Django's reloader",
    ),
}


def ask(port):
    return httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=30).json()


def listens(port):
    try:
        return bool(ask(port))
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("name", SERVERS)
def test_idle_workers_are_connected_and_their_master_is_idle(
    server, operator, start, remora_argv, make_environment, until, free_port, name
):
    words, workers, master = SERVERS[name]
    port = free_port()
    command = [str(word).replace("{port}", str(port)) for word in words]
    process = start(
        *remora_argv,
        "run",
        *server.options("site"),
        "--",
        *command,
        cwd=SITES,
        env=make_environment(PYTHONDONTWRITEBYTECODE="1"),
    )
    # Nobody has asked the app for anything yet.
    instances = operator.connected("site", workers)
    idle = operator.instances(app="site", state="idle")
    assert [each["note"].partition(" ")[0] for each in idle] == master.split()[:1]
    assert {each["master_id"] for each in instances} == {
        each["id"] for each in idle
    } or not master
    # A thread of ours there would make its forks warn.
    assert [len(os.listdir(f"/proc/{each['pid']}/task")) for each in idle] == [
        1 for _ in idle
    ]
    operator.add(id="p", target="counter:answer", log="asked for {path}")
    until(lambda: listens(port), "the site")
    operator.reached("p", "installed", workers)
    assert ask(port) in {each["pid"] for each in instances}
    assert operator.arrived("p")[0]["message"] == "asked for /"
    process.stop(signal.SIGINT)
    assert "Warning" not in process.said()
    assert "remora" not in process.said()


def test_the_pool_of_celery_is_reached_and_its_master_is_idle(
    server, operator, start, remora_argv, make_environment, tmp_path
):
    folder = tmp_path / "jobs"
    folder.mkdir()
    environ = make_environment(JOBS=str(folder), PYTHONDONTWRITEBYTECODE="1")
    celery = [sys.executable, "-m", "celery", "-A", "jobs", "--quiet"]
    process = start(
        *remora_argv,
        "run",
        *server.options("site"),
        "--",
        *celery,
        *("worker", "-c", 2, "-l", "ERROR", "--without-gossip", "--without-mingle"),
        cwd=SITES,
        env=environ,
    )
    operator.connected("site", 2)
    (master,) = operator.instances(app="site", state="idle")
    assert master["pid"] == process.pid
    operator.add(id="p", target="jobs:double", log="number {number}")
    operator.reached("p", "installed", 2)
    start(
        sys.executable, "-c", "import jobs; jobs.work.delay(3)", cwd=SITES, env=environ
    )
    assert operator.arrived("p")[0]["message"] == "number 3"
    assert process.stop()[0] == 0


START_CHILD = """
import multiprocessing, sys

def wait(event):
    event.wait(60)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    event = context.Event()
    child = context.Process(target=wait, args=(event,))
    child.start()
    print(child.pid, flush=True)
    sys.stdin.read()
    event.set()
    child.join()
    sys.exit(child.exitcode)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing_is_an_instance_whatever_it_was_started_by(
    server, operator, start, remora_argv, tmp_path, method
):
    program = tmp_path / "program.py"
    program.write_text(START_CHILD)
    python = [sys.executable, "-W", "error::DeprecationWarning"]
    process = start(
        *remora_argv,
        "run",
        *server.options("site"),
        "--",
        *python,
        program,
        method,
        stdin=subprocess.PIPE,
    )
    pids = {each["pid"] for each in operator.connected("site", 2)}
    assert pids == {process.pid, int(process.out.read_text())}
    idle = operator.instances(app="site", state="idle")
    expected = {"multiprocessing's fork server"} if method == "forkserver" else set()
    assert {each["note"] for each in idle} == expected
    process.popen.stdin.close()
    assert process.wait() == 0
    assert process.said() == ""
