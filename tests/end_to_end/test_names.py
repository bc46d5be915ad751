"""Which module a name means, over the life of a module: asked of real programs."""

import os

import pytest

PREPARE = """
import importlib, sys
sys.path.insert(0, {folder!r})
"""
KEPT = "ORIGINAL = work.__code__\n"


@pytest.fixture
def modules(tmp_path):
    folder = tmp_path / "modules"
    folder.mkdir()
    return folder


@pytest.fixture
def child(server, operator, start_child, modules):
    """A connected program that imports from the folder `modules`."""
    program = start_child(server.options("child"), PREPARE.format(folder=str(modules)))
    operator.connected("child")
    return program


def write(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    # Two versions of one second look the same to the cache of bytecode.
    os.utime(folder / f"{name}.py", (1, len(text)))


def test_a_module_that_is_not_there_yet_is_waited_for(child, operator, modules):
    operator.add(id="p", target="late:work", log="work {n}")
    status = operator.reached("p", "waiting")[child.pid]
    assert status["reason"] == "module late is not imported"
    write(modules, "late", "def work(n): return n\n")
    child.ask("import late")
    # The very first call after the import is seen: nothing is polled for.
    child.ask("late.work(1)")
    operator.reached("p", "installed")
    assert [record["message"] for record in operator.arrived("p")] == ["work 1"]


def test_a_wrong_name_fails_with_the_name_that_was_meant(child, operator, modules):
    write(modules, "billing", "def charge(n): return n\n")
    child.ask("import billing")
    operator.add(id="p", target="billing:chrage", log="x")
    status = operator.reached("p", "failed")[child.pid]
    assert status["reason"] == "billing has no chrage; did you mean 'charge'?"


def test_an_alias_is_reached_where_the_function_lives(child, operator):
    operator.add(
        id="p", target="os.path:join", when="a == 'left'", log="{a} {p[0]}", phase="pre"
    )
    status = operator.reached("p", "installed")[child.pid]
    assert status["sites"][0]["site"] == "posixpath:join"
    child.ask("from posixpath import join; join('left', 'right')")
    assert operator.arrived("p")[0]["message"] == "left right"


def test_the_program_itself_is_a_module_under_both_of_its_names(
    server, operator, start_child
):
    child = start_child(server.options("child"), "def tick(n): return n\n")
    operator.connected("child")
    operator.add(id="p", target="__main__:tick", log="tick {n}")
    operator.add(id="q", target="main:tick", log="tock {n}")
    status = operator.reached("p", "installed")[child.pid]
    assert status["sites"][0]["file"].endswith("/main.py")
    operator.reached("q", "installed")
    child.ask("tick(3)")
    assert operator.arrived("p")[0]["message"] == "tick 3"
    assert operator.arrived("q")[0]["message"] == "tock 3"


def test_a_file_under_two_names_is_two_modules(child, operator, modules):
    write(modules / "pkg", "part", "def work(n): return n\n")
    write(modules / "pkg", "__init__", "")
    child.ask(f"sys.path.insert(0, {str(modules / 'pkg')!r})")
    child.ask("import part; import pkg.part")
    operator.add(id="short", target="part:work", log="short {n}")
    operator.add(id="long", target="pkg.part:work", log="long {n}")
    operator.reached("short", "installed")
    operator.reached("long", "installed")
    child.ask("part.work(1); pkg.part.work(2)")
    assert operator.arrived("short")[0]["message"] == "short 1"
    assert operator.arrived("long")[0]["message"] == "long 2"
    assert len(operator.records("short")) == len(operator.records("long")) == 1


def test_a_reloaded_module_keeps_its_probe(child, operator, modules, until):
    write(modules, "fresh", f"def work(n): return n\n{KEPT}")
    child.ask("import fresh; old = fresh.work")
    operator.add(id="p", target="fresh:work", log="{n} {result}", phase="post")
    operator.reached("p", "installed")
    child.ask("fresh.work(1)")
    write(modules, "fresh", f"def work(n): return n * 10\n{KEPT}")
    child.ask("fresh = importlib.reload(fresh)")
    assert child.ask("fresh.work(2)") == 20
    records = operator.arrived("p", 2)
    assert [record["message"] for record in records] == ["1 1", "2 20"]
    operator.remove("p")
    until(
        lambda: child.ask("fresh.work.__code__ is fresh.ORIGINAL"),
        "the original code object",
    )


def test_a_module_that_is_imported_again_gets_its_probe_again(child, operator, modules):
    write(modules, "again", "def work(n): return n\n")
    child.ask("import again; first = again")
    operator.add(id="p", target="again:work", log="{n}")
    operator.reached("p", "installed")
    child.ask("del sys.modules['again']; import again")
    assert child.ask("again is not first")
    child.ask("again.work(5)")
    assert operator.arrived("p")[0]["message"] == "5"


def test_two_path_entries_with_one_name_are_told_apart(child, operator, modules, until):
    one, two = modules / "one", modules / "two"
    write(one, "same", "def work(n): return n + 1\n")
    write(two, "same", "def work(n): return n + 2\n")
    operator.add(id="p", target="same:work", log="{result}", phase="post")
    operator.reached("p", "waiting")
    child.ask(f"sys.path.insert(0, {str(one)!r}); import same")
    status = operator.reached("p", "installed")[child.pid]
    assert status["sites"][0]["file"] == str(one / "same.py")
    child.ask("same.work(0)")
    child.ask(f"del sys.modules['same']; sys.path.remove({str(one)!r})")
    child.ask(f"sys.path.insert(0, {str(two)!r}); import same; same.work(0)")
    records = operator.arrived("p", 2)
    assert [record["message"] for record in records] == ["1", "2"]

    # The function of the first file may still be held by somebody, and stays reached.
    files = {str(one / "same.py"), str(two / "same.py")}

    def reached():
        return {site["file"] for site in operator.statuses("p")[child.pid]["sites"]}

    until(lambda: reached() == files, "the status to name both files")
