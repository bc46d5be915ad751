"""Bytes as the texts that an app may read in them."""

from __future__ import annotations

import re

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)

_REFUSED = frozenset(
    ("idna", "punycode", "undefined", "unicodeescape", "rawunicodeescape", "mbcs")
)  # fmt: skip
"""Codecs for other things than bodies; some take quadratic time."""


def charset_of(content_type: str) -> str:
    """The charset that a content type names, or empty."""
    match = _CHARSET.search(content_type)
    return match[1].lower() if match else ""


def known_charset(name: str) -> str:
    """The name where Python has such a text encoding, or empty."""
    if not name or re.sub(r"[^a-z0-9]", "", name.lower()) in _REFUSED:
        return ""
    try:
        b"a".decode(name, "replace")
    except (LookupError, ValueError):
        return ""
    return name


def read_text(content: bytes, charset: str = "") -> list[str]:
    """The text as UTF-8, which most apps insist on, and in a charset that is named."""
    texts = [content.decode("utf-8", "replace")]
    if known_charset(charset):
        try:
            named = content.decode(charset, "replace")
        except (UnicodeError, ValueError):
            return texts
        if named not in texts:
            texts.append(named)
    return texts
