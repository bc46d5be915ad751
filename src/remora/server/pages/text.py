"""Text from apps as pages show it: escaped, cut, and with nothing hidden in it.

All of it is hostile until shown to be harmless. Templates escape by themselves; what
this module adds is what escaping does not do: characters that cannot be seen or that
turn the direction of writing are spelled out, and long texts are cut.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from markupsafe import Markup, escape

SUMMARY_CHARACTERS = 300
"""Shown at once: two or three lines of a wide screen."""

LIST_CHARACTERS = 4000
"""Shown on demand in a list: 100 records of this size still make a page that loads at
once. A record's own page shows it whole."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def shown(text: object, limit: int = LIST_CHARACTERS) -> Markup:
    """`text` for a page, behind a fold where it is long, cut at `limit`."""
    whole = str(text)
    if len(whole) <= SUMMARY_CHARACTERS:
        return Markup('<span class="text">{}</span>').format(_spelled_out(whole))
    rest = _spelled_out(whole[:limit])
    if len(whole) > limit:
        rest += Markup(' <span class="cut">… cut here</span>')
    return Markup(
        '<details class="long"><summary><span class="text">{}</span> '
        '<span class="cut">… {} characters</span></summary>'
        '<span class="text">{}</span></details>'
    ).format(_spelled_out(whole[:SUMMARY_CHARACTERS]), f"{len(whole):,}", rest)


def label(text: object, limit: int = 80) -> Markup:
    """`text` on one line, for a cell or a link; the rest of a long one is left out."""
    whole = str(text).replace("\n", "\u2424")
    cut = whole if len(whole) <= limit else whole[: limit - 1] + "…"
    return Markup('<bdi class="label">{}</bdi>').format(_spelled_out(cut))


def marked(text: object, mark: object) -> Markup:
    """`text` whole, with the part between two places in it marked."""
    whole = str(text)
    start, end = 0, 0
    if isinstance(mark, list) and len(mark) == 2:
        start, end = (each if isinstance(each, int) else 0 for each in mark)
    inside = _spelled_out(whole[start:end])
    return Markup('<span class="text">{}{}{}</span>').format(
        _spelled_out(whole[:start]),
        Markup("<mark>{}</mark>").format(inside) if inside else "",
        _spelled_out(whole[max(start, end) :]),
    )


def plain(text: object, limit: int = 500) -> str:
    """`text` for an attribute such as a title, which the template escapes."""
    return _HIDDEN.sub(lambda found: _name(found[0]), str(text))[:limit]


def moment(time_ns: int, now_ns: int) -> Markup:
    """A time as the span since then, with the exact time as its title."""
    try:
        exact = datetime.fromtimestamp(time_ns / 1e9, UTC)
    except (ValueError, OverflowError, OSError):
        return Markup('<span class="note">no time</span>')
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact.isoformat(timespec="milliseconds"),
        f"{exact:%Y-%m-%d %H:%M:%S}.{exact.microsecond // 1000:03d} UTC",
        span((now_ns - time_ns) / 1e9),
    )


def span(seconds: float) -> str:
    """A span of time in its largest unit, as `3 min ago` or `in 50 min`."""
    size = abs(seconds)
    if size < 1:
        return "now"
    number, unit = next(
        (int(size // length), name) for length, name in _UNITS if size >= length
    )
    return f"{number} {unit} ago" if seconds > 0 else f"in {number} {unit}"


def _spelled_out(text: str) -> Markup:
    parts: list[Markup] = []
    end = 0
    for found in _HIDDEN.finditer(text):
        parts.append(escape(text[end : found.start()]))
        name = _name(found[0])
        parts.append(Markup('<span class="hidden-character">{}</span>').format(name))
        end = found.end()
    parts.append(escape(text[end:]))
    return Markup().join(parts)


def _name(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
