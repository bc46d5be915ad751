from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import traceback
import types
import warnings
import zipfile

import pytest

from remora.agent.modules import ModuleStore


def names(news, *wanted):
    return [entry[0] for entry in news.of(*wanted)]


def test_spec_and_loader_are_untouched(store, news, write):
    write("plain_w.py")
    module = importlib.import_module("plain_w")
    assert names(news, "plain_w") == ["plain_w"]
    assert type(module.__loader__) is importlib.machinery.SourceFileLoader
    assert module.__spec__.loader is module.__loader__
    assert "exec_module" not in vars(module.__loader__)


def test_the_loader_is_whole_again_while_the_module_runs(store, write):
    write("asks_w.py", "armed = 'exec_module' in vars(__loader__)\n")
    assert importlib.import_module("asks_w").armed is False


def test_a_spec_found_and_never_loaded_is_given_back_at_stop(diagnostics, write):
    store = ModuleStore(diagnostics)
    store.start()
    write("sought_w.py")
    spec = importlib.util.find_spec("sought_w")
    assert "exec_module" in vars(spec.loader)
    store.stop()
    assert "exec_module" not in vars(spec.loader)


def test_a_loader_that_was_armed_and_outlives_the_store_still_works(diagnostics, write):
    store = ModuleStore(diagnostics)
    store.start()
    write("orphan_w.py", "value = 1\n")
    spec = importlib.util.find_spec("orphan_w")
    execute = spec.loader.exec_module
    store.stop()
    module = importlib.util.module_from_spec(spec)
    execute(module)
    assert module.value == 1


def test_a_failed_import_shows_the_traceback_that_it_shows_without_us(child, write):
    write("fails_w.py", "def f():\n    raise ValueError('x')\nf()\n")
    lines = child("""
        import traceback
        def frames():
            try:
                import fails_w
            except ValueError as error:
                found = traceback.extract_tb(error.__traceback__)
                return [(f.name, f.filename) for f in found]
        without = frames()
        store.start()
        watched = frames()
        assert without == watched, (without, watched)
        print(len(watched))
    """)
    assert lines == "3"


def test_warnings_at_import_point_at_the_importing_line(store, write):
    write(
        "warns_w.py",
        "import warnings\nwarnings.warn('old', DeprecationWarning, stacklevel=2)\n",
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        importer = types.ModuleType("importer_w")
        exec(compile("import warns_w", "/importer_w.py", "exec"), vars(importer))
    assert [w.filename for w in caught] == ["/importer_w.py"]


def test_an_exception_of_a_finder_passes(store):
    class Angry:
        def find_spec(self, name, path=None, target=None):
            if name == "angry_w":
                raise LookupError(name)

    sys.meta_path.append(Angry())
    try:
        with pytest.raises(LookupError):
            importlib.import_module("angry_w")
    finally:
        sys.meta_path.pop()


class Direct(importlib.abc.Loader):
    """Finder and loader in one instance, as six has it."""

    def __init__(self, *served):
        self.served = served

    def find_spec(self, name, path=None, target=None):
        if name in self.served:
            return importlib.machinery.ModuleSpec(name, self)
        return None

    def exec_module(self, module):
        module.done = True
        inner = module.__name__ + "_inner"
        if inner in self.served:
            importlib.import_module(inner)


class Slotted(Direct):
    __slots__ = ("served",)


class Guarded(Direct):
    def __setattr__(self, name, value):
        if name != "served":
            raise AttributeError(name)
        super().__setattr__(name, value)


@pytest.mark.parametrize("kind", [Direct, Guarded])
def test_one_loader_instance_for_several_modules_reports_each_once(
    store, news, kind, monkeypatch
):
    loader = kind("multi_w", "multi_w_inner", "never_w")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, loader])
    importlib.util.find_spec("never_w")
    importlib.import_module("multi_w")
    importlib.util.find_spec("multi_w_inner")
    assert names(news, "multi_w", "multi_w_inner") == ["multi_w_inner", "multi_w"]
    store.stop()
    assert "exec_module" not in vars(loader)
    for name in ("multi_w", "multi_w_inner"):
        del sys.modules[name]


def test_a_loader_without_instance_dictionary_is_left_to_the_look(store, news):
    class Bare:
        __slots__ = ()

        def find_spec(self, name, path=None, target=None):
            if name == "bare_w":
                return importlib.machinery.ModuleSpec(name, self)
            return None

        def create_module(self, spec):
            return None

        def exec_module(self, module):
            module.done = True

    sys.meta_path.append(Bare())
    try:
        assert importlib.import_module("bare_w").done
        store.look()
        assert names(news, "bare_w") == ["bare_w"]
    finally:
        sys.meta_path.pop()
        del sys.modules["bare_w"]


def test_a_loader_with_its_own_instance_attribute_gets_it_back(store, news):
    ran = []
    loader = Direct("patched_w")
    loader.exec_module = mine = lambda module: ran.append(module.__name__)
    sys.meta_path.append(loader)
    try:
        importlib.import_module("patched_w")
        assert ran == ["patched_w"]
        assert names(news, "patched_w") == ["patched_w"]
        assert vars(loader)["exec_module"] is mine
    finally:
        sys.meta_path.pop()
        del sys.modules["patched_w"]


class ChainedLoader:
    """What other agents put around a loader."""

    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)


class ChainedFinder:
    """What other agents put at the front: it asks the whole meta path again."""

    def __init__(self):
        self.busy = set()

    def find_spec(self, name, path=None, target=None):
        if name in self.busy:
            return None
        self.busy.add(name)
        try:
            spec = importlib.util.find_spec(name)
            if spec is not None and spec.loader is not None:
                spec.loader = ChainedLoader(spec.loader)
            return spec
        finally:
            self.busy.discard(name)


@pytest.mark.parametrize("position", [0, 1])
def test_another_agents_finder_before_or_behind_us_changes_nothing(
    store, news, write, position
):
    finder = ChainedFinder()
    sys.meta_path.insert(position, finder)
    try:
        write("chained_w.py", "value = 1\n")
        module = importlib.import_module("chained_w")
        assert module.value == 1
        assert type(module.__loader__) is ChainedLoader or position == 0
        assert names(news, "chained_w") == ["chained_w"]
    finally:
        sys.meta_path.remove(finder)


def test_a_legacy_loader_is_left_alone(store, news):
    class Legacy:
        def find_spec(self, name, path=None, target=None):
            if name == "legacy_w":
                return importlib.machinery.ModuleSpec(name, self)
            return None

        def load_module(self, name):
            sys.modules[name] = module = types.ModuleType(name)
            return module

    sys.meta_path.append(Legacy())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImportWarning)
            importlib.import_module("legacy_w")
        store.look()
        assert names(news, "legacy_w") == ["legacy_w"]
    finally:
        sys.meta_path.pop()
        del sys.modules["legacy_w"]


@pytest.mark.parametrize("recipe", ["spec", "factory"])
def test_a_lazy_module_is_news_when_it_really_runs(child, write, recipe):
    write("lazy_w.py", "def f(): return 7\n")
    out = child(f"""
        import importlib.util as util
        store.start()
        def note(m): news.append((m.name, m.state.value, "f" in m.namespace))
        store.subscribe(note)
        if {recipe!r} == "spec":
            spec = util.find_spec("lazy_w")
            spec.loader = util.LazyLoader(spec.loader)
            module = util.module_from_spec(spec)
            sys.modules["lazy_w"] = module
            spec.loader.exec_module(module)
        else:
            from importlib.machinery import FileFinder, SourceFileLoader
            # LazyLoader itself needs it from 3.13 on, and must not get a lazy one.
            import threading
            lazy = util.LazyLoader.factory(SourceFileLoader)
            sys.path_hooks.insert(0, FileFinder.path_hook((lazy, [".py"])))
            sys.path_importer_cache.clear()
            import lazy_w as module
        store.look()
        mine = lambda: [n for n in news if n[0] == "lazy_w"]
        assert mine() == [], news
        assert store.find("lazy_w").state.value == "loading"
        assert module.f() == 7
        store.look()
        assert mine() == [("lazy_w", "loaded", True)], mine()
        assert store.find("lazy_w").state.value == "loaded"
        print(diagnostics.counters)
    """)
    assert out == "{}"


def test_modules_in_a_zip_archive_are_seen(store, news, tmp_path, monkeypatch):
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("zipped_w.py", "def f(): pass\n")
        bundle.writestr("zipped_v.py", "import zipped_w\n")
    monkeypatch.syspath_prepend(str(archive))
    importlib.import_module("zipped_v")
    assert names(news, "zipped_w", "zipped_v") == ["zipped_w", "zipped_v"]
    assert store.find("zipped_w").file.endswith("bundle.zip/zipped_w.py")
    for name in ("zipped_w", "zipped_v"):
        del sys.modules[name]


def test_extension_modules_are_seen(child):
    out = child("""
        store.start()
        store.subscribe(lambda m: news.append(m.name))
        import _testcapi
        print(news.count("_testcapi"))
    """)
    assert out == "1"


def test_a_module_run_by_runpy_works_while_watched(child, write):
    write("runnable_w.py", "value = __name__\n")
    out = child("""
        import runpy
        store.start()
        print(runpy.run_module("runnable_w", run_name="other")["value"])
    """)
    assert out == "other"


def test_an_error_of_ours_never_reaches_the_import(store, diagnostics, write):
    def fail(module, loader):
        raise RuntimeError

    store._watcher.begun = fail
    write("safe_w.py", "value = 1\n")
    assert importlib.import_module("safe_w").value == 1
    assert diagnostics.counters["import-watch-failed"] == 1


def test_the_import_system_stays_usable_from_many_threads(child, write):
    for number in range(20):
        write(f"many_{number}.py", "import time\ndef f(): pass\n")
    out = child("""
        import threading
        store.start()
        store.subscribe(lambda m: news.append(m.name))
        def work():
            for number in range(20):
                importlib.import_module(f"many_{number}")
                store.look()
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join(30)
        assert {f"many_{n}" for n in range(20)} <= set(news)
        print(diagnostics.counters)
    """)
    assert out == "{}"


def test_tracebacks_of_the_test_itself_hold_no_frame_of_ours(store, write):
    write("fails_v.py", "1 / 0\n")
    with pytest.raises(ZeroDivisionError) as caught:
        import fails_v  # noqa: F401
    files = [frame.filename for frame in traceback.extract_tb(caught.tb)]
    assert len(files) == 2


def test_assertions_rewritten_by_pytest_stay_rewritten(child, write):
    write(
        "conftest.py",
        """
        from remora.agent.diagnostics import Diagnostics
        from remora.agent.modules import ModuleStore
        store = ModuleStore(Diagnostics("stderr"))
        store.start()
        news = []
        store.subscribe(lambda m: news.append(m.name))
        def pytest_runtest_setup(item):
            store.look()
            assert "test_inner_w" in news
        """,
    )
    write(
        "test_inner_w.py",
        """
        import pytest
        def test_it():
            left = 41
            with pytest.raises(AssertionError, match="assert 41 == 42"):
                assert left == 42
        """,
    )
    # its own settings, not those of a project around the temporary folder
    options = ("-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider")
    assert "1 passed" in child("", *options, "test_inner_w.py")
