"""Which children of a served process are listed as unserved."""

import pytest

from remora.agent.control.children import judge

LED = ("HOME=/root", "PYTHONPATH=/opt/remora/boot/site:/srv")
OURS = "/usr/bin/python3.12"


@pytest.mark.parametrize(
    ("program", "command", "words"),
    [
        ("/usr/bin/python3.10", ["python", "a.py"], "CPython 3.10 and runs without"),
        ("/usr/bin/python2.7", ["python2", "-I", "a.py"], "needs CPython 3.11"),
        ("/opt/pypy3.10", ["pypy"], "PyPy 3.10"),
        (OURS, ["python", "-I", "a.py"], "started with -I"),
        (OURS, ["python", "-uE", "a.py"], "started with -E"),
        (OURS, ["python", "-S", "-m", "job"], "started with -S"),
    ],
)
def test_a_python_that_the_agent_cannot_get_into_is_named(program, command, words):
    python, why = judge(program, command, LED)
    assert words in why
    assert python.split()[0] in {"CPython", "PyPy"}


def test_a_python_with_another_environment_is_named():
    assert "another PYTHONPATH" in judge(OURS, ["python", "a.py"], ["HOME=/root"])[1]
    assert "another PYTHONPATH" in judge(OURS, ["python", "a.py"], [])[1]
    assert "another PYTHONPATH" in judge(OURS, ["python"], ["PYTHONPATH=/srv"])[1]


@pytest.mark.parametrize(
    ("program", "command", "entries"),
    [
        (OURS, ["python", "a.py", "-I"], LED),
        (OURS, ["python", "-I", "a.py"], ("REMORA_ENABLED=0",)),
        ("/usr/bin/bash", ["bash", "-I"], ()),
        ("/usr/bin/python-config", ["python-config"], ()),
        ("", [], ()),
    ],
)
def test_what_is_served_or_no_python_is_not_named(program, command, entries):
    assert judge(program, command, entries) == ("", "")
