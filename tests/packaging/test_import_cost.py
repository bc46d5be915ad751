"""The agent lives in other people's processes: what its import brings with it."""

import ast
import subprocess
import sys
from pathlib import Path

import remora

FOLDER = Path(remora.__file__).parents[1]
MODULES_LIMIT = 40
FORBIDDEN = {"asyncio", "dataclasses", "logging", "ssl", "typing"}

CODE = """
import sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
import remora
print(*sorted(set(sys.modules) - before))
"""


def modules_of_an_import(*flags):
    answer = subprocess.run(
        [sys.executable, *flags, "-c", CODE, str(FOLDER)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return set(answer.stdout.split())


def test_the_import_adds_few_modules():
    added = modules_of_an_import("-I", "-S")
    assert "remora" in added
    assert len(added) <= MODULES_LIMIT, sorted(added)


def test_the_import_brings_nothing_heavy():
    assert modules_of_an_import("-I", "-S") & FORBIDDEN == set()


def test_the_import_brings_only_the_standard_library():
    tops = {name.split(".")[0] for name in modules_of_an_import("-I", "-S")}
    assert tops - {"remora"} <= sys.stdlib_module_names


def late_names(door):
    """What the door of a package hands on when it is first asked for."""
    text = door.read_text("utf-8")
    if "__getattr__" not in text:
        return set()
    tree = ast.parse(text)
    given = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    typed = [n for n in ast.walk(tree) if isinstance(n, ast.If)]
    late = {id(n) for each in typed for n in each.body}
    return {name.name for each in given if id(each) in late for name in each.names}


def test_what_a_package_gives_late_is_named_like_none_of_its_modules():
    """Else it would be the module, once somebody has imported that: no function."""
    found = set()
    for door in (FOLDER / "remora").rglob("__init__.py"):
        names = late_names(door)
        assert names.isdisjoint(path.stem for path in door.parent.iterdir()), door
        found |= names
    assert {"plan", "points", "Link"} <= found
