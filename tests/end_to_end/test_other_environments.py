"""`remora run` into environments, interpreters and forks that are not its own."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

SUPPORTED = ("3.11", "3.12", "3.13")
TOO_OLD = ("3.10", "3.9", "3.8", "3.7", "3.6", "2.7")
OWN = "{}.{}".format(*sys.version_info)
WORK = "import os\ndef work(n): pass\nORIGINAL = work.__code__"
STRICT = (sys.executable, "-W", "error::DeprecationWarning")


def find_python(version):
    """A CPython of that version that really runs, on PATH or of a version manager."""
    manager = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    name = f"python{version}"
    found = sorted(manager.joinpath("versions").glob(f"{version}.*/bin/{name}"))
    for candidate in (*found, shutil.which(name)):
        if candidate is None:
            continue
        answer = subprocess.run(
            [candidate, "-c", "import sys; sys.stdout.write(sys.version)"],
            capture_output=True,
            timeout=30,
            check=False,
        )
        if answer.stdout.startswith(version.encode()):
            return str(candidate)
    return None


def other_python(version):
    python = sys.executable if version == OWN else find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    return python


@pytest.fixture
def make_venv(tmp_path):
    """Makes a virtual environment with one module of its own, downloading nothing."""

    def make(name, python):
        folder = tmp_path / name
        subprocess.run(
            [python, "-m", "venv", "--without-pip", folder], check=True, timeout=60
        )
        ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
        answer = subprocess.run(
            [folder / "bin" / "python", "-c", ask],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        Path(answer.stdout.strip(), f"only_{name}.py").write_text(
            "def work(n): return n\n"
        )
        return folder / "bin" / "python"

    return make


@pytest.mark.matrix
@pytest.mark.parametrize("version", SUPPORTED)
def test_the_apps_environment_and_version_are_its_own(
    server, operator, start_child, make_venv, version
):
    here = make_venv("here", other_python(version))
    make_venv("elsewhere", other_python(version))
    child = start_child(server.options("child"), python=(here,))
    (instance,) = operator.connected("child")
    assert instance["pid"] == child.pid
    assert instance["python"].startswith(f"CPython {version}.")
    operator.add(id="p", target="only_here:work", log="{n} {result}", phase="post")
    operator.reached("p", "waiting")
    child.ask("import only_here; only_here.work(3)")
    assert operator.arrived("p")[0]["message"] == "3 3"
    with pytest.raises(AssertionError, match="No module named 'only_elsewhere'"):
        child.ask("import only_elsewhere")
    # The agent travels along, and what is beside it does not.
    with pytest.raises(AssertionError, match="No module named 'httpx'"):
        child.ask("import httpx")
    own = sysconfig.get_path("purelib")
    assert child.ask(f"{own!r} in sys.path") is False


@pytest.mark.matrix
def test_an_interpreter_that_is_too_old_is_named_once_and_listed(
    server, operator, start, remora_argv, remora_command
):
    found = next(filter(None, map(find_python, TOO_OLD)), None)
    if found is None:
        pytest.skip("no Python older than 3.11 on this machine")
    code = (
        "import subprocess, sys; "
        "subprocess.call([sys.executable, '-c', 'print(1)']); print(2)"
    )
    process = start(
        *remora_argv, "run", *server.options("legacy"), "--", found, "-c", code
    )
    assert process.wait() == 0
    assert process.out.read_text().split() == ["1", "2"]
    (line,) = process.said().splitlines()
    assert found in line
    assert "needs CPython 3.11 or newer" in line
    (instance,) = operator.instances(state="unserved")
    assert (instance["app"], instance["pid"]) == ("legacy", process.pid)
    variables = {"REMORA_SERVER": server.url, "REMORA_TOKEN": server.token("operator")}
    assert "needs CPython 3.11" in remora_command("ps", **variables).stdout
    listed = json.loads(remora_command("ps", "--json", **variables).stdout)
    assert [each["state"] for each in listed["instances"]] == ["unserved"]


STARTS_OTHERS = """
import os, subprocess, sys, time
def begin(*options):
    code = "import sys; sys.stdin.read()"
    return subprocess.Popen([sys.executable, *options, "-c", code], stdin=-1)
served, deaf, forked = begin(), begin("-I"), os.fork()
if forked == 0:
    time.sleep(60)
    os._exit(0)
"""
RUNS_ARGUMENTS = "import subprocess, sys; subprocess.run(sys.argv[1:])"
STARTS_HIDDEN = """
import subprocess, sys
code = "import sys; sys.stdin.read(); name = 'hidden-one'"
hidden = subprocess.Popen([*{words}, sys.executable, "-I", "-c", code], stdin=-1)
"""
STARTED_BY_A_MASTER = """
import subprocess, sys
code = "import sys; sys.stdin.read(); name = 'hidden-one'"
def when_ready(server):
    server.hidden = subprocess.Popen([sys.executable, "-I", "-c", code], stdin=-1)
"""
END_OTHERS = """
os.kill(forked, 9)
os.waitpid(forked, 0)
for each in (served, deaf):
    each.communicate()
"""
FORK = """
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
"""
FORK_TO_STAY = """
pid = os.fork()
if pid == 0:
    import time
    for _ in range(600):
        work(os.getpid())
        time.sleep(0.05)
    os._exit(0)
"""


def listed_with(operator, app, word):
    """Unserved instances of an app whose own command, and no launcher's, has it."""
    return [
        each
        for each in operator.instances(app=app, state="unserved")
        if word in each["command"] and "subprocess" not in each["command"]
    ]


def test_a_child_that_shuts_the_agent_out_is_listed_until_it_ends(
    server, operator, start_child, until
):
    child = start_child(server.options("parent"), STARTS_OTHERS)
    operator.connected("parent", 3)
    until(lambda: operator.instances(app="parent", state="unserved"), "the deaf child")
    (listed,) = operator.instances(app="parent", state="unserved")
    assert listed["pid"] == child.ask("deaf.pid")
    assert listed["parent_pid"] == child.pid
    assert "started with -I" in listed["note"]
    child.ask(END_OTHERS)
    until(lambda: not operator.instances(app="parent", state="unserved"), "its end")


@pytest.mark.parametrize(
    "words",
    [
        ["env", "NAME=value", "sh", "-c", 'env "$0" "$@"; true'],
        ["timeout", "600"],
        [sys.executable, "-I", "-c", RUNS_ARGUMENTS],
    ],
    ids=["a-shell", "timeout", "a-deaf-python"],
)
def test_what_hides_behind_a_program_without_the_agent_is_listed_too(
    server, operator, start_child, until, words
):
    child = start_child(server.options("parent"), STARTS_HIDDEN.format(words=words))
    until(
        lambda: listed_with(operator, "parent", "hidden-one"),
        "the Python that another program started",
    )
    (listed,) = listed_with(operator, "parent", "hidden-one")
    assert "started with -I" in listed["note"]
    assert listed["parent_pid"] == child.ask("hidden.pid")
    child.ask("hidden.communicate()")
    until(lambda: not listed_with(operator, "parent", "hidden-one"), "its end")


def test_what_a_master_has_started_is_listed_once_by_one_of_its_workers(
    server, operator, serve_site, until, tmp_path
):
    config = tmp_path / "configuration.py"
    config.write_text(STARTED_BY_A_MASTER)
    site = serve_site(
        server.options("site"), "shopfront:application", "--config", config
    )
    until(
        lambda: listed_with(operator, "site", "hidden-one"), "what the master started"
    )
    (listed,) = listed_with(operator, "site", "hidden-one")
    assert listed["parent_pid"] == site.process.pid
    (only,) = operator.instances(app="site", state="unserved")
    assert only["id"] == listed["id"]


@pytest.mark.matrix
@pytest.mark.parametrize("version", SUPPORTED)
def test_an_apps_own_fork_raises_no_warning_and_the_parent_stays_reachable(
    server, operator, start_child, version
):
    python = (other_python(version), "-W", "error::DeprecationWarning")
    child = start_child(server.options("child"), WORK, python=python)
    operator.connected("child")
    for _ in range(20):
        child.ask(FORK)
    operator.add(id="p", target="__main__:work", log="{n}")
    operator.reached("p", "installed")
    child.ask("work(1)")
    operator.arrived("p")
    child.ask(FORK)
    child.ask("work(2)")
    assert [each["message"] for each in operator.arrived("p", 2)] == ["1", "2"]
    assert "Warning" not in child.process.said()


def test_a_forked_child_is_an_instance_of_its_own(server, operator, start_child, until):
    child = start_child(server.options("child"), WORK, python=STRICT)
    (parent,) = operator.connected("child")
    operator.add(id="before", target="__main__:work", log="{n}")
    operator.reached("before", "installed")
    child.ask(FORK_TO_STAY)
    pid = child.ask("pid")
    try:
        instances = operator.connected("child", 2)
        assert {each["pid"] for each in instances} == {child.pid, pid}
        operator.add(id="after", target="__main__:work", log="{n}")
        operator.reached("after", "installed", 2)
        records = operator.arrived("after")
    finally:
        child.ask("os.kill(pid, 9); os.waitpid(pid, 0)")
    (forked,) = (each for each in instances if each["pid"] == pid)
    assert forked["parent_pid"] == parent["pid"]
    for record in [*records, *operator.arrived("before")]:
        assert record["instance"] == forked["id"]
        assert record["message"] == str(pid)
    child.ask("work(0)")
    until(lambda: "0" in operator.messages("after"), "the parent's own record")
