"""Targets: the address of code, as text (docs/reference/targets.md has the table)."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

from remora.errors import TargetError
from remora.values import frozen

_LINE = re.compile(r"(?P<file>.+\.py):(?P<line>\d+)\Z")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*\Z")
_MODULE_GLOB = re.compile(r"[\w*]+(\.[\w*]+)*\Z")
_PATH = re.compile(
    r"([^\W\d]\w*|<locals>|<lambda>)(\.([^\W\d]\w*|<locals>|<lambda>))*\Z"
)
_PATH_GLOB = re.compile(r"[\w*<>]+(\.[\w*<>]+)*\Z")

TARGET_TEXT_LIMIT = 1000
"""Characters of one target: the longest real qualified names are below 200."""


class TargetKind(Enum):
    """How a target says where its code is."""

    NAME = "name"
    LINE = "line"
    GLOB = "glob"


@frozen
class Target:
    """One address of code.

    `module` is a module's name or glob, or for a line the end of a file's path;
    `path` is the qualified name or glob within the module.
    """

    text: str
    kind: TargetKind
    module: str
    path: str
    line: int = 0

    def may_touch(self, module: str) -> bool:
        """Whether code of a module of this name can be meant."""
        if self.kind is TargetKind.GLOB:
            return _module_pattern(self.module).match(module) is not None
        return self.kind is TargetKind.LINE or self.module == module

    def matches(self, module: str, path: str) -> bool:
        """Whether the function `path` of `module` is meant. Lines never match here."""
        if self.kind is TargetKind.NAME:
            return self.module == module and self.path == path
        if self.kind is TargetKind.LINE:
            return False
        return (
            _module_pattern(self.module).match(module) is not None
            and _path_pattern(self.path).match(path) is not None
        )


@frozen
class TargetSet:
    """What a probe is aimed at: targets, less the excluded ones."""

    include: tuple[Target, ...]
    exclude: tuple[Target, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts it was made from, exclusions with their `!`."""
        return tuple(target.text for target in (*self.include, *self.exclude))

    def excludes(self, module: str, path: str) -> bool:
        """Whether an exclusion covers the function `path` of `module`."""
        return any(target.matches(module, path) for target in self.exclude)


def parse_target(text: object) -> Target:
    """Read one target. Raises TargetError with the remedy."""
    if not isinstance(text, str) or not text.strip():
        raise TargetError(f"target {text!r} is empty: write module:function")
    text = text.strip()
    if len(text) > TARGET_TEXT_LIMIT:
        raise TargetError(
            f"target {text[:60]!r}… is longer than {TARGET_TEXT_LIMIT} characters"
        )
    if match := _LINE.match(text):
        line = int(match["line"])
        if line < 1:
            raise TargetError(f"target {text!r}: lines are counted from 1")
        return Target(text, TargetKind.LINE, match["file"], "", line)
    module, colon, path = text.partition(":")
    if not colon or not path:
        raise TargetError(
            f"target {text!r} has no ':' between module and name: write "
            "'package.module:function', 'package.module:Class.method' or "
            "'package/module.py:42'"
        )
    if "*" in text:
        if _MODULE_GLOB.match(module) and _PATH_GLOB.match(path):
            return Target(text, TargetKind.GLOB, module, path)
    elif _MODULE.match(module) and _PATH.match(path):
        return Target(text, TargetKind.NAME, module, path)
    raise TargetError(
        f"target {text!r} is no address of code: write 'package.module:Class.method', "
        "'package.**:*' or 'package/module.py:42'"
    )


def parse_targets(value: object) -> TargetSet:
    """Read the `target` of a probe: one text, or a list; some may start with `!`."""
    texts: list[object] = value if isinstance(value, list) else [value]
    include: list[Target] = []
    exclude: list[Target] = []
    for text in texts:
        if isinstance(text, str) and text.strip().startswith("!"):
            exclude.append(_parse_exclusion(text.strip()))
        else:
            include.append(parse_target(text))
    if not include:
        raise TargetError(f"target {value!r} names nothing to probe, only exclusions")
    return TargetSet(tuple(include), tuple(exclude))


def _parse_exclusion(text: str) -> Target:
    bare = text[1:]
    target = parse_target(bare if ":" in bare else f"{bare}:**")
    if target.kind is TargetKind.LINE:
        raise TargetError(f"target {text!r}: a line cannot be excluded")
    return Target(text, TargetKind.GLOB, target.module, target.path)


@lru_cache(256)
def _module_pattern(glob: str) -> re.Pattern[str]:
    """`**` is any number of packages, none included; `*` any text without a dot.

    Each repetition is bounded by the dots, so that no name makes a match take long.
    """
    pattern = ""
    dot = ""
    parts = glob.split(".")
    for position, part in enumerate(parts):
        if part != "**":
            pattern += dot + r"\w*".join(re.escape(p) for p in part.split("*"))
            dot = r"\."
        elif dot:
            pattern += r"(?:\.\w+)*"
        elif position == len(parts) - 1:
            pattern += r"\w+(?:\.\w+)*"
        else:
            pattern += r"(?:\w+\.)*"
    return re.compile(pattern + r"\Z")


@lru_cache(256)
def _path_pattern(glob: str) -> re.Pattern[str]:
    """A lone `*` is every function and every method of a class, as `**` is."""
    if glob in {"*", "**"}:
        return re.compile(r"[^<>]+\Z")
    pattern = r"[\w<>]*".join(re.escape(part) for part in glob.split("*"))
    return re.compile(pattern + r"\Z")
