"""Lines of the app's own source, read by the worker for records that show them.

Not `linecache`: its cache is the app's, and it reads through whatever the app has put
in the place of `open`. Imported where attacks are reported, and nowhere else.
"""

from __future__ import annotations

import os
import stat
import sys

from remora.agent.runtime import originals

FILE_BYTES = 2 * 2**20
"""Bytes of one file that are looked at: larger ones are generated."""

LINE_LIMIT = 300
"""Characters of a line."""

NEIGHBOURS = 4
"""Lines on each side of one: enough to see where a statement begins and what it is."""

_FILES_LIMIT = 8
"""Files that are kept: the attacks of an hour come to a few places."""

_PLACES = ("/site-packages/", "/dist-packages/")
_LIBRARY = os.path.dirname(os.__file__) + "/"  # noqa: PTH120 - pathlib is not needed

_files: dict[str, tuple[object, list[bytes]]] = {}


def is_own_file(file: str) -> bool:
    """Whether a frame of this file is the app's: no library's, no generated code's."""
    if file[:1] == "<" or not file:
        return False
    if any(place in file for place in _PLACES):
        return False
    return not file.startswith((_LIBRARY, sys.base_prefix + "/lib/python"))


def source_line(file: str, line: int) -> str:
    """The line of a source file without its indentation, or nothing."""
    return "".join(_read_lines(file, line, line)).strip()[:LINE_LIMIT].rstrip()


def source_around(file: str, line: int) -> tuple[list[str], str, list[str]]:
    """A line with its neighbours, without the indentation that all of them have."""
    first = max(1, line - NEIGHBOURS)
    texts = _read_lines(file, first, line + NEIGHBOURS)
    at = line - first
    if at >= len(texts):
        return [], "", []
    margins = [len(text) - len(text.lstrip()) for text in texts if text.strip()]
    margin = min(margins, default=0)
    cut = [_cut(text, margin) for text in texts]
    return cut[:at], cut[at], cut[at + 1 :]


def _cut(text: str, margin: int) -> str:
    """As much of a line as `source_line` gives, behind its own indentation."""
    indentation = len(text) - len(text.lstrip())
    return text[margin : indentation + LINE_LIMIT].rstrip()


def _read_lines(file: str, first: int, last: int) -> list[str]:
    """These lines as far as they are there, tabs as blanks."""
    try:
        lines = _lines_of(file)
    except (OSError, ValueError):
        return []
    if not 0 < first <= len(lines):
        return []
    return [
        text.decode("utf-8", "replace").expandtabs() for text in lines[first - 1 : last]
    ]


def _lines_of(file: str) -> list[bytes]:
    """The lines of a file, from the last time where it is still the same."""
    found = originals.stat(file)
    if not stat.S_ISREG(found.st_mode) or found.st_size > FILE_BYTES:
        return []
    version = (found.st_mtime_ns, found.st_size, found.st_ino)
    known = _files.get(file)
    if known is not None and known[0] == version:
        return known[1]
    lines = _read(file).splitlines()
    if len(_files) >= _FILES_LIMIT:
        _files.clear()
    _files[file] = version, lines
    return lines


def _read(file: str) -> bytes:
    # Not to wait where somebody has put a pipe there meanwhile.
    descriptor = originals.open_fd(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    pieces: list[bytes] = []
    room = FILE_BYTES
    try:
        while room > 0 and (piece := originals.read_fd(descriptor, min(room, 2**16))):
            pieces.append(piece)
            room -= len(piece)
    finally:
        originals.close_fd(descriptor)
    return b"".join(pieces)
