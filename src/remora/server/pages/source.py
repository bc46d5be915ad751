"""A probe's keys as the TOML that a person would write, plain and in colours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers.configs import TOMLLexer

if TYPE_CHECKING:
    from collections.abc import Mapping

_ESCAPED = re.compile(
    '["\\\\\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]'
)
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


def probe_toml(source: Mapping[str, object]) -> str:
    """The `[[probe]]` table of a probe file with these keys."""
    lines = [
        f"{_key(key)} = {_value(value)}"
        for key, value in source.items()
        if key != "expires_at"  # set by the server, not by whoever writes the file
    ]
    return "\n".join(["[[probe]]", *lines]) + "\n"


def coloured(toml: str) -> Markup:
    """TOML as HTML whose classes static/remora.css knows."""
    html: str = highlight(toml, TOMLLexer(), HtmlFormatter(nowrap=True))
    return Markup(html)  # noqa: S704 - Pygments escapes what it formats


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        pairs = (f"{_key(str(key))} = {_value(item)}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return _text(value) if isinstance(value, str) else str(value)


def _key(key: str) -> str:
    return key if _BARE_KEY.match(key) else _text(key)


def _text(text: str) -> str:
    return f'"{_ESCAPED.sub(lambda found: _escape(found[0]), text)}"'


def _escape(character: str) -> str:
    return _SHORT.get(character) or f"\\u{ord(character):04x}"
