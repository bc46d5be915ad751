"""The pack of paths on what opens files: what lies outside of the folder is safe."""

import asyncio
import bz2
import codecs
import contextlib
import filecmp
import fileinput
import glob
import gzip
import importlib.util
import io
import linecache
import logging
import lzma
import mmap
import os
import pathlib
import runpy
import shelve
import shutil
import socket
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import tokenize
import urllib.request
import zipfile

import anyio
import flask
import pytest


def read(opened):
    with opened as file:
        return file.read()


def in_folder(call):
    """The call with the path below the folder as a text."""
    return lambda base, text: call(f"{base}/{text}")


def closed(made):
    made.close()


async def by_anyio(path):
    return await anyio.Path(path).read_text()


def by_flask(path):
    app = flask.Flask("files")
    with app.test_request_context():
        flask.send_file(path).close()


def by_flask_folder(base, text):
    app = flask.Flask("files")
    with app.test_request_context():
        flask.send_from_directory(base, text).close()


def by_mmap(path):
    number = os.open(path, os.O_RDONLY)
    mmap.mmap(number, 0, prot=mmap.PROT_READ).close()
    os.close(number)


def with_folder_number(call):
    def opened(base, text):
        number = os.open(base, os.O_RDONLY)
        try:
            return call(text, number)
        finally:
            os.close(number)

    return opened


def by_module(path):
    spec = importlib.util.spec_from_file_location("guarded_module", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def by_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.connect_ex(path)


async def by_socket_of_a_loop(path):
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_unix_connection(path)
        writer.close()


def by_socket_of_uvloop(path):
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(by_socket_of_a_loop(path))


def by_zip(base, text):
    with zipfile.ZipFile(f"{base}/a.zip", "w") as archive:
        archive.write(f"{base}/{text}")


def by_tar(base, text):
    with tarfile.open(f"{base}/a.tar", "w") as archive:
        archive.add(f"{base}/{text}")


OPENING = {
    "open": in_folder(lambda path: read(open(path))),
    "open of bytes": in_folder(lambda path: read(open(path.encode()))),
    "open of a path": lambda base, text: read(open(base / text)),
    "open by a folder's number": with_folder_number(
        lambda text, number: read(
            open(text, opener=lambda path, flags: os.open(path, flags, dir_fd=number))
        )
    ),
    "io.open": in_folder(
        lambda path: read(io.open(path))  # noqa: UP020 - the same by another name
    ),
    "io.FileIO": in_folder(lambda path: read(io.FileIO(path))),
    "io.FileIO by name": in_folder(lambda path: read(io.FileIO(file=path, mode="w"))),
    "io.open_code": in_folder(lambda path: read(io.open_code(path))),
    "codecs.open": in_folder(lambda path: read(codecs.open(path))),
    "os.open": in_folder(lambda path: os.close(os.open(path, os.O_RDONLY))),
    "os.open dir_fd": with_folder_number(
        lambda text, number: os.close(os.open(text, os.O_RDONLY, dir_fd=number))
    ),
    "Path.open": lambda base, text: read((base / text).open()),
    "Path.read_text": lambda base, text: (base / text).read_text(),
    "Path.read_bytes": lambda base, text: (base / text).read_bytes(),
    "Path.write_text": lambda base, text: (base / text).write_text("secret"),
    "Path.touch": lambda base, text: (base / text).touch(),
    "Path.chmod": lambda base, text: (base / text).chmod(0o600),
    "Path.hardlink_to": lambda base, text: (base / "l").hardlink_to(base / text),
    "Path.symlink_to": lambda base, text: (base / "l").symlink_to(base / text),
    "Path.glob": lambda base, text: list(base.glob(text)),
    "Path.rglob": lambda base, text: list(base.rglob(f"{text}*")),
    "glob.glob": in_folder(lambda path: glob.glob(f"{path}*")),
    "glob.iglob": in_folder(lambda path: list(glob.iglob(f"{path}*"))),
    "os.truncate": in_folder(lambda path: os.truncate(path, 6)),
    "os.chmod": in_folder(lambda path: os.chmod(path, 0o600)),
    "os.utime": in_folder(os.utime),
    "os.link": lambda base, text: os.link(f"{base}/{text}", f"{base}/l"),
    "os.symlink": lambda base, text: os.symlink(f"{base}/{text}", f"{base}/l"),
    "shutil.copy": lambda base, text: shutil.copy(f"{base}/{text}", f"{base}/c"),
    "shutil.copy2": lambda base, text: shutil.copy2(base / text, base / "c"),
    "shutil.copyfile": lambda base, text: shutil.copyfile(base / text, base / "c"),
    "shutil.copy over it": lambda base, text: shutil.copy(base / "open", base / text),
    "linecache": in_folder(linecache.getlines),
    "fileinput": in_folder(lambda path: list(fileinput.input(path))),
    "filecmp": lambda base, text: filecmp.cmp(
        f"{base}/{text}", f"{base}/open", shallow=False
    ),
    "gzip": in_folder(lambda path: closed(gzip.open(path))),
    "bz2": in_folder(lambda path: closed(bz2.open(path))),
    "lzma": in_folder(lambda path: closed(lzma.open(path))),
    "tokenize": in_folder(lambda path: read(tokenize.open(path))),
    "runpy": in_folder(runpy.run_path),
    "import of a file": in_folder(
        lambda path: by_module(path) if path.endswith(".py") else read(open(path))
    ),
    "mmap": in_folder(by_mmap),
    "zip": by_zip,
    "tar": by_tar,
    "tarfile.open": in_folder(tarfile.open),
    "ZipFile": in_folder(zipfile.ZipFile),
    "logging": in_folder(lambda path: logging.FileHandler(path).close()),
    "sqlite3": in_folder(lambda path: sqlite3.connect(path).close()),
    "sqlite3 by URI": in_folder(
        lambda path: sqlite3.connect(f"file:{path}?mode=ro", uri=True).close()
    ),
    "anyio": in_folder(lambda path: asyncio.run(by_anyio(path))),
    "flask.send_file": in_folder(by_flask),
    "file: URL": in_folder(lambda path: read(urllib.request.urlopen(f"file://{path}"))),
    "tempfile": lambda base, text: tempfile.mkstemp(dir=base, prefix=f"{text}-"),
    "a resolved path": in_folder(lambda path: read(open(os.path.realpath(path)))),
    "a normal path": in_folder(lambda path: read(open(os.path.normpath(path)))),
    "an absolute path": in_folder(lambda path: read(open(os.path.abspath(path)))),
    "Path.resolve": lambda base, text: (base / text).resolve().read_text(),
    "Unix socket": in_folder(by_socket),
    "Unix socket of a loop": in_folder(
        lambda path: asyncio.run(by_socket_of_a_loop(path))
    ),
    "Unix socket of uvloop": in_folder(by_socket_of_uvloop),
    "a class of its own": lambda base, text: Own(f"{base}/{text}").read_text(),
    "bytes of its own": in_folder(lambda path: read(open(Text(path)))),
}
CHANGING = {
    "remove": in_folder(os.remove),
    "unlink": in_folder(os.unlink),
    "Path.unlink": lambda base, text: (base / text).unlink(),
    "rename": lambda base, text: os.rename(f"{base}/{text}", f"{base}/n"),
    "rename over it": lambda base, text: os.rename(f"{base}/open", f"{base}/{text}"),
    "replace": lambda base, text: os.replace(f"{base}/{text}", f"{base}/n"),
    "Path.rename": lambda base, text: (base / text).rename(base / "n"),
    "shutil.move": lambda base, text: shutil.move(base / text, base / "n"),
}
FOLDERS = {
    "listdir": in_folder(os.listdir),
    "scandir": in_folder(lambda path: closed(os.scandir(path))),
    "walk": in_folder(lambda path: list(os.walk(path))),
    "fwalk": in_folder(lambda path: list(os.fwalk(path))),
    "Path.iterdir": lambda base, text: list((base / text).iterdir()),
    "Path.glob below": lambda base, text: list((base / text).glob("*")),
    "glob below": in_folder(lambda path: glob.glob(f"{path}/*")),
    "glob root_dir": in_folder(lambda path: glob.glob("*", root_dir=path)),
    "chdir and back": in_folder(lambda path: (os.chdir(path), os.chdir("/"))),
    "rmtree": in_folder(shutil.rmtree),
    "copytree": lambda base, text: shutil.copytree(base / text, base / "copy"),
    "make_archive": lambda base, text: shutil.make_archive(
        f"{base}/a", "zip", base / text
    ),
    "mkdtemp": in_folder(lambda path: tempfile.mkdtemp(dir=path)),
    "mkdir": in_folder(lambda path: os.mkdir(f"{path}/made")),
    "makedirs": in_folder(lambda path: os.makedirs(f"{path}/made/more")),
    "mkfifo": in_folder(lambda path: os.mkfifo(f"{path}/made")),
    "shelve": in_folder(lambda path: shelve.open(f"{path}/made").close()),
    "program's folder": in_folder(
        lambda path: subprocess.run(
            [sys.executable, "-c", ""], cwd=path, check=False, timeout=20
        )
    ),
}
if hasattr(pathlib.Path, "walk"):
    FOLDERS["Path.walk"] = lambda base, text: list((base / text).walk())


class Own(pathlib.PosixPath):
    """As apps make them, with nothing of what makes the text."""

    def size(self):
        return self.stat().st_size


class Text(str):
    __slots__ = ()


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    folder = tmp_path / "base"
    (folder / "inside").mkdir(parents=True)
    (folder / "inside" / "file").write_text("open")
    (folder / "open").write_text("")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("secret")
    (tmp_path / "secret").write_text("")
    return folder


UNKNOWN = [
    OPENING["open by a folder's number"], OPENING["os.open dir_fd"],
    OPENING["Path.glob"], OPENING["Path.rglob"],
]  # fmt: skip
"""These are called with a path below a folder that the argument does not name, so one
that goes up and comes back cannot be told."""


def state_outside(base):
    """Names, contents and modes of what the app has not meant."""
    paths = [
        each for each in sorted(base.parent.rglob("*")) if base not in each.parents
    ]
    found = [(each, each.stat().st_mode) for each in paths]
    return [(*each, each[0].is_file() and each[0].read_bytes()) for each in found]


@pytest.mark.parametrize(
    ("call", "outside", "inside"),
    [
        *[pytest.param(each, "../secret", "open", id=name)
          for name, each in {**OPENING, **CHANGING}.items()],
        *[pytest.param(each, "../outside", "inside", id=name)
          for name, each in FOLDERS.items()],
    ],
)  # fmt: skip
def test_what_is_outside_is_not_touched(call, outside, inside, base, guard, is_stopped):
    guard("path")
    before = state_outside(base)
    assert is_stopped(lambda text: call(base, text), outside)
    assert state_outside(base) == before
    for honest in (inside, f"inside/../{inside}", f"../base/{inside}"):
        if call in UNKNOWN and honest.startswith(".."):
            continue
        assert not is_stopped(lambda text: call(base, text), honest), honest


def test_an_app_that_confines_what_it_has_resolved_is_left_alone(
    base, guard, is_stopped
):
    """It looks where the path leads, refuses, and goes on with its own work."""
    guard("path")

    def confined(text):
        path = (base / text).resolve()
        if not path.is_relative_to(base):
            path = base / "open"
        (base.parent / "secret").read_text()
        return path.read_text()

    for text in ("../outside/file", "../../../../etc/passwd", "..", "../x", "open"):
        assert not is_stopped(confined, text), text
    assert not is_stopped(lambda text: by_flask_folder(base, text), "../secret")
    assert not is_stopped(
        lambda text: read(open(base / os.path.basename(text))), "../open"
    )


def test_what_lies_below_a_resolved_folder_is_found(base, guard, is_stopped):
    guard("path")

    def below(text):
        folder = os.path.abspath(base / text)
        return read(open(f"{folder}/file"))

    assert is_stopped(below, "../outside")
    assert not is_stopped(below, "inside")


def test_members_that_an_app_unpacks_by_itself_are_found(base, guard, is_stopped):
    guard("path")
    with zipfile.ZipFile(base / "a.zip", "w") as archive:
        archive.writestr("../outside/file", "changed")
    with tarfile.open(base / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../outside/file"))

    def unzip(_):
        with zipfile.ZipFile(base / "a.zip") as archive:
            for name in archive.namelist():
                with open(base / name, "wb") as file:
                    file.write(archive.read(name))

    def untar(_):
        with tarfile.open(base / "a.tar") as archive:
            for member in archive:
                with open(base / member.name, "wb") as file:
                    file.write(archive.extractfile(member).read())

    def unzip_all(_):
        with zipfile.ZipFile(base / "a.zip") as archive:
            archive.extractall(base / "unzipped")

    def untar_all(_):
        with tarfile.open(base / "a.tar") as archive:
            archive.extractall(base / "untarred", filter="fully_trusted")

    assert is_stopped(unzip, "a.zip")
    assert is_stopped(untar, "a.tar")
    assert is_stopped(untar_all, "a.tar")
    assert (base.parent / "outside" / "file").read_text() == "secret"
    # zipfile takes such names apart by itself
    assert not is_stopped(unzip_all, "a.zip")
    assert (base / "unzipped" / "outside" / "file").read_text() == "changed"


def link(name, target, kind=tarfile.SYMTYPE):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


ESCAPES = {
    "through a link": [link("a", "../../outside"), tarfile.TarInfo("a/file")],
    "onto a link": [link("a", "../../outside/file"), tarfile.TarInfo("a")],
    "through an absolute link": [link("a", "/nowhere"), tarfile.TarInfo("a/file")],
    "through two links": [
        *(link("here", "."), link("here/up", "../../outside")),
        tarfile.TarInfo("up/file"),
    ],
    "through a link to a link": [
        *(link("here/deeper", ".."), link("up", "here/deeper/../../outside")),
        tarfile.TarInfo("up/file"),
    ],
    "onto a hard link": [
        link("a", "../../outside/file", tarfile.LNKTYPE),
        tarfile.TarInfo("a"),
    ],
    "a hard link through a link": [
        link("a", "../../outside"),
        link("b", "a/file", tarfile.LNKTYPE),
        tarfile.TarInfo("b"),
    ],
}
HONEST = {
    "links to other places": [link("python", "/usr/bin/python3"), link("up", "../x")],
    "links inside": [
        *(link("lib", "usr/lib"), tarfile.TarInfo("usr/lib/a"), link("b", "lib/a")),
        *(tarfile.TarInfo("lib/c"), link("usr/lib/d", "../../usr/lib/a")),
        *(tarfile.TarInfo("usr/lib/d"), link("e", "usr/lib/a", tarfile.LNKTYPE)),
    ],
}


@pytest.mark.parametrize("name", [*ESCAPES, *HONEST])
def test_what_an_archive_writes_through_its_links_stays_inside(
    base, guard, is_stopped, name
):
    members = {**ESCAPES, **HONEST}[name]
    with tarfile.open(base / "a.tar", "w") as archive:
        for each in members:
            archive.addfile(each)

    def untar(_):
        with tarfile.open(base / "a.tar") as archive:
            archive.extractall(base / "to", filter="fully_trusted")

    guard("path")
    assert is_stopped(untar, "a.tar") == (name in ESCAPES)
    assert (base.parent / "outside" / "file").read_text() == "secret"
