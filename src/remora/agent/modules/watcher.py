"""Sees each module at the moment its code has run, and leaves the import as it was.

Rules:
- Nothing of an import changes: not the spec, not the loader, not `__loader__`. The
  finder at the front of `sys.meta_path` asks the finders behind it, as the interpreter
  would, and puts an `exec_module` into the *instance dictionary* of the loader found.
  The first call takes it out again, before the module's code runs.
- A loader that is a class (builtin and frozen modules), that has no instance
  dictionary, or that knows only `load_module` is left alone; its name goes to `missed`,
  which the store reads at the next event.
- Nothing of ours is raised into an import. What a finder or a loader raises passes.
- The code of the two functions on the import path carries the file name of importlib's
  own frames. The interpreter then trims them from tracebacks together with its own, and
  `warnings` skips them when it counts `stacklevel`; both go by that name
  (remove_importlib_frames in CPython's Python/import.c, is_internal_frame in
  Python/_warnings.c).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

from remora.agent.modules.loaded import namespace_of
from remora.agent.runtime.originals import get_ident

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import FunctionType, ModuleType

    from remora.agent.diagnostics import Diagnostics

Loader = Any
"""Loaders and finders come from the app: there is no type that they must have."""

Event = Callable[["ModuleType", Loader], None]

_ABSENT = object()
_MISSED_LIMIT = 1000
"""Names remembered between two events; the store's look finds all others."""


class Watcher:
    """The finder in `sys.meta_path`; tells of executions through three callbacks.

    `begun` and `ended` come with the module and its loader, `failed` instead of `ended`
    where the module's code raised.
    """

    def __init__(
        self,
        diagnostics: Diagnostics,
        begun: Event,
        ended: Event,
        failed: Event,
    ) -> None:
        self.begun = begun
        self.ended = ended
        self.failed = failed
        self.is_active = False
        self.missed: list[str] = []
        self._diagnostics = diagnostics
        self._searching: set[tuple[int, str]] = set()
        self._armed: dict[int, ref[Loader]] = {}

    def install(self) -> None:
        """Stand at the front of `sys.meta_path`, or go back there if thrown out."""
        self.is_active = True
        if not any(finder is self for finder in sys.meta_path):
            sys.meta_path.insert(0, self)  # pyright: ignore[reportArgumentType] - a finder is what has find_spec

    def remove(self) -> None:
        """Leave `sys.meta_path` and every loader as they were."""
        self.is_active = False
        for position, finder in enumerate(sys.meta_path):
            if finder is self:
                del sys.meta_path[position]
                break
        for reference in list(self._armed.values()):
            loader = reference()
            spy = None if loader is None else _instance_dictionary(loader)
            if spy is not None and type(spy.get("exec_module")) is _Spy:
                spy["exec_module"].disarm()
        self._armed.clear()
        self.missed.clear()

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Ask the finders behind us, and arm the loader of what they find.

        A finder that asks the whole of `sys.meta_path` again, as other agents' do,
        must not find us twice: the inner search passes us by. A finder without
        `find_spec` has rules of its own in some versions: the interpreter asks it.
        """
        searching = (get_ident(), name)
        if searching in self._searching:
            return None
        self._searching.add(searching)
        try:
            for finder in _finders_behind(self):
                find = getattr(finder, "find_spec", None)
                if find is None:
                    return None
                spec = find(name, path, target)
                if spec is not None:
                    self.arm(spec)
                    return spec
            return None
        finally:
            self._searching.discard(searching)

    def arm(self, spec: ModuleSpec) -> None:
        """Make the loader of this spec tell when it executes the module."""
        if not self.is_active:
            return
        try:
            if not self._try_arm(spec.loader, spec.name):
                self._miss(spec.name)
        except Exception:  # noqa: BLE001 - the boundary to an import: see the rules above
            self._diagnostics.count("import-watch-failed")

    def _try_arm(self, loader: Loader, name: str) -> bool:
        if loader is None or issubclass(type(loader), type):
            return False
        dictionary = _instance_dictionary(loader)
        if dictionary is None:
            return False
        present = dictionary.get("exec_module", _ABSENT)
        if type(present) is _Spy and present.watcher is self:
            present.names.add(name)
            return True
        original = getattr(loader, "exec_module", None)
        if original is None:
            return False
        identity = id(loader)
        try:
            self._armed[identity] = ref(loader, lambda _: self._forget(identity))
        except TypeError:
            # Armed, it could not be given back at stop().
            return False
        dictionary["exec_module"] = _Spy(self, loader, original, present, name)
        return True

    def _miss(self, name: str) -> None:
        if len(self.missed) < _MISSED_LIMIT:
            self.missed.append(name)

    def disarmed(self, loader: Loader) -> None:
        """Note that a loader has its own `exec_module` back."""
        self._forget(id(loader))

    def _forget(self, identity: int) -> None:
        self._armed.pop(identity, None)

    def tell(self, event: Event, module: ModuleType, loader: Loader) -> None:
        """Call back; a failure of ours is counted and stays here."""
        if not self.is_active:
            return
        try:
            event(module, loader)
        except Exception:  # noqa: BLE001 - the boundary to an import: see the rules above
            self._diagnostics.count("import-watch-failed")


class _Spy:
    """Stands as `exec_module` in a loader's instance dictionary.

    One loader may serve several modules (a zip archive, six, pytest's rewriter), and a
    spec may be found and never loaded: the spy stays until every name asked for has
    been executed.
    """

    __slots__ = ("loader", "names", "original", "previous", "watcher")

    def __init__(
        self,
        watcher: Watcher,
        loader: Loader,
        original: Callable[[ModuleType], object],
        previous: object,
        name: str,
    ) -> None:
        self.watcher = watcher
        self.loader = loader
        self.original = original
        self.previous = previous
        self.names = {name}

    def __call__(self, module: ModuleType) -> object:
        watcher = self.watcher
        loader = self.loader
        watcher.tell(self.begin, module, loader)
        try:
            result = self.original(module)
        except BaseException:
            watcher.tell(watcher.failed, module, loader)
            raise
        watcher.tell(watcher.ended, module, loader)
        return result

    def begin(self, module: ModuleType, loader: Loader) -> None:
        """Give the loader back, unless it was asked for more modules than this one."""
        spec = namespace_of(module).get("__spec__")
        self.names.discard(getattr(spec, "name", ""))
        if not self.names:
            self.disarm()
        self.watcher.begun(module, loader)

    def disarm(self) -> None:
        """Restore what stood there; leave alone what somebody has put over us."""
        dictionary = _instance_dictionary(self.loader)
        if dictionary is not None and dictionary.get("exec_module") is self:
            if self.previous is _ABSENT:
                del dictionary["exec_module"]
            else:
                dictionary["exec_module"] = self.previous
        self.watcher.disarmed(self.loader)


def _finders_behind(watcher: Watcher) -> list[Any]:
    """List the finders that the interpreter would ask after us."""
    finders: list[Any] = list(sys.meta_path)
    for position, finder in enumerate(finders):
        if finder is watcher:
            return finders[position + 1 :]
    return finders


def _instance_dictionary(loader: Loader) -> dict[str, Any] | None:
    """Written to directly, because a class may forbid or redirect assignments."""
    try:
        dictionary = object.__getattribute__(loader, "__dict__")
    except AttributeError:
        return None
    return dictionary if type(dictionary) is dict else None


def _pass_as_importlib(function: FunctionType) -> None:
    function.__code__ = function.__code__.replace(
        co_filename="<frozen importlib._bootstrap>",
        co_name="_call_with_frames_removed",
    )


_pass_as_importlib(Watcher.find_spec)  # pyright: ignore[reportArgumentType] - a function
_pass_as_importlib(_Spy.__call__)  # pyright: ignore[reportArgumentType] - a function
