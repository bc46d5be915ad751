"""Text from elsewhere, made harmless for a terminal."""

from __future__ import annotations

import re

# C0, DEL, C1; marks that reorder or hide text; separators that break lines; tags;
# lone surrogates, which no stream can write.
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def escape(text: str) -> str:
    """`text` with control characters written out instead of obeyed."""
    return _HARMFUL.sub(_write_out, text)


def _write_out(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
