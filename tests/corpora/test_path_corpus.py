"""Paths judged by the files that the file system really opens."""

import os
import zipfile

import pytest

from remora.detection import Finding, Input, Inputs, add_forms, path

TEXTS = [
    "a.txt", "sub/b.txt", "sub/../a.txt", "../base/a.txt", "../secret",
    "sub/../../secret",
    "./../secret", ".//..//secret", "..hidden", "...", "a..b", "sub/./b.txt",
    "....//secret",
    "../base/../secret", "x/../../base/a.txt",
]  # fmt: skip


@pytest.fixture
def base(tmp_path):
    folder = tmp_path / "base"
    (folder / "sub").mkdir(parents=True)
    (folder / "x").mkdir()
    for name in ("a.txt", "sub/b.txt", "..hidden", "...", "a..b"):
        (folder / name).write_text("open")
    (tmp_path / "secret").write_text("secret")
    return folder


def judged(argument, text):
    return path.judge(argument, Inputs([Input(text, "query", "x")]))


@pytest.mark.parametrize("text", TEXTS)
def test_a_path_is_found_when_it_opens_what_is_outside(base, text):
    argument = f"{base}/{text}"
    try:
        with open(argument) as file:
            is_secret = file.read() == "secret"
    except OSError:
        is_secret = False
    assert isinstance(judged(argument, text), Finding) == is_secret


def test_an_absolute_input_that_replaces_the_folder_is_found(base):
    secret = str(base.parent / "secret")
    assert isinstance(judged(os.path.join(base, secret), secret), Finding)


def test_a_path_that_the_app_has_resolved_inside_its_folder_is_passed(base):
    text = "sub/../a.txt"
    resolved = os.path.realpath(f"{base}/{text}")
    inputs = Inputs(add_forms([Input(text, "query", "x")]))
    assert path.judge(resolved, inputs) is None


def test_a_path_that_was_resolved_up_to_the_root_is_found():
    inputs = Inputs(add_forms([Input("../../../etc/passwd", "query", "x")]))
    resolved = os.path.normpath("/srv/files/../../../etc/passwd")
    assert isinstance(path.judge(resolved, inputs), Finding)


def test_encoded_climbs_are_found_in_what_the_app_decoded(base):
    inputs = Inputs(add_forms([Input("%2e%2e/secret", "query", "x")]))
    assert isinstance(path.judge(f"{base}/../secret", inputs), Finding)


def test_null_bytes_and_file_addresses_are_found(base):
    assert isinstance(judged(f"{base}/a\0.txt", "a\0"), Finding)
    assert isinstance(judged("file:///etc/passwd", "file:///etc/passwd"), Finding)


def test_members_of_an_archive_that_leave_the_folder_are_found(tmp_path):
    archive = tmp_path / "a.zip"
    names = ["ok.txt", "../up.txt", "/abs.txt", "a/../../up", "a/../b", "..x/y"]
    with zipfile.ZipFile(archive, "w") as file:
        for name in names:
            file.writestr(name, "x")
    with zipfile.ZipFile(archive) as file:
        found = [name for name in file.namelist() if path.judge_member(name)]
    assert found == ["../up.txt", "/abs.txt", "a/../../up"]
