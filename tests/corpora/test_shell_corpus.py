"""Command lines judged by the words that /bin/sh really makes of them."""

import subprocess

import pytest

from remora.detection import Finding, Input, Inputs, shell

TEMPLATES = ["show {x}", "show '{x}'", 'show "{x}"', "show a{x}b", "X=1 show -- {x}"]
TEXTS = [
    "file.txt", "a b", "a;b", "a; show c", "a && show c", "a | cat", "$(show c)",
    "`show c`",
    "$HOME", "it's", "'; show c; '", '"; show c; "', "a\nshow c", "a\\", "#c", "a#b",
    "a > out", "O'Reilly & sons", "x=1", "http://h/a?b=1&c=2", "name+tag@host.example",
    "..hidden", "50%", "a,b", "-- fine", "{a}", "(a)", "!", "a:b", "über",
]  # fmt: skip


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """What `show` was called with, each call a list; None where the line is wrong."""
    folder = tmp_path_factory.mktemp("shell")
    show = folder / "show"
    show.write_text('#!/bin/sh\nprintf "call\\0" >>"$T"\nprintf "%s\\0" "$@" >>"$T"\n')
    show.chmod(0o700)
    told = folder / "told"

    def run(line):
        told.write_bytes(b"")
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            env={"PATH": f"{folder}:/bin:/usr/bin", "T": str(told), "HOME": "/home/x"},
            cwd=folder,
            timeout=20,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            return None
        return told.read_bytes().decode("utf-8", "replace")

    return run


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_line_is_found_when_the_shell_makes_other_words_of_it(words, template):
    for text in TEXTS:
        line = template.replace("{x}", text)
        plain = template.replace("'{x}'", "{x}").replace('"{x}"', "{x}")
        expected = f"call\0{plain.partition('show ')[2].replace('{x}', text)}\0"
        expected = expected.replace("-- ", "--\0", 1) if "X=1" in template else expected
        stays = words(line) == expected
        verdict = shell.judge(line, Inputs([Input(text, "query", "x")]))
        made = words(line)
        if made is not None and made.count("\0") == expected.count("\0"):
            # quotes of its own, both of them: still the one word that was meant
            stays = stays or text[0] == text[-1] in "'\""
        if stays:
            assert verdict is None, (line, verdict)
        else:
            assert isinstance(verdict, Finding) or len(text) == 1, line


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["sh", "-c", "show {x}"], "a; show b"),
        (["env", "A=1", "bash", "-lc", "show {x}"], "$(id)"),
        (["git", "clone", "{x}"], "--upload-pack=touch x"),
        (["tar", "xf", "{x}"], "--checkpoint-action=exec=id"),
        (["find", "{x}"], "-exec"),
        (["{x}", "a"], "/tmp/own"),
    ],
)
def test_an_argument_that_decides_what_runs_is_found(arguments, text):
    command = [each.replace("{x}", text) for each in arguments]
    verdict = shell.judge_arguments(command, Inputs([Input(text, "query", "x")]))
    assert isinstance(verdict, Finding)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["ls", "{x}"], "a; id"),
        (["git", "clone", "--", "{x}"], "--upload-pack=touch x"),
        (["sh", "-c", 'ls "$1"', "sh", "{x}"], "$(id)"),
        (["echo", "hello", "{x}"], "echo"),
        (["git", "log", "--grep={x}"], "-c x"),
    ],
)
def test_an_argument_that_stays_one_argument_is_passed(arguments, text):
    command = [each.replace("{x}", text) for each in arguments]
    verdict = shell.judge_arguments(command, Inputs([Input(text, "query", "x")]))
    assert verdict is None
