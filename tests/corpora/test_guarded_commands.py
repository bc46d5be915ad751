"""The pack of commands on every way to start one: the shell never gets the attack.

Each way is first tried without protection: there the attack leaves its mark.
"""

import asyncio
import os
import pty
import shutil
import subprocess
import sys
import warnings

import pytest

ENVIRONMENT = {"PATH": os.environ["PATH"]}
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "timeout": 20}


def run(command, **how):
    subprocess.run(command, check=False, **how, **QUIET)


LIST = ["sh", "-c"]


def in_child(call):
    """What becomes another program does so in a child, which tells of the block."""

    def forked(line):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                call(line)
            finally:
                os._exit(77)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 77:
            raise ChildProcessError

    return forked


async def by_asyncio_shell(line):
    process = await asyncio.create_subprocess_shell(line, stdout=subprocess.DEVNULL)
    await process.wait()


async def by_asyncio_list(line):
    process = await asyncio.create_subprocess_exec(*LIST, line)
    await process.wait()


async def by_asyncio_wrapped(line):
    process = await asyncio.create_subprocess_exec("env", "-u", "X", *LIST, line)
    await process.wait()


async def by_loop(line):
    ended = asyncio.Event()

    class Protocol(asyncio.SubprocessProtocol):
        def process_exited(self):
            ended.set()

    loop = asyncio.get_running_loop()
    transport, _ = await loop.subprocess_shell(Protocol, line)
    await ended.wait()
    transport.close()


def by_pty(line):
    pty.spawn([*LIST, line], lambda fd: os.read(fd, 1024))


def by_os_popen(line):
    with os.popen(line) as pipe:
        pipe.read()


def posix_spawn(line):
    os.waitpid(os.posix_spawn("/bin/sh", [*LIST, line], ENVIRONMENT), 0)


def posix_spawnp(line):
    os.waitpid(os.posix_spawnp("sh", [*LIST, line], ENVIRONMENT), 0)


WAYS = {
    "os.system": os.system,
    "os.system of bytes": lambda line: os.system(line.encode()),
    "os.popen": by_os_popen,
    "run": lambda line: run(line, shell=True),
    "run of a list": lambda line: run([line], shell=True),
    "run of bytes": lambda line: run(line.encode(), shell=True),
    "another shell": lambda line: run(line, shell=True, executable="/bin/bash"),
    "call": lambda line: subprocess.call(line, shell=True),
    "check_call": lambda line: subprocess.check_call(line, shell=True),
    "check_output": lambda line: subprocess.check_output(line, shell=True),
    "getoutput": subprocess.getoutput,
    "getstatusoutput": subprocess.getstatusoutput,
    "Popen": lambda line: subprocess.Popen(line, shell=True).communicate(timeout=20),
    "asyncio shell": lambda line: asyncio.run(by_asyncio_shell(line)),
    "asyncio list": lambda line: asyncio.run(by_asyncio_list(line)),
    "asyncio wrapped": lambda line: asyncio.run(by_asyncio_wrapped(line)),
    "loop": lambda line: asyncio.run(by_loop(line)),
    "pty": by_pty,
    "posix_spawn": posix_spawn,
    "posix_spawnp": posix_spawnp,
    "spawnv": lambda line: os.spawnv(os.P_WAIT, "/bin/sh", [*LIST, line]),
    "spawnl": lambda line: os.spawnl(os.P_WAIT, "/bin/sh", *LIST, line),
    "spawnve": lambda line: os.spawnve(
        os.P_WAIT, "/bin/sh", [*LIST, line], ENVIRONMENT
    ),
    "spawnle": lambda line: os.spawnle(os.P_WAIT, "/bin/sh", *LIST, line, ENVIRONMENT),
    "spawnvp": lambda line: os.spawnvp(os.P_WAIT, "sh", [*LIST, line]),
    "spawnlp": lambda line: os.spawnlp(os.P_WAIT, "sh", *LIST, line),
    "spawnvpe": lambda line: os.spawnvpe(os.P_WAIT, "sh", [*LIST, line], ENVIRONMENT),
    "spawnlpe": lambda line: os.spawnlpe(os.P_WAIT, "sh", *LIST, line, ENVIRONMENT),
    "execv": in_child(lambda line: os.execv("/bin/sh", [*LIST, line])),
    "execl": in_child(lambda line: os.execl("/bin/sh", *LIST, line)),
    "execve": in_child(lambda line: os.execve("/bin/sh", [*LIST, line], ENVIRONMENT)),
    "execle": in_child(lambda line: os.execle("/bin/sh", *LIST, line, ENVIRONMENT)),
    "execvp": in_child(lambda line: os.execvp("sh", [*LIST, line])),
    "execlp": in_child(lambda line: os.execlp("sh", *LIST, line)),
    "execvpe": in_child(lambda line: os.execvpe("sh", [*LIST, line], ENVIRONMENT)),
    "execlpe": in_child(lambda line: os.execlpe("sh", *LIST, line, ENVIRONMENT)),
}
LISTS = {
    "sh -c": ["sh", "-c"],
    "sh -xc": ["/bin/sh", "-xc"],
    "sh -x -c": ["sh", "-x", "-c"],
    "bash -o pipefail -c": ["bash", "-o", "pipefail", "-c"],
    "bash --norc -c": ["bash", "--norc", "-c"],
    "bash --rcfile F -c": ["bash", "--rcfile", "/dev/null", "-c"],
    "bash -c --": ["bash", "-c", "--"],
    "bash -c -x": ["bash", "-c", "-x"],
    "env -i": ["env", "-i", f"PATH={os.environ['PATH']}", "sh", "-c"],
    "env -u": ["env", "-u", "X", "sh", "-c"],
    "nice": ["nice", "-n", "5", "sh", "-c"],
    "timeout": ["timeout", "-s", "KILL", "20.5", "sh", "-c"],
    "stdbuf": ["stdbuf", "-oL", "sh", "-c"],
    "setsid": ["setsid", "-w", "sh", "-c"],
    "xargs": ["xargs", "sh", "-c"],
    "flock": ["flock", "/dev/null", "sh", "-c"],
    "flock -c": ["flock", "/dev/null", "-c"],
    "nested": ["nice", "env", "A=1", "timeout", "20", "bash", "-c"],
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_to_start_a_shell_is_guarded(way, guard, is_stopped, tmp_path):
    mark = tmp_path / "mark"
    attack = f"a; touch {mark}"
    way(f"echo {attack} >/dev/null")
    assert mark.exists(), "it works where nothing protects"
    mark.unlink()
    guard("shell")
    try:
        assert is_stopped(lambda text: way(f"echo {text} >/dev/null"), attack)
    except AssertionError:
        # a child that was refused condemns its own copy of the request
        assert way in [WAYS[name] for name in WAYS if name.startswith("exec")]
    assert not mark.exists()
    assert not is_stopped(lambda text: way(f"echo '{text}' >{mark}"), "a; b")
    assert mark.read_text() == "a; b\n"


@pytest.mark.parametrize("command", [*LISTS.values(), None], ids=[*LISTS, "find"])
def test_a_line_in_a_list_of_arguments_is_judged(command, guard, is_stopped, tmp_path):
    find = ["find", "/", "-maxdepth", "0", "-exec", "sh", "-c"]
    command, rest = (find, [";"]) if command is None else (command, [])
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not there")
    mark = tmp_path / "mark"

    def way(line):
        run([*command, line, *rest], stdin=subprocess.DEVNULL)

    attack = f"a; touch {mark}"
    way(f"echo {attack}")
    assert mark.exists(), "it works where nothing protects"
    mark.unlink()
    guard("shell")
    assert is_stopped(lambda text: way(f"echo {text}"), attack)
    assert not mark.exists()
    assert not is_stopped(lambda text: way(f"echo '{text}' >{mark}"), "a; b")
    assert mark.read_text() == "a; b\n"


def test_an_option_that_the_app_has_written_is_no_attack(guard, is_stopped):
    guard("shell")
    command = [sys.executable, "-c", "pass"]
    assert not is_stopped(lambda _: run(command), "-c")
