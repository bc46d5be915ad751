"""Paths: input that leads out of the folder that the app named.

The folder is what stands before the input, up to its last slash. The path is resolved
as text, so input that goes up and comes back, or that the app has confined by itself,
is none; links in the file system are not followed here. POSIX paths only.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from remora.detection.finding import Finding, NotMade, Verdict
from remora.detection.inputs import Input, Occurrence, locate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remora.detection.inputs import Inputs

PATH_LIMIT = 64 * 1024
"""Characters of a path: the system takes 4096 bytes."""

_WORK_LIMIT = 4 * 1024 * 1024
"""Characters of folders that are resolved for one path: some milliseconds."""

_NAME_LIMIT = 4096
"""Characters of a member's name or a link's target: the system takes no more bytes."""

_LINKS_LIMIT = 40
"""Links on the way to one member: the system follows as many."""

_NOWHERE = frozenset(("", "."))

_CAN_MATTER = re.compile(r"\.\.|\A/|\Afile:|\x00|%2e", re.IGNORECASE).search
_FILE_URL = re.compile(r"file:(?://(?:localhost)?(?=/))?", re.IGNORECASE)


def judge(argument: str, inputs: Inputs) -> Verdict:
    """Find the first input that takes a path out of the folder before it."""
    if len(argument) > PATH_LIMIT:
        return NotMade(f"the path has more than {PATH_LIMIT} characters")
    found = inputs.occurring(argument, _CAN_MATTER)
    if isinstance(found, NotMade):
        return found
    places = locate(argument, found)
    if isinstance(places, NotMade):
        return places
    if len(places) * len(argument) > _WORK_LIMIT:
        return NotMade(f"inputs stand at {len(places)} places of a long path")
    for place in places:
        sentence = _judge_place(argument, place)
        if sentence:
            return _finding(argument, place, sentence)
    return NotMade(inputs.cut) if inputs.cut else None


def words_in(argument: str) -> tuple[str, ...]:
    """The words that matter if they are inputs: no path leaves a folder by a word."""
    del argument
    return ()


def judge_member(
    name: str,
    links: Mapping[str, str] | None = None,
    *,
    follows: bool = True,
) -> Finding | None:
    """Judge the name of an archive's member, which is input by itself.

    `links` are the symbolic links that the archive has made so far, by where they lie.
    With `follows` what is made would go through a link of the same name.
    """
    place = Occurrence(Input(name, "archive", "member"), 0, len(name))
    sentence = _judge_place(name, place)
    if not sentence and links and place_of_member(name, links, follows=follows) is None:
        sentence = "follows a link out of the archive's folder"
    return _finding(name, place, sentence) if sentence else None


def place_of_member(
    name: str, links: Mapping[str, str], *, follows: bool = True
) -> str | None:
    """Where a member lies below the folder once links are followed; None outside."""
    parts, place, followed = name.split("/")[::-1], list[str](), 0
    if len(name) > _NAME_LIMIT:
        return name
    while parts:
        part = parts.pop()
        if part == "..":
            if not place:
                return None
            place.pop()
        elif part not in _NOWHERE:
            place.append(part)
            target = links.get("/".join(place)) if parts or follows else None
            if target is None or len(target) > _NAME_LIMIT:
                continue
            followed += 1
            if target.startswith("/") or followed > _LINKS_LIMIT:
                return None
            place.pop()
            parts += target.split("/")[::-1]
    return "/".join(place)


def _judge_place(argument: str, place: Occurrence) -> str:
    text = place.input.text
    if "\0" in text:
        return "cuts the path off with a null byte"
    before = argument[: place.start]
    if not before:
        url = _FILE_URL.match(argument)
        if url:
            return "names a file of its own by a file: URL"
        return _judge_beginning(argument, place)
    url = _FILE_URL.match(argument)
    if url and place.start >= url.end():
        before, argument = unquote(before[url.end() :]), unquote(argument[url.end() :])
        text = unquote(text)
    if ".." not in text:
        return ""
    base = posixpath.normpath(before[: before.rfind("/") + 1] or ".")
    return "" if _is_inside(argument, base) else f"leaves {base}"


def _judge_beginning(argument: str, place: Occurrence) -> str:
    """The input is the beginning of the path: the folder is where the app runs."""
    if argument.startswith("/"):
        is_name = len(place.input.text.strip("/")) > 0
        return "is an absolute path" if is_name else ""
    return "" if _is_inside(argument, ".") else "leaves the current folder"


def _is_inside(path: str, base: str) -> bool:
    resolved = posixpath.normpath(path)
    if base == ".":
        return resolved != ".." and not resolved.startswith(("../", "/"))
    below = base.rstrip("/") + "/"
    return resolved == base or (
        resolved.startswith(below)
        and not resolved.startswith(below + "../")
        and resolved != below + ".."
    )


def _finding(argument: str, place: Occurrence, sentence: str) -> Finding:
    out = argument.find("..", place.start, place.end)
    return Finding(
        "path",
        place.input,
        place.start,
        place.end,
        max(out, place.start),
        f"the input {sentence}",
        argument[: place.start][-200:] + "INPUT" + argument[place.end :][:200],
        posixpath.normpath(argument[:4096].replace("\0", "␀")),
    )
