"""Probes from local files: TOML with `[[probe]]` tables, taken whole or not at all."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from remora.errors import (
    ExpressionError,
    ProbeError,
    ProbeFileError,
    TargetError,
    UnknownKeyError,
)
from remora.protocol import parse_probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from remora.protocol import Probe

FILE_BYTES = 4 * 2**20
"""Ten thousand probes: what is larger is some other file."""

_TABLE = re.compile(r"\s*\[\[\s*probe\s*\]\]")
_SUBTABLE = re.compile(r"\s*\[\s*probe\s*\.\s*\"?([\w.-]+)\"?\s*\]")
_KEY = re.compile(r"\s*\"?([\w.-]+)\"?\s*=")


def read_probe_files(
    paths: Sequence[str], carried: Mapping[str, bytes] | None = None
) -> list[Probe]:
    """The probes of all files. An id that two of them use is refused.

    `carried` has the contents of files that are elsewhere, by their names.
    """
    probes: list[Probe] = []
    places: dict[str, str] = {}
    for path in paths:
        content = (carried or {}).get(path)
        probes.extend(_parse_all(path, read_file(path, content), places))
    return probes


def may_mean_main(probes: Iterable[Probe]) -> bool:
    """Whether one of them may be for the module that the process runs.

    Nothing tells when a function of that is there: somebody has to look for it
    (modules/store.py).
    """
    # Late, because `remora run` reads probe files too, and is waited for.
    from remora.agent.runtime import process

    names = process.main_module()
    return any(
        os.path.basename(target.module) in names  # noqa: PTH119 - pathlib is not needed
        if target.line
        else any(map(target.may_touch, names))
        for probe in probes
        for target in probe.target.include
    )


def read_probe_file(path: str) -> list[Probe]:
    """The probes of one file.

    Raises ProbeFileError where the file cannot be read, and ProbeError, TargetError or
    ExpressionError with file, line, key, value and remedy.
    """
    return _parse_all(path, read_file(path, None), {})


def _parse_all(path: str, text: str, places: dict[str, str]) -> list[Probe]:
    import tomllib

    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProbeFileError(f"{path}: no TOML: {error}") from None
    entries = document.pop("probe", [])
    if document:
        raise ProbeFileError(
            f"{path}: {next(iter(document))!r} is no key of a probe file: write "
            "[[probe]] above each probe"
        )
    if not isinstance(entries, list):
        raise ProbeFileError(
            f"{path}: 'probe' is one table: write [[probe]] with two brackets"
        )
    source = _Source(path, text)
    return [
        _parse(entry, position, source, places)
        for position, entry in enumerate(entries)
    ]


def read_file(path: str, content: bytes | None) -> str:
    """The text of a file, `content` being what was read of it elsewhere.

    Raises ProbeFileError.
    """
    try:
        if content is None:
            with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not needed
                content = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise ProbeFileError(
            f"the file {path!r} cannot be read: {error.strerror}"
        ) from None
    data = content
    if len(data) > FILE_BYTES:
        raise ProbeFileError(
            f"the file {path!r} is larger than {FILE_BYTES} bytes: is it ours?"
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ProbeFileError(
            f"the file {path!r} is no UTF-8 at byte {error.start}"
        ) from None


def _parse(
    entry: object, position: int, source: _Source, places: dict[str, str]
) -> Probe:
    default_id = f"{_stem(source.path)}-{position + 1}"
    try:
        probe = parse_probe(entry, default_id=default_id)
    except (ProbeError, TargetError, ExpressionError) as error:
        place = source.place(position, str(error))
        kind = ProbeError if isinstance(error, UnknownKeyError) else type(error)
        raise kind(f"{place}: {error}") from None
    place = source.place(position, "id")
    if probe.id in places:
        raise ProbeError(
            f"{place}: id {probe.id!r} is used before at {places[probe.id]}: give "
            "each probe an id of its own"
        )
    places[probe.id] = place
    return probe


def _stem(path: str) -> str:
    name = path.rpartition("/")[2].removesuffix(".toml")
    return re.sub(r"[^A-Za-z0-9._-]", "-", name).strip("._-")[:80] or "probe"


class _Source:
    """The text of a file, to find the line of a mistake: tomllib keeps no positions."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self._lines = text.splitlines()
        self._starts = [
            number for number, line in enumerate(self._lines) if _TABLE.match(line)
        ]

    def place(self, position: int, about: str) -> str:
        """`file:line` of the key that `about` speaks of, or of the probe's start."""
        if position >= len(self._starts):
            return self.path
        start = self._starts[position]
        after = self._starts[position + 1 :]
        end = after[0] if after else len(self._lines)
        best: tuple[int, int, int] | None = None
        table = ""
        for number in range(start + 1, end):
            line = self._lines[number]
            if header := _SUBTABLE.match(line):
                table = key = header[1]
            elif match := _KEY.match(line):
                key = f"{table}.{match[1]}" if table else match[1].split(".")[0]
            else:
                continue
            found = _mention(about, key)
            # of two that are named at one place, the longer name says more
            if found >= 0 and (best is None or (found, -len(key)) < best[:2]):
                best = (found, -len(key), number)
        return f"{self.path}:{(best[2] if best else start) + 1}"


def _mention(about: str, key: str) -> int:
    """Where a message names a key as a word, or -1."""
    match = re.search(rf"(?<![\w.]){re.escape(key)}(?!\w)", about)
    return match.start() if match else -1
