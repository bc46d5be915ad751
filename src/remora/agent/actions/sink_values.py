"""What a sink's argument says, read without running code of the app.

Texts, bytes and paths are read by the builtins' own methods; what a driver composes an
SQL statement of is read where its objects store it. What else an app hands in is no
text that anybody could judge, and is said to be so.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.expression import Kind, kind_of, read_attribute, type_mro, type_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remora.agent.interception import AppValue

PARTS_LIMIT = 5000
"""Pieces of a composed statement, and arguments of a command."""

_DEPTH_LIMIT = 20

_PATHS = ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")

_PATH_TEXT = frozenset(
    ("__str__", "__fspath__", "__getattribute__", "__getattr__", "_str", "_drv",
     "_root", "_parts", "_tail", "_raw_path", "_raw_paths", "_format_parsed_parts",
     "_load_parts", "_parse_path", "_flavour", "parser", "drive", "root", "parts")
)  # fmt: skip
"""What pathlib asks for to make the text; a subclass that has one runs its own code."""

_COMPOSED = {
    "psycopg.sql.SQL": "_obj",
    "psycopg.sql.Composed": "_obj",
    "psycopg2.sql.SQL": "_wrapped",
    "psycopg2.sql.Composed": "_wrapped",
}
"""Classes of which statements are composed, and where each keeps its text or parts."""

_URL_PARTS = ("scheme", "netloc", "path")

_QUOTED = {
    "Identifier": '"name"',
    "Literal": "'text'",
    "Placeholder": "%s",
}
"""Their neighbours quote by themselves: what stands for them keeps the structure."""


def text_of(value: AppValue) -> str | None:
    """The text of a text, bytes, path or composed statement; None for anything else."""
    if type(value) is str:
        return value
    if (path := path_of(value)) is not None:
        return path
    kind = kind_of(value)
    if kind is Kind.TEXT:
        return str.__str__(value)
    if kind is Kind.BYTES:
        return bytes.decode(value, "utf-8", "surrogateescape")
    if type(value) is bytearray:
        return bytearray.decode(value, "utf-8", "surrogateescape")
    return _url_of(value) or _statement_of(value)


def path_of(value: AppValue) -> str | None:
    """The text of a path of pathlib, if no code but pathlib's makes it."""
    pathlib = sys.modules.get("pathlib")
    for name in _PATHS if pathlib is not None else ():
        known = getattr(pathlib, name, None)
        if type(value) is known:
            return value.__fspath__()
        if known is not None and issubclass(type(value), known):
            own = type_mro(type(value))
            own = own[: own.index(known)]
            if all(_PATH_TEXT.isdisjoint(_class_dict(each)) for each in own):
                return known.__str__(value)
    if type_name(type(value)) == "posix.DirEntry":
        return text_of(value.path)
    return None


def _class_dict(cls: type) -> Iterable[str]:
    return type.__getattribute__(cls, "__dict__")


def texts_of(value: AppValue) -> list[str] | None:
    """The texts of a list or tuple; None where it is none, or has anything else."""
    if type(value) is not list and type(value) is not tuple:
        return None
    texts = [text_of(each) for each in value[:PARTS_LIMIT]]
    return None if None in texts else [each for each in texts if each is not None]


def host_of(value: AppValue) -> str | None:
    """The host of an address: `(host, port)`, or the host by itself."""
    if type(value) is tuple and value:
        value = value[0]
    return text_of(value)


def port_of(value: AppValue, result: AppValue) -> int:
    """The port of an address, or of what a name was resolved to; 0 if there is none."""
    if type(value) is tuple:
        return value[1] if len(value) > 1 and type(value[1]) is int else 0
    if type(result) is not list or not result:
        return 0
    first = result[0]
    if type(first) is dict:  # aiohttp's
        port = first.get("port")
        return port if type(port) is int else 0
    return port_of(first[-1], None) if type(first) is tuple and first else 0


def addresses_of(value: AppValue) -> tuple[str, ...]:
    """What a name was resolved to, as the functions of `socket` answer it."""
    found: list[str] = []
    _gather_addresses(value, found, 0)
    return tuple(found)


def says_nothing(value: AppValue) -> bool:
    """Whether it can hold no text at all: None, a number, a descriptor."""
    if type(value) is str:  # by far the most
        return False
    return kind_of(value) in {Kind.NOTHING, Kind.BOOL, Kind.NUMBER, Kind.MISSING}


def _gather_addresses(value: AppValue, found: list[str], depth: int) -> None:
    """Texts anywhere in the answer: ports and names among them are no addresses."""
    if type(value) is str:
        found.append(value)
    elif type(value) is dict:
        _gather_addresses(list(value.values()), found, depth)
    elif (type(value) is list or type(value) is tuple) and depth < 4:
        for each in value[:PARTS_LIMIT]:
            _gather_addresses(each, found, depth + 1)


def _url_of(value: AppValue) -> str | None:
    """The text of the URL objects of aiohttp and httpx, up to the path."""
    name = type_name(type(value))
    if name == "yarl.URL":
        parts = [read_attribute(value, f"_{part}") for part in _URL_PARTS]
    elif name == "httpx.URL":
        stored = read_attribute(value, "_uri_reference")
        if not issubclass(type(stored), tuple):
            return None
        scheme, user, host, port, path = tuple.__getitem__(stored, slice(0, 5))
        port = f":{port}" if type(port) is int else ""
        user = f"{user}@" if type(user) is str and user else ""
        if type(host) is not str:
            return None
        host = f"[{host}]" if ":" in host else host
        parts = [scheme, f"{user}{host}{port}", path]
    else:
        return None
    if not all(type(part) is str for part in parts):
        return None
    scheme, place, path = parts
    return f"{scheme}://{place}{path}" if scheme else path


def _statement_of(value: AppValue) -> str | None:
    """A composed statement, with stand-ins for what its driver quotes."""
    parts: list[str] = []
    return "".join(parts) if _compose([value], parts, 0) else None


def _compose(values: Iterable[AppValue], parts: list[str], depth: int) -> bool:
    for value in values:
        if len(parts) >= PARTS_LIMIT or depth > _DEPTH_LIMIT:
            return False
        for base in type_mro(type(value)):
            name = type_name(base)
            if name in _COMPOSED:
                break
            module, _, plain = name.rpartition(".")
            if plain in _QUOTED and module in {"psycopg.sql", "psycopg2.sql"}:
                parts.append(_QUOTED[plain])
                break
        else:
            return False
        if name not in _COMPOSED:
            continue
        stored = read_attribute(value, _COMPOSED[name])
        if type(stored) is list:
            if not _compose(stored, parts, depth + 1):
                return False
        elif kind_of(stored) is Kind.TEXT:
            parts.append(str.__str__(stored))
        else:
            return False
    return True
