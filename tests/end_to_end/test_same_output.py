"""`remora run` in front of a command: the same output and the same exit status."""

import re
import subprocess
import sys

import pytest

SUITE = """
def test_good(): assert 1
def test_bad(): assert sorted([2, 1]) == [2, 1]
"""
TOLD = """
import os, sys
print(__name__, sys.argv, sys.path[0] in ("", os.getcwd()), sys.flags.isolated)
print(sorted(n for n in sys.modules if n.startswith("site")), file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly")
COMMANDS = {
    "a module": ("-m", "told", "3", "--", "-x"),
    "a package": ("-m", "parcel", "4"),
    "no such module": ("-m", "nothing_here"),
    "code": ("-c", TOLD, "5"),
    "code that raises": ("-c", "def f(): raise KeyError(1)\nf()"),
    "pytest": (*PYTEST, "test_shop.py"),
    "pytest with nothing to run": (*PYTEST, "-k", "nowhere", "test_shop.py"),
}


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "shop"
    (folder / "parcel").mkdir(parents=True)
    (folder / "told.py").write_text(TOLD)
    (folder / "parcel" / "__init__.py").write_text("")
    (folder / "parcel" / "__main__.py").write_text(TOLD)
    (folder / "test_shop.py").write_text(SUITE)
    return folder


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_command_says_and_ends_as_without_us(
    shop, remora_argv, make_environment, kind
):
    def finish(*before):
        done = subprocess.run(
            [*before, sys.executable, *COMMANDS[kind]],
            cwd=shop,
            env=make_environment(PYTHONDONTWRITEBYTECODE="1"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        # How long pytest took is no part of what is compared.
        said = re.sub(r"in \d+\.\d+s", "in a while", done.stdout)
        return done.returncode, said, done.stderr

    alone = finish()
    assert alone[0] in {1, 3, 4, 5}, alone
    records = str(shop.parent / "records.jsonl")
    assert finish(*remora_argv, "run", "--records", records, "--") == alone


SHOP = """
import asyncio
def charge(amount):
    return amount * 2
async def fetch(amount):
    await asyncio.sleep(0)
    return charge(amount)
async def fetch_all():
    return await asyncio.gather(*map(fetch, range(3)))
"""
SMALL = """
import asyncio, json, os, sqlite3, subprocess, sys, threading
import shop
print(asyncio.run(shop.fetch_all()))
thread = threading.Thread(target=shop.charge, args=(3,))
thread.start()
thread.join()
connection = sqlite3.connect(":memory:")
print(connection.execute("select 1").fetchall(), json.dumps({"a": shop.charge(4)}))
connection.close()
child = [sys.executable, "-c", "print('child')"]
print(subprocess.run(child, capture_output=True, text=True))
sys.stdout.flush()
if (pid := os.fork()) == 0:
    sys.exit(shop.charge(0))
print(os.waitpid(pid, 0)[1])
"""
PROBES = """
[[probe]]
id = "charges"
target = "shop:charge"
log = "{amount}"
snapshot = ["amount", "stack"]
[[probe]]
id = "fetches"
target = "shop:fetch"
count = { by = ["amount"] }
[[probe]]
id = "dumps"
target = "json:dumps"
phase = "post"
log = "{result}"
[[probe]]
id = "lines"
target = "shop.py:4"
snapshot = ["locals"]
"""
MODES = {
    "developer": {"PYTHONDEVMODE": "1"},
    "debug asyncio": {"PYTHONASYNCIODEBUG": "1"},
    "debug memory": {"PYTHONMALLOC": "debug"},
    "warnings raise": {"PYTHONWARNINGS": "error"},
}


@pytest.mark.parametrize("mode", MODES)
def test_an_interpreter_that_looks_closely_has_nothing_to_say(
    tmp_path, remora_argv, make_environment, mode
):
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "small.py").write_text(SMALL)
    (tmp_path / "small.toml").write_text(PROBES)

    def finish(*before):
        done = subprocess.run(
            [*before, sys.executable, "small.py"],
            cwd=tmp_path,
            env=make_environment(**MODES[mode]),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    alone = finish()
    assert alone[0] == 0, alone
    options = ("--probes", "small.toml", "--records", "records.jsonl")
    assert finish(*remora_argv, "run", *options, "--") == alone
    records = (tmp_path / "records.jsonl").read_text()
    fired = {
        name for name in ("charges", "fetches", "dumps", "lines") if name in records
    }
    assert len(fired) == 4, fired
