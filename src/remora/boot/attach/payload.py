"""What runs in the target: unpacks the agent, starts or stops it, and answers.

The text of this file travels and is run in a namespace of its own, in a thread that
the injector made, in any CPython that is served, with the target's own standard
library. It must not need anything of remora's before it has unpacked it, and nothing
that it meets may get out: there is no caller.
"""

from __future__ import annotations

import marshal
import sys
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

    Answer = dict[str, Any]

_CONNECT_S = 2.0
"""A server nearby has answered in this time; a slower one is left to the agent."""

_LOOK_S = 0.01
_TEXT_LIMIT = 4000
_KEPT = "__remora_at_fork__"
"""Where `sys` keeps the module with the at-fork callbacks after a detach: the
interpreter holds them for ever, and the next attach must not add more."""

_LEVELS = ("observe", "protect", "act")

_FORK = "remora.agent.runtime.fork"


class Luggage:
    """Finder and loader of the modules that travel.

    Codes are of use where the bytecode is the same as the sender's, and spare the app
    the time of compiling. They are unpacked at once, because each unpacking lets go of
    the interpreter lock, which a busy app is slow to give back; one that was executed
    is dropped. Sources stay packed until somebody asks for one.
    """

    def __init__(self, order: Mapping[str, Any]) -> None:
        from _frozen_importlib_external import MAGIC_NUMBER  # pyright: ignore[reportAttributeAccessIssue] - loaded in every interpreter

        self.version: str = order["version"]
        self.names: frozenset[str] = order["names"]
        self.sources: bytes = order["sources"]
        same: bool = order["magic"] == MAGIC_NUMBER
        self.codes: dict[str, bytes] = _unpack(order["codes"]) if same else {}

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Answer for our own names, and for those alone."""
        del path, target
        if name != "remora" and not name.startswith("remora."):
            return None
        if self._key(name) is None:
            raise ModuleNotFoundError(f"no module {name!r} has travelled", name=name)
        from _frozen_importlib import ModuleSpec  # loaded in every interpreter

        spec = ModuleSpec(name, self, origin=self._file(name))  # pyright: ignore[reportArgumentType] - a loader is what has these methods
        if self.is_package(name):
            spec.submodule_search_locations = [self._file(name).rpartition("/")[0]]
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the import system."""
        del spec

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's source."""
        name = module.__name__
        module.__file__ = self._file(name)
        exec(self.get_code(name), module.__dict__)  # noqa: S102 - this is what a loader does

    def get_code(self, name: str) -> CodeType:
        """The compiled source."""
        code = self.codes.pop(self._key(name) or "", None)
        if code is not None:
            return marshal.loads(code)  # noqa: S302 - written by the injector
        return compile(self.get_source(name), self._file(name), "exec")

    def get_source(self, name: str) -> str:
        """The source, for tracebacks too."""
        key = self._key(name)
        if key is None:
            raise ImportError(f"no module {name!r} has travelled", name=name)
        return _unpack(self.sources)[key].decode()

    def is_package(self, name: str) -> bool:
        """Whether a module has others below it."""
        return name + ".__init__" in self.names

    def _key(self, name: str) -> str | None:
        if name in self.names:
            return name
        return name + ".__init__" if self.is_package(name) else None

    def _file(self, name: str) -> str:
        key = self._key(name) or name
        return "/".join((f"<remora {self.version}>", *key.split(".")[1:])) + ".py"


def _unpack(packed: bytes) -> dict[str, bytes]:
    return marshal.loads(zlib.decompress(packed))  # noqa: S302 - from the injector


def run(page: memoryview, size: int) -> None:
    """Do what the luggage in the first `size` bytes says, and write the answer behind.

    The boundary of everything that happens here: SystemExit would end the app.
    """
    try:
        answer = _obey(marshal.loads(page[:size]))  # noqa: S302 - written by the injector
    except BaseException as error:  # noqa: BLE001 - the boundary: there is no caller
        kind = type(error)
        answer = {
            "error": getattr(kind, "slug", "unexpected"),
            "text": f"{error}" if hasattr(kind, "slug") else _place(error),
        }
    try:
        text = _encode(answer)
        page[size + 4 : size + 4 + len(text)] = text
        page[size : size + 4] = len(text).to_bytes(4, "little")
    except BaseException:  # noqa: BLE001 - the boundary: an empty answer is one too
        return
    finally:
        page.release()


def _obey(order: Mapping[str, Any]) -> Answer:
    if order["what"] == "stop":
        return _stop()
    return _start(order)


def _start(order: Mapping[str, Any]) -> Answer:
    present: Any = sys.modules.get("remora.agent.agent")
    if present is not None and present.is_begun():
        return {"state": "present", **_describe(present)}
    version = order["version"]
    loaded: Any = sys.modules.get("remora")
    if loaded is not None and loaded.__version__ != version:
        return {
            "error": "agent-not-started",
            "text": f"the app has imported remora {loaded.__version__} itself, and two "
            f"versions cannot be in one process: attach with that one, not {version}",
        }
    forbidden = _forbidden(order["settings"])
    if forbidden:
        return {"error": "agent-not-started", "text": forbidden}
    _import_threading()
    brought = loaded is None
    if brought:
        _install(order)
    try:
        from remora.usage import usage

        before = usage()
        from remora.agent import agent

        agent.start(order["settings"], order["files"], before)
    except BaseException:
        if brought:
            _remove()
        raise
    _await_connection(agent)
    return {"state": "started", **_describe(agent)}


def _forbidden(settings: Mapping[str, Any]) -> str:
    """What the app's own environment has against these settings: it has the last word.

    The environment is the one that the process was started with.
    """
    import os

    environ = os.environ  # noqa: TID251 - the agent's reader of it is not unpacked yet
    if environ.get("REMORA_ENABLED", "").lower() in {"0", "false", "no", "off"}:
        return (
            "the app forbids the agent: its environment has REMORA_ENABLED="
            f"{environ['REMORA_ENABLED']}"
        )
    own, asked = environ.get("REMORA_ALLOW", ""), settings.get("allow", "")
    if (
        own in _LEVELS
        and asked in _LEVELS
        and _LEVELS.index(asked) > _LEVELS.index(own)
    ):
        return (
            f"the app's environment has REMORA_ALLOW={own}, and --allow {asked} is "
            "more than that: ask for no more"
        )
    if own == _LEVELS[0] and "block" in settings.get("protect", ""):
        return (
            f"the app's environment has REMORA_ALLOW={own}, and --protect block is "
            "more than that: use --protect watch"
        )
    if own == _LEVELS[0] and settings.get("rules"):
        return (
            f"the app's environment has REMORA_ALLOW={own}, and --rules can be more "
            "than that: leave it out"
        )
    return ""


def _install(order: Mapping[str, Any]) -> None:
    sys.meta_path.insert(0, Luggage(order))  # pyright: ignore[reportArgumentType] - a finder is what has find_spec
    kept: Any = sys.__dict__.pop(_KEPT, None)
    if kept is not None and kept.__spec__.loader.version == order["version"]:
        sys.modules[_FORK] = kept


def _import_threading() -> None:
    """Import threading as if the main thread had done so.

    The thread that imports it first is the main thread to it, before 3.13; asyncio and
    signal ask for that one later. The oldest thread state is listed last.
    """
    if "threading" in sys.modules:
        return
    import threading

    module: Any = threading
    identifiers: dict[int, Any] = sys._current_frames()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no other way to the main thread's number
    main: Any = module.main_thread()
    ident = list(identifiers)[-1]
    if main.ident == ident or not hasattr(main, "_tstate_lock"):
        return
    import _thread
    import os

    module._active.pop(main._ident, None)  # noqa: SLF001 - the names of 3.11 and 3.12
    main._ident, main._native_id = ident, os.getpid()  # noqa: SLF001 - as above
    module._active[ident] = main  # noqa: SLF001 - as above
    lock = _thread.allocate_lock()
    lock.acquire()
    module._shutdown_locks.discard(main._tstate_lock)  # noqa: SLF001 - as above
    main._tstate_lock = lock  # noqa: SLF001 - as above
    module._shutdown_locks.add(lock)  # noqa: SLF001 - as above


def _await_connection(agent: Any) -> None:
    """Give the server a moment, so that the answer can say whether it is there."""
    from remora.agent.runtime import guard, originals

    def wait() -> None:
        deadline = originals.monotonic() + _CONNECT_S
        while agent.is_connecting() and originals.monotonic() < deadline:
            originals.sleep(_LOOK_S)

    guard.run(wait)


def _describe(agent: Any) -> Answer:
    status = agent.status()
    instance = status["instance"]
    return {
        "agent": status["version"],
        "python": status["python"],
        "app": instance["app"],
        "inner_pid": instance["pid"],
        "note": instance.get("note", ""),
        "server": status["server"],
        "connected": status["connected"],
        "probes": [
            {"id": each["probe"], "state": each["state"], "reason": each["reason"]}
            for each in status["probes"][:20]
        ],
    }


def _stop() -> Answer:
    agent: Any = sys.modules.get("remora.agent.agent")
    if agent is None or not agent.is_begun():
        return {"state": "absent"}
    described = _describe(agent)
    agent.stop()
    _remove()
    return {"state": "stopped", **described}


def _remove() -> None:
    """Take away the finder and every module that it has brought."""
    # the class is another one in each text that was sent
    brought = [each for each in sys.meta_path if type(each).__module__ == __name__]
    for finder in brought:
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            spec = getattr(module, "__spec__", None) if name[:6] == "remora" else None
            if spec is not None and spec.loader is finder:
                sys.modules.pop(name, None)
                if name == _FORK:
                    setattr(sys, _KEPT, module)
        # what the module kept leads to the finder
        vars(finder).update(sources=b"", codes={})


def _place(error: BaseException) -> str:
    """Type, text and place of an error that nobody foresaw."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = ""
    if trace is not None:
        where = f" in {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}"
    return f"{type(error).__name__}: {error}{where}"


def _encode(answer: Answer) -> bytes:
    import json

    if "text" in answer:
        answer["text"] = answer["text"][:_TEXT_LIMIT]
    return json.dumps(answer).encode()
