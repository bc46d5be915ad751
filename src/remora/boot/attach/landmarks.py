"""The addresses that the injector needs in a process, and what they say about it."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remora.boot.attach.elf import MAGIC, Image
from remora.boot.attach.region import FUNCTIONS, PENDING
from remora.errors import AttachError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remora.boot.attach.architecture import Architecture
    from remora.boot.attach.memory import Mapping, Memory

OLDEST, NEWEST = (3, 11), (3, 13)
"""The versions that the agent was tested on."""

_VERSION = "Py_Version"
_PYTHON_NAMES = (
    *(name for name in FUNCTIONS if name.startswith("Py")),
    PENDING,
    _VERSION,
)
_C_NAMES = tuple(name for name in FUNCTIONS if not name.startswith("Py"))
_LIBPYTHON = re.compile(r"/libpython\d")
_NAMED_VERSION = re.compile(r"python(\d+)\.(\d+)")
_LIBC = re.compile(r"/(libc[.-]|libc\.musl|ld-musl|libpthread)")


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Where what we call lies.

    `system_call` is the address of the instruction in the C library, `way_back` that of
    its code that calls sigreturn, `way_back_entry` where the kernel sees that call.
    """

    version: tuple[int, int, int]
    functions: dict[str, int]
    system_call: int
    way_back: int
    way_back_entry: int


def find_landmarks(
    pid: int, mappings: Sequence[Mapping], memory: Memory, architecture: Architecture
) -> Landmarks:
    """Find them. Raises AttachError with the reason where there is no such Python."""
    python = _find_python(pid, mappings, memory)
    version = _read_version(pid, python, mappings, memory)
    missing = [name for name in _PYTHON_NAMES if name not in python]
    if missing:
        raise AttachError(
            f"process {pid} is a Python whose program exports no {missing[0]}: it was "
            "linked without its symbols and cannot be attached to; start it with "
            "`remora run`"
        )
    library = _find_in(mappings, memory, _C_NAMES, _LIBC)
    if missing := [name for name in _C_NAMES if name not in library]:
        raise AttachError(
            f"process {pid} has a C library without {missing[0]}: it cannot be "
            "attached to; start it with `remora run`"
        )
    call, back, entry = _find_instructions(pid, mappings, memory, architecture)
    return Landmarks(version, {**python, **library}, call, back, entry)


def _find_python(
    pid: int, mappings: Sequence[Mapping], memory: Memory
) -> dict[str, int]:
    """What the interpreter exports; refuses what is none."""
    found = _find_in(mappings, memory, _PYTHON_NAMES, _LIBPYTHON)
    if found:
        return found
    paths = {mapping.path for mapping in mappings}
    if any("pypy" in path for path in paths):
        raise AttachError(
            f"process {pid} is PyPy: the agent needs CPython 3.11 to 3.13"
        )
    if any("python" in path.rpartition("/")[2] for path in paths):
        raise AttachError(
            f"process {pid} is a Python whose symbols were stripped, so that its "
            "functions cannot be found: start it with `remora run`"
        )
    raise AttachError(f"process {pid} is no CPython: look for the right one with ps")


def _read_version(
    pid: int,
    python: dict[str, int],
    mappings: Sequence[Mapping],
    memory: Memory,
) -> tuple[int, int, int]:
    """The interpreter's version. Raises AttachError where it is not served."""
    if _VERSION in python:
        word = struct.unpack("<I", memory.read(python[_VERSION], 4))[0]
        version = (word >> 24, word >> 16 & 0xFF, word >> 8 & 0xFF)
        name = ".".join(map(str, version))
    else:
        # 3.11 was the first to export its number
        named = (_NAMED_VERSION.search(mapping.path) for mapping in mappings)
        number = next((match for match in named if match), None)
        version = (3, 0, 0)
        name = f"{number[1]}.{number[2]}" if number else "older than 3.11"
    if not OLDEST <= version[:2] <= NEWEST:
        raise AttachError(
            f"process {pid} is CPython {name}: the agent needs CPython 3.11 to 3.13"
        )
    return version


def _find_in(
    mappings: Sequence[Mapping],
    memory: Memory,
    names: Sequence[str],
    first: re.Pattern[str],
) -> dict[str, int]:
    """The addresses of those of these names that are exported.

    Files that `first` matches are asked first, then the program, then all others: an
    interpreter may be part of the program or of any library of an embedder's.
    """
    found: dict[str, int] = {}
    for start in _images(mappings, first):
        try:
            image = Image(memory, start)
        except (AttachError, OSError):
            continue
        found = {**image.find(names), **found}
        if len(found) == len(names):
            break
    return found


def _images(mappings: Sequence[Mapping], first: re.Pattern[str]) -> Iterator[int]:
    heads = {
        mapping.path: mapping.start
        for mapping in reversed(mappings)
        if mapping.offset == 0 and mapping.path.startswith("/")
    }
    code = {mapping.path for mapping in mappings if mapping.is_code}
    paths = [path for path in reversed(heads) if path in code]
    for path in sorted(paths, key=lambda path: first.search(path) is None):
        yield heads[path]


def _find_instructions(
    pid: int, mappings: Sequence[Mapping], memory: Memory, architecture: Architecture
) -> tuple[int, int, int]:
    """The instruction for a system call, and the way into sigreturn and its end."""
    for mapping in mappings:
        if not (mapping.is_code and _LIBC.search(mapping.path)):
            continue
        code = memory.read_some(mapping.start, mapping.end - mapping.start)
        call = code.find(architecture.system_call)
        for form in architecture.way_back:
            back = code.find(form)
            if call >= 0 and back >= 0:
                start = mapping.start
                return start + call, start + back, start + back + len(form)
    raise AttachError(
        f"process {pid} has a C library of an unknown kind: it cannot be attached to; "
        "start it with `remora run`"
    )


def read_machine(memory: Memory, mappings: Sequence[Mapping]) -> tuple[int, bool]:
    """The processor that the program is for, and whether it has 64 bits."""
    for mapping in mappings:
        if mapping.offset == 0 and mapping.path.startswith("/"):
            head = memory.read_some(mapping.start, 20)
            if head[:4] == MAGIC:
                return struct.unpack_from("<H", head, 18)[0], head[4] == 2
    return 0, False
