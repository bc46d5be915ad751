"""Globs in which `*` is any text: matched in one pass, whatever the glob."""

from __future__ import annotations


def matches_glob(text: str, glob: str) -> bool:
    """Whether `text` is meant as a whole.

    The first place of each part is as good as any later one, so nothing is tried twice.
    """
    first, *parts = glob.split("*")
    if not parts:
        return text == glob
    *middle, last = parts
    if not text.startswith(first):
        return False
    position, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return position <= end and text.endswith(last)
