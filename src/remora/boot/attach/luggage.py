"""What travels into the target: the agent's sources, its settings, its files.

The sources are those of this very installation, so that what was checked here is what
runs there. Compiled code travels beside them, for targets of the same minor version:
compiling everything in the target would take its interpreter lock in pieces of 20 ms.
"""

from __future__ import annotations

import marshal
import zlib
from functools import cache
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remora import packs
from remora.boot.attach.injector import Parcel
from remora.boot.attach.region import VIEW_NAME
from remora.errors import ProbeFileError
from remora.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGE = Path(__file__).resolve().parents[2]
_STAYING = frozenset({"__main__", "boot", "cli", "demo", "node", "server", "testing"})
"""What of remora has no business in an app."""

_PAYLOAD = Path(__file__).with_name("payload.py")
_MARSHAL_VERSION = 2
"""The oldest that all served versions read alike."""


def pack_start(settings: Mapping[str, object], own_files: tuple[str, ...]) -> Parcel:
    """The parcel that starts the agent. `own_files` travel with their contents."""
    package, files = _read_package()
    carried = {**files, **{name: _read(name) for name in own_files}}
    order = {**package, "settings": dict(settings), "files": carried}
    return _make_parcel(order)


@cache
def _read_package() -> tuple[dict[str, object], dict[str, bytes]]:
    """The agent's modules as an order has them, and its other files."""
    files: dict[str, bytes] = {}
    sources: dict[str, bytes] = {}
    codes: dict[str, bytes] = {}
    for path in sorted(_PACKAGE.rglob("*")):
        inner = path.relative_to(_PACKAGE)
        shown = f"<remora {__version__}>/{inner}"
        if inner.parts[0].removesuffix(".py") in _STAYING:
            continue
        if path.suffix == ".py":
            name = ".".join(("remora", *inner.with_suffix("").parts))
            sources[name] = source = path.read_bytes()
            code = compile(source, shown, "exec", dont_inherit=True, optimize=0)
            codes[name] = marshal.dumps(code)
        elif path.suffix == ".json" and path.parent == Path(packs.FOLDER):
            files[shown] = path.read_bytes()
    package: dict[str, object] = {
        "what": "start",
        "version": __version__,
        "magic": MAGIC_NUMBER,
        "names": frozenset(sources),
        "sources": _pack(sources),
        "codes": _pack(codes),
    }
    return package, files


def pack_stop() -> Parcel:
    """The parcel that stops the agent and takes its modules away."""
    return _make_parcel({"what": "stop"})


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ProbeFileError(
            f"probe file {name!r} cannot be read: {error.strerror}"
        ) from None


def _pack(contents: dict[str, bytes]) -> bytes:
    return zlib.compress(marshal.dumps(contents, _MARSHAL_VERSION))


def _make_parcel(order: dict[str, Any]) -> Parcel:
    """Program and order, and the one expression that runs the program on them.

    It is evaluated in the app's `__main__`, which may have replaced any builtin and
    must not get a new name.
    """
    packed = marshal.dumps(order, _MARSHAL_VERSION)
    program = _PAYLOAD.read_bytes() + b"\nrun(page, %d)\n" % len(packed)
    builtins = '__import__("builtins")'
    text = (
        f"{builtins}.exec({builtins}.compile("
        f'__import__("zlib").decompress({zlib.compress(program)!r}), '
        f'"<remora {__version__}>/boot/attach/payload.py", "exec"), '
        '{"__name__": "remora.boot.attach.payload", '
        f'"page": __import__("sys").__dict__.pop("{VIEW_NAME}")}})'
    )
    return Parcel(text.encode("ascii"), packed)
