"""The private list of what this process has imported, kept current.

Two ways lead into it. The watcher sees each module whose loader executes it, in the
importing thread. `look` walks through a copy of `sys.modules` for the rest: builtin,
frozen and namespace modules, hand-made ones, and what was removed or replaced.

`__main__` is a case of its own: it stands in `sys.modules` from the start and is filled
statement by statement, with no loader that would tell. So are hand-made modules. Their
functions appear later than they do, hence `look` compares the size of such a namespace
with the last one and tells the subscribers that it has grown. A target in `__main__`,
by that name or by its real one, is resolved again whenever that happens. The same
holds for what `look` finds first: plugin loaders execute modules without asking any
finder, and may be half way through.

No lock is taken: imports happen in any thread, in signal handlers and around forks.
Each step is one operation on a dictionary; two threads that look at the same time may
tell a subscriber twice, never not at all. Subscribers bear that.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from remora.agent.modules import distributions
from remora.agent.modules.loaded import (
    LoadedModule,
    ModuleState,
    is_lazy,
    is_module,
    namespace_of,
)
from remora.agent.modules.names import find_importer, home_of, is_our_own
from remora.agent.modules.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from remora.agent.diagnostics import Diagnostics

    Subscriber = Callable[[LoadedModule], None]

_GENERATIONS_LIMIT = 1000
"""Names of dropped modules whose generation is remembered, the oldest forgotten first:
some apps make a module of a new name for each request."""


class ModuleStore:
    """What is imported, and news of it.

    Subscribers are called in the importing thread right after the module's code has
    run, at its first import, at a reload and at an import after removal; and in the
    thread that calls `look` for all that needs no loader. A module that is gone is
    news too, with `state` gone. What is loaded before `start` is no news.
    """

    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics
        self._watcher = Watcher(diagnostics, self._begun, self._ended, self._failed)
        self._records: dict[str, LoadedModule] = {}
        self._generations: dict[str, int] = {}
        self._subscribers: tuple[Subscriber, ...] = ()

    def start(self) -> None:
        """Watch imports from now on."""
        self._watcher.install()
        for name, module in dict.copy(sys.modules).items():
            record = self._record(name, module)
            if record is not None and record.state is ModuleState.LOADED:
                record.is_news = False
                record.size = len(record.namespace)

    def stop(self) -> None:
        """Leave `sys.meta_path` and every loader as they were; forget everything."""
        self._watcher.remove()
        self._subscribers = ()
        self._records.clear()
        self._generations.clear()
        distributions.forget()

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Tell this callback of news. Returns the undo."""
        self._subscribers = (*self._subscribers, callback)

        def undo() -> None:
            self._subscribers = tuple(
                other for other in self._subscribers if other is not callback
            )

        return undo

    def loaded(self) -> list[LoadedModule]:
        """Every module in `sys.modules`, once, under the name where it lives."""
        found: dict[int, LoadedModule] = {}
        for name, module in dict.copy(sys.modules).items():
            record = self._record(name, module)
            if record is not None:
                found[id(record)] = record
        return list(found.values())

    def find(self, name: str) -> LoadedModule | None:
        """Return the module that this name means.

        A name is a key of `sys.modules`, or leads from one to a module through
        attributes (`import a.b as c`), or is the real name of `__main__`. An alias such
        as `os.path` leads to the module that lives there, here `posixpath`.
        """
        record = self._record(name, sys.modules.get(name))
        if record is None and name not in sys.modules:
            record = self._find_by_attributes(name)
        if record is None:
            main = self.find_main()
            if main is not None and main.real_name == name:
                return main
        return record

    def find_main(self) -> LoadedModule | None:
        """Return the module `__main__`."""
        return self._record("__main__", sys.modules.get("__main__"))

    def look(self) -> None:
        """Walk through `sys.modules` and tell the subscribers what is new.

        Costs some tenths of a microsecond a module while nothing changes.
        """
        if not self._watcher.is_active:
            return
        self._watcher.install()
        self._watcher.missed.clear()
        present = dict.copy(sys.modules)
        for name in [name for name in self._records if name not in present]:
            self._drop(name)
        for name, module in present.items():
            record = self._records.get(name)
            if record is None or record.name != name or record.module() is not module:
                record = self._record(name, module)
                if record is None:
                    self._drop(name)
                    continue
                # Perhaps a loader that we did not see is still at work on it.
                record.grows |= record.is_news
            if record.is_news or record.grows:
                self._tell_if_ready(record)

    def _tell_if_ready(self, record: LoadedModule) -> None:
        if record.state is not ModuleState.LOADED:
            return
        size = len(record.namespace) if record.grows else 0
        if record.is_news or size != record.size:
            record.size = size
            self._tell(record)

    def _drop(self, name: str) -> None:
        record = self._records.pop(name, None)
        if record is None or record.name != name:
            return
        self._remember_generation(record)
        if record.state is ModuleState.GONE:
            self._tell(record)

    def _remember_generation(self, record: LoadedModule) -> None:
        self._generations.pop(record.name, None)
        self._generations[record.name] = record.generation
        while len(self._generations) > _GENERATIONS_LIMIT:
            self._generations.pop(next(iter(self._generations)), None)

    def _tell(self, record: LoadedModule) -> None:
        record.is_news = False
        for callback in self._subscribers:
            try:
                callback(record)
            except Exception as error:  # noqa: BLE001 - the boundary to an import: a subscriber's failure stays ours
                self._diagnostics.count("module-subscriber-failed")
                self._diagnostics.say_once(
                    f"news of module {record.name} failed: {type(error).__name__}"
                )

    # The records.

    def _record(self, name: object, module: object) -> LoadedModule | None:
        """Return the record of what stands under this key, made where there is none.

        None for keys that hold no module (None forbids an import, and some packages put
        objects of their own there) and for the agent's own modules.
        """
        if type(name) is not str or not is_module(module) or is_our_own(name):
            return None
        actual: Any = module
        record = self._records.get(name)
        if (
            record is not None
            and record.module() is actual
            and (record.name == name or sys.modules.get(record.name) is actual)
        ):
            return record
        home = home_of(name, actual)
        if home != name:
            record = self._record(home, actual)
            if record is not None:
                self._records[name] = record
            return record
        if record is not None and record.name == name:
            self._remember_generation(record)
        generation = self._generations.get(name, 0) + 1
        made = LoadedModule(name, actual, generation)
        self._records[name] = made
        return made

    def _find_by_attributes(self, name: str) -> LoadedModule | None:
        parent, _, attribute = name.rpartition(".")
        if not parent:
            return None
        holder = sys.modules.get(parent)
        if holder is None:
            found = self._find_by_attributes(parent)
            holder = None if found is None else found.module()
        if not is_module(holder):
            return None
        actual: Any = holder
        value: Any = namespace_of(actual).get(attribute)
        if not is_module(value):
            return None
        home = home_of("", value)
        return self._record(home, value) if home else None

    # News from the watcher, in the importing thread.

    def _begun(self, module: ModuleType, _loader: object) -> None:
        record = self._record_of(module)
        if record is None:
            return
        if record.is_executed or not record.is_news:
            record.generation += 1
        elif not record.first_importer:
            record.first_importer = find_importer()
        record.executing = True

    def _ended(self, module: ModuleType, loader: object) -> None:
        record = self._record_of(module)
        if record is None:
            return
        record.executing = False
        if is_lazy(module) and _puts_off(loader):
            # LazyLoader has exchanged the spec's loader for the one that will execute.
            self._watcher.arm(namespace_of(module)["__spec__"])
            return
        record.is_executed = True
        record.grows = record.is_open
        record.size = len(record.namespace)
        self._tell(record)
        self._tell_missed()

    def _failed(self, module: ModuleType, _loader: object) -> None:
        """Forget a failed import; after a failed reload the module is half renewed."""
        record = self._record_of(module)
        if record is None:
            return
        record.executing = False
        if record.is_executed or not record.is_news:
            self._tell(record)
        else:
            self._records.pop(record.name, None)

    def _tell_missed(self) -> None:
        """Builtin and frozen modules that were imported since the last event."""
        missed = self._watcher.missed
        while missed:
            name = missed.pop()
            record = self._record(name, sys.modules.get(name))
            if record is not None and record.is_news:
                self._tell_if_ready(record)

    def _record_of(self, module: ModuleType) -> LoadedModule | None:
        """Return the record of a module that a loader executes.

        A module may put another one in its place while it runs: that one counts.
        """
        namespace = namespace_of(module)
        for name in (
            getattr(namespace.get("__spec__"), "name", None),
            namespace.get("__name__"),
        ):
            if type(name) is str and name in sys.modules:
                return self._record(name, sys.modules[name])
        return None


def _puts_off(loader: object) -> bool:
    util = sys.modules.get("importlib.util")
    lazy_loader = getattr(util, "LazyLoader", None)
    return lazy_loader is not None and issubclass(type(loader), lazy_loader)
