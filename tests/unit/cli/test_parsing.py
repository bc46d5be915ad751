"""Words into commands, and commands into probes."""

from __future__ import annotations

import argparse
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import remora.__main__ as entry
from remora.boot import BOOT_FOLDER, is_loopback
from remora.cli.dispatch import find_handler, split_at_dashes
from remora.cli.draft import make_id, split_commas
from remora.cli.events import BUFFER_LIMIT, Event, EventReader
from remora.cli.parser import build_parser
from remora.cli.places import data_folder
from remora.cli.run_options import RUN_OPTIONS, read_run
from remora.errors import WireError
from remora.version import __version__

ROOT = Path(__file__).parents[3]
SOURCE = Path(BOOT_FOLDER).parents[2]


def commands(
    parser: argparse.ArgumentParser, name: str = "remora"
) -> list[tuple[str, argparse.ArgumentParser]]:
    """Every command with its parser; one with actions may do something by itself."""
    does_something = parser.get_default("handler") is not None
    found = [(name, parser)] if does_something else []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                found += commands(below, f"{name} {word}")
    return found


COMMANDS = commands(build_parser())


@pytest.mark.parametrize(("name", "parser"), COMMANDS, ids=[n for n, _ in COMMANDS])
def test_every_command_has_a_function_json_and_a_chapter(name, parser):
    handler = parser.get_default("handler")
    module = handler.partition(":")[0]
    assert list(inspect.signature(find_handler(handler)).parameters) == [
        "arguments",
        "environ",
    ], module
    assert "--json" in parser._option_string_actions
    chapter = chapter_of(name)
    for option in parser._option_string_actions:
        if option not in {"-h", "--help"}:
            assert f"`{option}" in chapter, f"{name} {option}"


def chapter_of(name: str) -> str:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    chapters = dict(
        part.split("\n", 1) for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    )
    everywhere = chapters["Everywhere"]
    if name in {"remora run", "remora serve", "remora demo"}:
        everywhere = everywhere.partition("### Operator commands")[0]
    return everywhere + chapters[f"`{name}`"]


def test_the_reference_tells_of_no_command_that_is_not_there():
    text = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    told = re.findall(r"^## `(.+)`$", text, flags=re.MULTILINE)
    assert sorted(told) == sorted(name for name, _ in COMMANDS)


def test_words_after_the_dashes_are_left_as_they_are():
    assert split_at_dashes(["run", "--app", "a", "--", "x", "--", "--app"]) == (
        ["run", "--app", "a"],
        ["x", "--", "--app"],
    )


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nonsense"],
        ["run"],
        ["run", "--"],
        ["run", "--protect-everything", "--", "true"],
        ["probe"],
        ["probe", "add"],
        ["probe", "show"],
        ["ps", "--", "x"],
        ["ps", "--state", "odd"],
        ["serve", "--port", "many"],
        ["token", "create", "robot", "--name", "x"],
    ],
)
def test_usage_errors_end_with_2_and_one_sentence(argv, capsys):
    assert entry.main(argv) == 2
    said = capsys.readouterr().err
    assert said.startswith("remora: error: ")
    assert said.endswith(" --help`\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["probe", "add", "m:f", "--hit", "3"], "probe add: unrecognized arguments:"),
        (["probe", "add", "m:f", "--hit", "3"], "did you mean --hits?"),
        (["ps", "--jsn"], "did you mean --json?"),
        (["tail", "--zzz"], "tail: unrecognized arguments: --zzz; see `remora tail"),
    ],
)
def test_a_word_that_a_command_does_not_know_is_answered_by_the_nearest(
    argv, words, capsys
):
    assert entry.main(argv) == 2
    assert words in capsys.readouterr().err


def test_a_secret_behind_a_wrong_option_is_not_repeated(capsys):
    for argv in (["ps", "--token", "rmo_secret"], ["ps", "--token=rmo_secret"]):
        assert entry.main(argv) == 2
        said = capsys.readouterr().err
        assert "--token" in said
        assert "rmo_secret" not in said


def test_a_program_is_told_of_wrong_usage_in_json(capsys):
    assert entry.main(["ps", "--json", "--odd"]) == 2
    assert json.loads(capsys.readouterr().err)["error"] == "bad-usage"


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        entry.main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"remora {__version__}\n")


def test_an_unexpected_failure_is_a_sentence_and_its_traceback_is_for_debugging(
    monkeypatch, capsys
):
    def fail(*arguments):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(entry, "run_command", fail)
    monkeypatch.delenv("REMORA_DEBUG", raising=False)
    assert entry.main([]) == 1
    assert "ZeroDivisionError: oh: please report it" in capsys.readouterr().err
    monkeypatch.setenv("REMORA_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        entry.main([])


@pytest.mark.parametrize(
    ("module", "extra"), [("httpx", "server"), ("flask", "demo"), ("flask.app", "demo")]
)
def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    monkeypatch, capsys, module, extra
):
    from remora.cli import dispatch

    def miss(*arguments):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(dispatch, "find_handler", lambda name: miss)
    assert entry.main(["ps"]) == 1
    assert f"pip install 'remora[{extra}]'" in capsys.readouterr().err


def test_run_imports_next_to_nothing_before_it_becomes_the_command():
    code = (
        f"import os, sys; sys.path.insert(0, {str(SOURCE)!r});"
        "os.execve = lambda *_: print(*sys.modules);"
        "from remora.__main__ import main; before = set(sys.modules);"
        "main(['run', '--server', 'http://127.0.0.1:9', '--token', 'x', '--', 'true'])"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(result.stdout.split())
    slow = {"argparse", "dataclasses", "pathlib", "re", "shutil", "ssl", "typing"}
    assert loaded & slow == set()
    assert len([name for name in loaded if name.startswith("remora")]) <= 20


PLAIN = [
    ["run"],
    ["run", "--app", "shop", "--env=prod", "--server", "http://127.0.0.1:1"],
    ["run", "--probes", "a", "--probes=b", "--records", "-", "--allow", "act"],
    ["run", "--app=", "--token-file", "x", "--ca-file=y"],
]


@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
def test_the_plain_form_of_run_is_read_as_argparse_reads_it(words):
    plain, parsed = read_run(words), build_parser().parse_args(words)
    assert plain is not None
    assert plain.handler == parsed.handler
    for option in RUN_OPTIONS:
        assert getattr(plain, option.key) == getattr(parsed, option.key)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["ps"],
        ["run", "--help"],
        ["run", "--json"],
        ["run", "--ap", "shop"],
        ["run", "shop"],
        ["run", "--app"],
        ["run", "--app", "--env"],
        ["run", "--allow", "everything"],
        ["--json", "run"],
    ],
    ids=" ".join,
)
def test_what_is_not_plain_is_left_to_argparse(words):
    assert read_run(words) is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,b, c", ["a", "b", "c"]),
        ("a[1,2],len(b,c)", ["a[1,2]", "len(b,c)"]),
        ("a == 'x,y',b", ["a == 'x,y'", "b"]),
        ('"a(",b', ['"a("', "b"]),
        (",,", []),
        ("a),b", ["a)", "b"]),
    ],
)
def test_commas_in_brackets_and_quotes_part_nothing(text, parts):
    assert split_commas(text) == parts


@pytest.mark.parametrize(
    ("targets", "start"),
    [
        (["shop.billing:charge"], "billing-charge-"),
        (["shop.cart:Cart.add"], "cart-Cart-add-"),
        (["shop/cart.py:42"], "py-42-"),
        (["!a.b:c", "shop.**:*"], "probe-"),
        (["x:" + "y" * 300], "x-" + "y" * 38 + "-"),
    ],
)
def test_ids_say_what_is_probed(targets, start):
    first, second = make_id(targets), make_id(targets)
    assert first != second
    assert first.startswith(start)
    assert len(first) == len(start) + 4


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:7878", True),
        ("http://localhost", True),
        ("http://[::1]:1", True),
        ("https://user@127.0.0.1/x", True),
        ("https://127.evil.example", False),
        ("http://localhost.example", False),
        ("https://remora.internal", False),
        ("http://[2001::1]", False),
    ],
)
def test_only_this_machine_is_loopback(url, loopback):
    assert is_loopback(url) is loopback


def test_the_data_folder_follows_the_desktops_rule():
    assert data_folder({"XDG_DATA_HOME": "/d", "HOME": "/h"}) == Path("/d/remora")
    assert data_folder({"HOME": "/h"}) == Path("/h/.local/share/remora")


def test_events_are_whole_however_they_arrive():
    text = ": ping\n\nevent: record\r\nid: 5\r\ndata: {\r\ndata: }\r\n\r\ndata:x\n\n"
    whole = [Event("record", "{\n}", "5"), Event("message", "x", "5")]
    assert EventReader().feed(text.encode()) == whole
    reader = EventReader()
    assert [e for b in text.encode() for e in reader.feed(bytes([b]))] == whole


def test_an_event_without_end_is_refused():
    reader = EventReader()
    with pytest.raises(WireError, match="exceeds"):
        reader.feed(b"x" * (BUFFER_LIMIT + 1))
