"""Command lines judged by the words that /bin/sh really makes of them."""

import subprocess
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
        (["tar", "xf", "a.tar", "{x}"], "--checkpoint-action=exec=id"),
        (["tar", "cf", "a.tar", "{x}"], "--to-comm=id"),
        (["find", "{x}"], "-exec"),
        (["{x}", "a"], "/tmp/own"),
        (["/opt/tools/{x}", "a"], "../../tmp/own"),
        (["nice", "-n", "5", "git", "clone", "{x}"], "--upload-pack=touch x"),
        (["sudo", "-u", "git", "git", "clone", "{x}"], "--upload-pack=touch x"),
        (["git", "clone", "--", "{x}"], "ext::sh -c id"),
        (["curl", "{x}"], "-so/tmp/own"),
        (["curl", "-d", "{x}"], "@/etc/passwd"),
        (["python3.11", "{x}"], "-cimport os"),
        (["bash", "{x}"], "-cid"),
        (["ssh", "-p", "22", "host", "ls {x}"], "a; id"),
        (["ssh", "host", "ls", "{x}"], "a; id"),
        (["su", "bob", "-c", "ls {x}"], "a; id"),
        (["watch", "-n", "1", "ls {x}"], "a; id"),
        (["docker", "exec", "box", "sh", "-c", "ls {x}"], "a; id"),
        (["find", ".", "-exec", "sh", "-c", "ls {x}", ";"], "a; id"),
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
        (["git", "log", "--author", "{x}"], "-o"),
        (["tar", "xf", "{x}"], "-Iid"),
        (["grep", "-e", "{x}", "file"], "-f"),
        (["curl", "-H", "{x}", "http://a.example"], "-o: x"),
        (["python3", "tool.py", "{x}"], "-c"),
        (["sh", "tool.sh", "-c", "{x}"], "a; id"),
        (["ssh", "host", "ls -- '{x}'"], "a; id"),
        (["head", "{x}", "file"], "-5"),
        (["sort", "{x}"], "file -o other"),
        (["curl", "{x}"], "https://a.example/?a=b&c=-o"),
        (["sudo", "-u", "{x}", "ls"], "git"),
        (["git", "{x}", "name=value", "log"], "-c"),
    ],
)
def test_an_argument_that_stays_one_argument_is_passed(arguments, text):
    command = [each.replace("{x}", text) for each in arguments]
    verdict = shell.judge_arguments(command, Inputs([Input(text, "query", "x")]))
    assert verdict is None


@pytest.mark.parametrize(
    "line",
    [
        "sh -c 'show {x}'",
        'sh -c "show {x}"',
        "env A=1 sh -c 'show {x}'",
        "sh -c 'sh -c \"show {x}\"'",
        "eval 'show {x}'",
        "true && sh -c 'show {x}'",
        "(sh -c 'show {x}')",
    ],
)
def test_a_shell_within_a_line_is_judged_as_well(words, line):
    for text in ("a; show c", "$(show c)", "a b", "a\nshow c"):
        attack = line.replace("{x}", text)
        assert words(attack) != "call\0" + text + "\0"
        assert isinstance(judged(attack, text), Finding), attack
    for text in ("file.txt", "a,b", "x=1", "50%"):
        honest = line.replace("{x}", text)
        assert words(honest) == "call\0" + text + "\0"
        assert judged(honest, text) is None, honest


def judged(line, text):
    return shell.judge(line, Inputs([Input(text, "query", "x")]))


def test_words_of_a_substitution_are_not_those_of_echo(words):
    line, text = 'echo "$(show a b)"', "a b"
    assert words(line) == "call\0a\0b\0"
    assert isinstance(judged(line, text), Finding)


def test_a_short_option_is_found_together_with_its_value():
    inputs = Inputs([Input("-o", "query", "x"), Input("/tmp/own", "query", "y")])
    verdict = shell.judge_arguments(["sort", "-o", "/tmp/own"], inputs)
    assert isinstance(verdict, Finding)


FRAGMENTS = st.lists(
    st.sampled_from(
        ["a", "b.txt", " ", "  ", "'", '"', "\\", ";", "&", "|", "$", "$(", ")", "`",
         "#", "\n", "\t", "=", "x=1", "-", "/", ",", ":", "$HOME", "show", "<", ">",
         "%", "@", "+", "é", "&&", "||", "\\\\", "''", '""']
    ),
    min_size=1,
    max_size=6,
).map("".join)  # fmt: skip


def test_a_line_is_found_exactly_when_its_words_change(words):
    tally = Counter()

    @settings(max_examples=150, deadline=None)
    @given(
        template=st.sampled_from(["show {x}", "show '{x}'", 'show "{x}"']),
        text=FRAGMENTS,
    )
    def check(template, text):
        if len(text) < 2 or not text.strip() or "<" in text or ">" in text:
            return
        line = template.replace("{x}", text)
        made, verdict = words(line), judged(line, text)
        is_quoted = template != "show {x}"
        stays = made == f"call\0{text if is_quoted else text.strip()}\0"
        if stays:
            assert verdict is None, (line, verdict)
        elif verdict is None:
            # quotes of its own, a backslash before what needs none: still one word
            assert made is not None, line
            assert made.count("\0") == 2, (line, made)
        tally[stays] += 1

    check()
    assert min(tally[True], tally[False]) > 10, tally
