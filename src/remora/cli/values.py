"""Values of records (docs/protocol.md, Values) as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.cli.answers import get_number, get_object, get_text
from remora.cli.output import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remora.cli.answers import JsonObject

INLINE_LIMIT = 72
"""Characters up to which a value stays on the line of its name."""

DEPTH_LIMIT = 12
"""Levels shown: an agent captures three; more can only come from a lying server."""

_BRACKETS = {
    "list": ("[", "]"),
    "tuple": ("(", ")"),
    "set": ("{", "}"),
    "frozenset": ("frozenset({", "})"),
    "deque": ("deque([", "])"),
}


def format_value(value: object, depth: int = 0) -> str:
    """One line that reads like Python."""
    if depth > DEPTH_LIMIT:
        return "…"
    if isinstance(value, list):
        return f"[{', '.join(format_value(item, depth + 1) for item in value)}]"
    if not isinstance(value, dict):
        return repr(value)
    if "$" in value:
        return _format_form(value, depth + 1)
    pairs = (f"{key!r}: {format_value(item, depth + 1)}" for key, item in value.items())
    return f"{{{', '.join(pairs)}}}"


def _format_form(value: JsonObject, depth: int) -> str:
    form = get_text(value, "$")
    if form in _BRACKETS or form == "dict":
        return _format_sequence(value, form, depth)
    if form == "object":
        if cut := get_text(value, "cut"):
            return f"<{get_text(value, 'type')}: {cut}>"
        inner = _format_fields(get_object(value, "fields"), depth)
        return f"{_short(get_text(value, 'type'))}({inner}{_cut(value, 'fields')})"
    if form == "exception":
        inner = repr(get_text(value, "message"))
        return f"{_short(get_text(value, 'type'))}({inner})"
    return _format_scalar(value, form)


def _format_scalar(value: JsonObject, form: str) -> str:
    text = get_text(value, "text")
    match form:
        case "int":
            digits = value.get("digits")
            return f"{text}… ({digits} digits)" if digits else text
        case "float":
            return text
        case "text" if "escaped" in value:
            return f"'{get_text(value, 'escaped')}'"
        case "text":
            return f"{text!r}… ({get_number(value, 'length')} characters)"
        case "bytes":
            return _format_bytes(value)
        case "enum":
            return f"{_short(get_text(value, 'type'))}.{get_text(value, 'name')}"
        case "type":
            return f"<class {get_text(value, 'name')}>"
        case "function":
            return f"<function {get_text(value, 'name')}>"
        case "missing":
            reason = get_text(value, "reason")
            return "missing" if reason in {"", "absent"} else f"missing ({reason})"
        case "redacted":
            return f"redacted ({get_text(value, 'reason')})"
        case _:
            return f"<{form}>"


def _format_bytes(value: JsonObject) -> str:
    from base64 import b64decode

    try:
        start = b64decode(get_text(value, "base64"), validate=True)
    except ValueError:
        return "<bytes>"
    length = get_number(value, "length")
    return f"{start!r}" + (f"… ({length} bytes)" if length > len(start) else "")


def _format_sequence(value: JsonObject, form: str, depth: int) -> str:
    if form == "dict":
        pairs = ", ".join(
            f"{format_value(key, depth)}: {format_value(item, depth)}"
            for key, item in _entries(value)
        )
        return f"{{{pairs}{_cut(value, 'entries')}}}"
    opening, closing = _BRACKETS[form]
    items = [format_value(item, depth) for item in _list(value, "items")]
    inner = ", ".join(items) + _cut(value, "items")
    if form == "tuple" and len(items) == 1 and inner == items[0]:
        inner += ","
    if form == "set" and not inner:
        return "set()"
    return f"{opening}{inner}{closing}"


def _format_fields(fields: JsonObject, depth: int) -> str:
    return ", ".join(
        f"{name}={format_value(item, depth)}" for name, item in fields.items()
    )


def value_lines(
    name: str, value: object, indent: str = "", depth: int = 0
) -> Iterator[list[Span]]:
    """A small tree: the name with its value, or with the parts of it below."""
    inline = format_value(value)
    children = list(_children(value)) if len(inline) > INLINE_LIMIT else []
    if not children or depth >= DEPTH_LIMIT:
        yield [Span(indent), Span(name, "cyan"), Span(" = "), Span(inline)]
        return
    yield [Span(indent), Span(name, "cyan"), Span(" = "), Span(_title(value), "dim")]
    for child, item in children:
        yield from value_lines(child, item, f"{indent}  ", depth + 1)
    if isinstance(value, dict) and (rest := _rest(value)):
        yield [Span(f"{indent}  … {rest} more", "dim")]


def _children(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, list):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, dict):
        if "$" not in value:
            yield from ((repr(key), item) for key, item in value.items())
        elif isinstance(fields := value.get("fields"), dict):
            yield from ((str(key), item) for key, item in fields.items())
        elif value["$"] == "dict":
            yield from ((format_value(key), item) for key, item in _entries(value))
        else:
            items = _list(value, "items")
            yield from ((f"[{index}]", item) for index, item in enumerate(items))


def _title(value: object) -> str:
    if isinstance(value, list):
        return f"list of {len(value)}"
    if not isinstance(value, dict) or "$" not in value:
        return f"dict of {len(value) if isinstance(value, dict) else 0}"
    form = get_text(value, "$")
    if form == "exception":
        return f"{get_text(value, 'type')}: {get_text(value, 'message')}"
    if form == "object":
        return get_text(value, "type")
    return f"{form} of {get_number(value, 'length')}"


def _rest(value: JsonObject) -> int:
    """Parts that were cut off."""
    for key in ("items", "entries", "fields"):
        parts = value.get(key)
        if isinstance(parts, (list, dict)) and "$" in value:
            return max(0, get_number(value, "length") - len(parts))
    return 0


def _cut(value: JsonObject, key: str) -> str:
    rest = _rest(value)
    if not rest:
        return ""
    return f", … {rest} more" if value.get(key) else f"… {rest} more"


def _entries(value: JsonObject) -> Iterator[tuple[object, object]]:
    for entry in _list(value, "entries"):
        if isinstance(entry, list) and len(entry) == 2:
            yield entry[0], entry[1]


def _list(value: JsonObject, key: str) -> list[object]:
    items = value.get(key)
    return items if isinstance(items, list) else []


def _short(name: str) -> str:
    return name.rpartition(".")[2]
