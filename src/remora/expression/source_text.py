"""Parsing of source text, for every part of the agent that makes code of it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_TRIES = 10


def parse_source(text: str) -> ast.Module:
    """The statements of a text, as `ast.parse` has them."""
    return _parse(text, "exec")


def parse_expression(text: str) -> ast.expr:
    """The one expression that a text is, as `ast.parse` has it."""
    return _parse(text, "eval").body


def _parse(text: str, mode: str) -> Any:
    """Parse, also where another thread does the same at this moment.

    CPython 3.11 counts the depth of nesting for all threads together (`ast2obj` in
    Python-ast.c). Where a garbage collection lets another thread parse in between, the
    first finds its count wrong and raises SystemError: then it is done again.
    """
    for _ in range(_TRIES):
        try:
            return ast.parse(text, mode=mode)
        except SystemError:
            continue
    return ast.parse(text, mode=mode)
