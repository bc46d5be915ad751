"""Server, apps and command line as real processes, all of them ended by their pid."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

import remora
from obey import short_way

SOURCE = str(Path(remora.__file__).parents[1])
SITES = Path(__file__).parent / "sites"
WITHIN_S = 30
"""A deadline and no expectation: two cores may have much else to do."""


def wait_until(condition, what, seconds=WITHIN_S):
    """Poll until the condition gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.01)
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(name="free_port")
def make_free_port():
    """Finds ports that nobody listens at."""
    return free_port


def answers(port):
    """Whether somebody listens there."""
    with socket.socket() as client:
        client.settimeout(1)
        if client.connect_ex(("127.0.0.1", port)):
            return False
        # Where nobody listens, the system may join a socket with itself.
        return client.getsockname()[1] != port


class Process:
    """A child that leads a group of its own, with its output in files."""

    def __init__(self, command, folder, name, **options):
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.popen = subprocess.Popen(
                [str(word) for word in command],
                **{"stdin": subprocess.DEVNULL, "stdout": out, **options},
                stderr=err,
                start_new_session=True,
            )
        self.pid = self.popen.pid

    def said(self):
        """What it wrote to standard error so far."""
        return self.err.read_text(errors="replace")

    def wait(self, seconds=WITHIN_S):
        return self.popen.wait(seconds)

    def stop(self, sent=signal.SIGTERM):
        """Ask for its end; the exit status and the seconds that it took."""
        started = time.monotonic()
        self.popen.send_signal(sent)
        return self.wait(), time.monotonic() - started

    def end(self):
        """End it and what it has forked, whatever state they are in."""
        for sent, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            try:
                os.killpg(self.pid, sent)
            except ProcessLookupError:
                break
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        self.popen.wait(5)
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def start(tmp_path):
    """Starts a command as a process; at the end of the test all are ended."""
    started = []

    def start_one(*command, name="", **options):
        name = name or f"process{len(started)}"
        options.setdefault("env", environment())
        process = Process(command, tmp_path, f"{name}-{len(started)}", **options)
        started.append(process)
        return process

    yield start_one
    for process in reversed(started):
        process.end()


def environment(**more):
    """The environment of a child: none of our own settings."""
    ours = {"HOME", "PATH", "LANG", "TMPDIR"}
    kept = {name: value for name, value in os.environ.items() if name in ours}
    return {**kept, "PYTHONUTF8": "1", **more}


# Not by PYTHONPATH: a child would inherit it and find what has to travel to it.
MAIN = f"""
import sys
sys.path.insert(0, {SOURCE!r})
from remora.__main__ import main
sys.exit(main())
"""
REMORA = (sys.executable, "-c", MAIN)


def run_options(**settings):
    """Settings as `remora run` takes them."""
    return [
        word
        for name, value in settings.items()
        for word in (f"--{name.replace('_', '-')}", value)
    ]


class Server:
    """`remora serve`, which keeps its folder and port when it is started again."""

    def __init__(self, start, data, *options, scheme="http"):
        self._start, self.data, self._options = start, data, options
        self.port = free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        command = ["serve", "--json", "--data", self.data, "--port", self.port]
        self.process = self._start(*REMORA, *command, *self._options, name="server")
        wait_until(
            lambda: self.process.out.read_text() or self.process.popen.poll(),
            "the server",
        )
        assert self.process.popen.poll() is None, self.process.said()
        return self

    def stop(self, sent=signal.SIGTERM):
        return self.process.stop(sent)

    def options(self, app, **settings):
        """What `remora run` is told to make the app an instance of this server."""
        given = {"server": self.url, "token_file": self.token_file("agent"), **settings}
        return run_options(app=app, **given)

    def token_file(self, kind):
        return self.data / f"{kind}.token"

    def token(self, kind):
        return self.token_file(kind).read_text().strip()


class Operator:
    """A person with the operator's token of a server."""

    def __init__(self, server, **options):
        self._http = httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Bearer {server.token('operator')}"},
            timeout=WITHIN_S,
            trust_env=False,
            **options,
        )

    def close(self):
        self._http.close()

    def ask(self, method, path, **options):
        answer = self._http.request(method, path, **options)
        assert not answer.is_error, answer.text
        return answer.json() if answer.content else None

    def add(self, **probe):
        return self.ask("POST", "/api/v1/probes", json={"probe": probe})

    def remove(self, probe):
        return self.ask("DELETE", f"/api/v1/probes/{probe}")

    def instances(self, **query):
        return self.ask("GET", "/api/v1/instances", params=query)["instances"]

    def connected(self, app, count=1, seconds=WITHIN_S):
        """The instances of an app, as soon as that many are connected."""

        def look():
            found = self.instances(app=app, state="connected")
            return found if len(found) == count else None

        assert count, "to wait for none would be over at once"
        return wait_until(look, f"{count} instances of {app}", seconds)

    def statuses(self, probe):
        """The statuses of a probe by the pid of the instance."""
        found = self.ask("GET", f"/api/v1/probes/{probe}")["statuses"]
        return {each["instance"]["pid"]: each["status"] for each in found}

    def reached(self, probe, state, count=1, seconds=WITHIN_S):
        """The statuses, as soon as that many instances are in that state."""

        def look():
            found = self.statuses(probe)
            in_state = [each for each in found.values() if each["state"] == state]
            return found if len(in_state) >= count else None

        try:
            return wait_until(look, f"{probe} to be {state}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.statuses(probe)}") from None

    def records(self, probe, **query):
        """All records of a probe, the oldest first."""
        found, after = [], 0
        while True:
            asked = {"probe": probe, "after": after, "limit": 1000, **query}
            answer = self.ask("GET", "/api/v1/records", params=asked)
            found += answer["records"]
            if not answer["records"]:
                return found
            after = answer["records"][-1]["id"]

    def messages(self, probe):
        return [record.get("message") for record in self.records(probe)]

    def arrived(self, probe, count=1, seconds=WITHIN_S):
        """The records of a probe, as soon as there are that many."""

        def look():
            found = self.records(probe)
            return found if len(found) >= count else None

        return wait_until(look, f"{count} records of {probe}", seconds)


@pytest.fixture
def make_server(start, tmp_path):
    """Makes servers that are not started yet."""

    def make(*options, **more):
        return Server(start, tmp_path / "data", *options, **more)

    return make


@pytest.fixture
def make_operator():
    operators = []

    def make(server, **options):
        operators.append(Operator(server, **options))
        return operators[-1]

    yield make
    for operator in operators:
        operator.close()


@pytest.fixture
def server(make_server):
    return make_server().start()


@pytest.fixture
def operator(server, make_operator):
    return make_operator(server)


@pytest.fixture
def until():
    """Polls a condition with a deadline."""
    return wait_until


@pytest.fixture
def make_environment():
    """Makes the environment of a child."""
    return environment


@pytest.fixture
def remora_argv():
    """How the command line of this source is started."""
    return REMORA


@pytest.fixture
def remora_options():
    """Writes settings as options of `remora run`."""
    return run_options


@pytest.fixture
def remora_command():
    """Runs a command of remora to its end."""

    def run(*words, **variables):
        return subprocess.run(
            [*REMORA, *map(str, words)],
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    return run


def value_of(answer):
    """What a program of ours says that an expression is; raises what it raised."""
    said = json.loads(answer)
    assert "error" not in said, said["error"]
    return said["value"]


class Site:
    """A web app in any number of processes, each with a side door for the test.

    Behind the door a thread waits in `accept`: a worker that nobody asks is idle.
    """

    def __init__(self, process, port, doors):
        self.process, self.port, self._doors = process, port, doors
        self.url = f"http://127.0.0.1:{port}"

    def pids(self):
        return sorted(int(path.stem) for path in self._doors.glob("*.door"))

    def ready(self, workers):
        try:
            wait_until(
                lambda: len(self.pids()) == workers and answers(self.port),
                f"{workers} workers",
            )
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.process.said()}") from None
        return self

    def behind(self, pid, expression):
        """The value of an expression in the app's module, in that worker."""
        with socket.socket(socket.AF_UNIX) as client, short_way(self._doors) as doors:
            client.settimeout(WITHIN_S)
            client.connect(f"{doors}/{pid}.door")
            client.sendall(expression.encode())
            client.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as answer:
                return value_of(answer.read())

    def everywhere(self, expression):
        return {self.behind(pid, expression) for pid in self.pids()}


GUNICORN = (sys.executable, "-m", "gunicorn", "--log-level", "warning")
UVICORN = (sys.executable, "-m", "uvicorn", "--log-level", "warning")


@pytest.fixture
def serve_site(start, tmp_path):
    """Starts a site of the folder `sites` under gunicorn or uvicorn, with the agent."""
    count = 0

    def serve(
        options,
        site="shopfront:application",
        *words,
        workers=2,
        bare=False,
        **variables,
    ):
        nonlocal count
        count += 1
        doors, port = tmp_path / f"doors{count}", free_port()
        doors.mkdir()
        gateway = UVICORN if "asgi" in site else GUNICORN
        where = (
            ["--port", port, "--app-dir", SITES]
            if gateway is UVICORN
            else ["--bind", f"127.0.0.1:{port}", "--chdir", SITES]
        )
        command = [*gateway, "--workers", workers, *where, *words, site]
        if bare:
            # The sites call set_user, which is here without the agent as well.
            variables["PYTHONPATH"] = SOURCE
        else:
            command = [*REMORA, "run", *options, "--", *command]
        process = start(
            *command, name="site", env=environment(DOORS=str(doors), **variables)
        )
        return Site(process, port, doors).ready(workers)

    return serve


@pytest.fixture
def protect_site(start, tmp_path):
    """Starts one of `sites` in mode block; gives its port and a look at attacks."""
    count = 0

    def begin(*words, mode="block", **variables):
        nonlocal count
        count += 1
        port, doors = free_port(), tmp_path / f"doors{count}"
        doors.mkdir()
        records = tmp_path / f"attacks{count}.jsonl"
        options = run_options(app="vault", protect=mode, records=records)
        command = [str(word).replace("{port}", str(port)) for word in words]
        process = start(
            *(*REMORA, "run", *options, "--", *command),
            name="site",
            cwd=SITES,
            env=environment(DOORS=str(doors), PYTHONDONTWRITEBYTECODE="1", **variables),
        )
        try:
            wait_until(lambda: answers(port), f"{words}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {process.said()}") from None
        return port, lambda: whole_records(records, "attack")

    return begin


@pytest.fixture
def records_in():
    return whole_records


def whole_records(path, kind=None):
    """What processes have written to `path` so far, as far as their lines are whole.

    A chunk of lines is one write, and who reads in its middle sees a part of it.
    """
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    records = [json.loads(line) for line in lines]
    return [each for each in records if kind in {None, each["kind"]}]


class Child:
    """A program of ours that does what is written to its standard input."""

    def __init__(self, process):
        self.process, self.pid = process, process.pid

    def ask(self, text):
        """Run statements, or an expression for its value; raises what they raise."""
        self.begin(text)
        return self.end()

    def begin(self, text):
        """As `ask`, without the answer."""
        self.process.popen.stdin.write(text.encode() + b"\0")
        self.process.popen.stdin.flush()

    def end(self):
        """The answer of what was begun."""
        line = self.process.popen.stdout.readline()
        assert line, self.process.said()
        return value_of(line)

    def finish(self):
        """Let the program come to its end."""
        self.process.popen.stdin.close()
        return self.process.wait()


PROGRAM = """
import sys
sys.path.append({sites!r})
from obey import obey
{source}
obey(globals())
"""


@pytest.fixture
def start_child(start, tmp_path):
    """Starts a program with the agent whose last act is to do what it is told."""

    def begin(options, source="", *, python=(sys.executable,), **variables):
        folder = tmp_path / "program"
        folder.mkdir(exist_ok=True)
        program = folder / "main.py"
        program.write_text(PROGRAM.format(sites=str(SITES), source=source))
        command = [*python, program]
        if options is not None:
            command = [*REMORA, "run", *options, "--", *command]
        process = start(
            *command,
            name="child",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(**variables),
        )
        return Child(process)

    return begin
