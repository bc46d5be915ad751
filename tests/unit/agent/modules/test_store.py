from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import sys
import types
import weakref

import pytest

from remora.agent.modules import ModuleState, ModuleStore


def test_an_import_is_news_once_after_its_code_has_run(store, news, write):
    write("shop_a/__init__.py")
    write("shop_a/cart.py", "def add(): return 1\n")
    sizes = []
    store.subscribe(lambda record: sizes.append("add" in record.namespace))

    importlib.import_module("shop_a.cart")
    store.look()

    assert news.of("shop_a", "shop_a.cart") == [
        ("shop_a", "loaded", 1),
        ("shop_a.cart", "loaded", 1),
    ]
    assert sizes[-1] is True


def test_in_a_circular_import_each_module_is_news_after_it_is_whole(news, write):
    write("ring_a.py", "import ring_b\ndef late(): pass\n")
    write("ring_b.py", "import ring_a\n")
    importlib.import_module("ring_a")
    assert [entry[0] for entry in news.of("ring_a", "ring_b")] == ["ring_b", "ring_a"]


def test_a_module_that_is_still_being_imported_is_loading(store, write):
    seen = []
    sys.modules["store_probe"] = types.SimpleNamespace(
        ask=lambda: seen.append(store.find("half_done").state)
    )  # type: ignore[assignment]
    write("half_done.py", "import store_probe\nstore_probe.ask()\n")
    try:
        importlib.import_module("half_done")
    finally:
        del sys.modules["store_probe"]
    assert seen == [ModuleState.LOADING]
    assert store.find("half_done").state is ModuleState.LOADED


def test_look_says_nothing_of_a_module_that_is_still_being_imported(store, news, write):
    sys.modules["store_probe"] = types.SimpleNamespace(ask=store.look)  # type: ignore[assignment]
    write("half_looked.py", "import store_probe\nstore_probe.ask()\ndef f(): pass\n")
    try:
        importlib.import_module("half_looked")
    finally:
        del sys.modules["store_probe"]
    assert news.of("half_looked") == [("half_looked", "loaded", 1)]


def test_a_reload_is_news_of_the_next_generation(store, news, write):
    write("again.py", "def f(): pass\n")
    module = importlib.import_module("again")
    importlib.reload(module)
    assert news.of("again") == [("again", "loaded", 1), ("again", "loaded", 2)]
    assert news.records[0] is news.records[1]
    assert store.find("again").module() is module


def test_a_failed_reload_is_news_too_because_functions_were_renewed(news, write):
    path = write("broken_later.py", "def f(): pass\n")
    module = importlib.import_module("broken_later")
    path.write_text("def f(): return 2\nraise ValueError('later')\n")
    with pytest.raises(ValueError, match="later"):
        importlib.reload(module)
    assert news.of("broken_later")[-1] == ("broken_later", "loaded", 2)


def test_a_failed_import_is_no_news_and_leaves_no_record(store, news, write):
    write("broken.py", "raise ValueError('broken')\n")
    with pytest.raises(ValueError, match="broken"):
        importlib.import_module("broken")
    store.look()
    assert news.of("broken") == []
    assert store.find("broken") is None


def test_removed_and_imported_again_is_another_module_of_the_next_generation(
    store, news, write
):
    write("twice.py", "def f(): pass\n")
    importlib.import_module("twice")
    first = store.find("twice")
    del sys.modules["twice"]
    assert first.state is ModuleState.GONE
    importlib.import_module("twice")
    second = store.find("twice")
    assert second is not first
    assert second.state is ModuleState.LOADED
    assert news.of("twice") == [("twice", "loaded", 1), ("twice", "loaded", 2)]


def test_a_removed_module_is_news_as_gone_at_the_next_look(store, news, write):
    write("leaving.py")
    importlib.import_module("leaving")
    del sys.modules["leaving"]
    store.look()
    store.look()
    assert news.of("leaving") == [("leaving", "loaded", 1), ("leaving", "gone", 1)]
    importlib.import_module("leaving")
    assert news.of("leaving")[-1] == ("leaving", "loaded", 2)


def test_two_path_entries_with_one_name_are_told_apart_by_their_file(
    store, write, monkeypatch, tmp_path
):
    first = write("one/common_name.py", "def f(): return 1\n")
    second = write("two/common_name.py", "def f(): return 2\n")
    monkeypatch.syspath_prepend(str(tmp_path / "one"))
    importlib.import_module("common_name")
    assert store.find("common_name").file == os.path.realpath(first)
    del sys.modules["common_name"]
    monkeypatch.syspath_prepend(str(tmp_path / "two"))
    importlib.import_module("common_name")
    record = store.find("common_name")
    assert (record.file, record.generation) == (os.path.realpath(second), 2)


def test_one_file_under_two_names_is_two_modules_of_one_file(
    store, write, monkeypatch, tmp_path
):
    path = write("package_t/__init__.py").parent / "tool.py"
    path.write_text("def f(): pass\n")
    monkeypatch.syspath_prepend(str(path.parent))
    importlib.import_module("package_t.tool")
    importlib.import_module("tool")
    one, other = store.find("package_t.tool"), store.find("tool")
    assert one is not other
    assert one.file == other.file
    assert one.module() is not other.module()


def test_an_alias_leads_to_the_module_that_lives_there(store):
    assert store.find("os.path").name == os.path.__name__
    assert store.find("os.path") is store.find(os.path.__name__)


def test_a_module_is_found_through_the_attribute_of_another(store, write):
    write("facade.py", "import json.decoder as inner\n")
    importlib.import_module("facade")
    assert store.find("facade.inner").name == "json.decoder"
    assert store.find("facade.nothing") is None


def test_a_name_never_imported_and_an_import_forbidden_are_not_found(
    store, monkeypatch
):
    monkeypatch.setitem(sys.modules, "forbidden_here", None)
    store.look()
    assert store.find("forbidden_here") is None
    assert store.find("never.imported") is None


def test_a_module_made_by_hand_is_found_by_the_look_and_so_is_its_growth(
    store, news, monkeypatch
):
    made = types.ModuleType("made_by_hand")
    monkeypatch.setitem(sys.modules, "made_by_hand", made)
    store.look()
    made.f = lambda: None
    store.look()
    store.look()
    assert news.of("made_by_hand") == [("made_by_hand", "loaded", 1)] * 2


def test_a_module_executed_behind_our_back_is_news_again_when_it_is_whole(
    store, news, write
):
    path = write("plugin_s.py", "early = 1\nask()\ndef late(): pass\n")
    spec = importlib.util.spec_from_file_location("plugin_s", path)
    module = importlib.util.module_from_spec(spec)
    module.ask = store.look
    sys.modules["plugin_s"] = module
    spec.loader.exec_module(module)
    store.look()
    store.look()
    assert news.of("plugin_s") == [("plugin_s", "loaded", 1)] * 2
    assert store.find("plugin_s").is_open is False


def test_a_namespace_package_is_found_by_the_look(store, news, write):
    write("spacious/inner.py")
    importlib.import_module("spacious.inner")
    store.look()
    assert ("spacious", "loaded", 1) in news.seen


def test_builtin_modules_are_news_at_the_next_import(child):
    out = child("""
        store.start()
        store.subscribe(lambda m: news.append(m.name))
        for name in sys.builtin_module_names:
            if name not in sys.modules: break
        importlib.import_module(name)
        import wave
        print(name in news)
    """)
    assert out == "True"


def test_an_object_that_is_no_module_is_refused_calmly(store, news, monkeypatch):
    class Exploding:
        def __getattribute__(self, name):
            raise AssertionError(f"the store asked for {name}")

    monkeypatch.setitem(sys.modules, "odd_one", Exploding())
    store.look()
    assert store.find("odd_one") is None
    assert news.of("odd_one") == []


def test_a_module_with_a_class_of_its_own_is_read_without_running_its_code(
    store, news, monkeypatch
):
    class Exploding(types.ModuleType):
        def __getattribute__(self, name):
            raise AssertionError(f"the store asked for {name}")

    module = Exploding("exploding")
    monkeypatch.setitem(sys.modules, "exploding", module)
    store.look()
    record = store.find("exploding")
    assert record.module() is module
    assert record.state is ModuleState.LOADED
    assert record.file == ""
    assert "__name__" in record.namespace
    assert news.of("exploding") == [("exploding", "loaded", 1)]


def test_a_module_that_puts_another_in_its_place_is_known_by_the_other(store, write):
    write(
        "swapped.py",
        """
        import sys, types
        other = types.ModuleType("swapped")
        other.f = lambda: None
        sys.modules["swapped"] = other
        """,
    )
    module = importlib.import_module("swapped")
    store.look()
    assert store.find("swapped").module() is module
    assert "f" in store.find("swapped").namespace


def test_modules_are_held_weakly(store, write):
    write("held.py")
    importlib.import_module("held")
    record = store.find("held")
    del sys.modules["held"]
    assert record.module() is None
    assert record.namespace == {}
    assert record.state is ModuleState.GONE


def test_the_first_importer_is_the_module_whose_statement_imports(store, write):
    write("importer_x.py", "import imported_x\n")
    write("imported_x.py")
    importlib.import_module("importer_x")
    assert store.find("imported_x").first_importer == "importer_x"


def test_a_subscriber_that_raises_is_counted_and_the_others_are_told(
    store, diagnostics, write
):
    told = []

    def fail(record):
        raise RuntimeError(record.name)

    store.subscribe(fail)
    store.subscribe(lambda record: told.append(record.name))
    write("innocent.py")
    importlib.import_module("innocent")
    assert told == ["innocent"]
    assert diagnostics.counters["module-subscriber-failed"] == 1


def test_an_undone_subscription_hears_nothing_more(store, write):
    told = []
    undo = store.subscribe(lambda record: told.append(record.name))
    undo()
    undo()
    write("unheard.py")
    importlib.import_module("unheard")
    assert told == []


def test_what_was_loaded_before_the_start_is_no_news(store, news):
    store.look()
    assert news.of("sys", "os", "builtins") == []
    assert {"sys", "os", "builtins"} <= {record.name for record in store.loaded()}


def test_stop_leaves_the_meta_path_as_it_was(diagnostics):
    before = list(sys.meta_path)
    store = ModuleStore(diagnostics)
    store.start()
    store.start()
    assert len(sys.meta_path) == len(before) + 1
    store.stop()
    store.stop()
    assert sys.meta_path == before


def test_the_look_goes_back_to_a_meta_path_that_was_restored_by_the_app(
    store, news, write
):
    sys.meta_path.pop(0)
    store.look()
    write("after_all.py")
    importlib.import_module("after_all")
    assert news.of("after_all") == [("after_all", "loaded", 1)]


def test_a_script_is_found_as_main_and_by_its_own_name_and_its_growth_is_news(
    child, write
):
    write(
        "shop_script.py",
        """
        from remora.agent.diagnostics import Diagnostics
        from remora.agent.modules import ModuleStore
        store = ModuleStore(Diagnostics("stderr"))
        news = []
        store.subscribe(lambda m: news.append((m.name, m.real_name)))
        store.start()
        store.look()
        store.look()
        assert news == [], news
        def f(): pass
        store.look()
        store.look()
        assert news == [("__main__", "shop_script")], news
        main = store.find("shop_script")
        assert main is store.find("__main__")
        print(main.file.endswith("shop_script.py"))
        """,
    )
    assert child("", "shop_script.py") == "True"


def test_a_module_run_by_dash_m_and_imported_by_name_is_told_apart(child, write):
    write("run_m/__init__.py")
    write(
        "run_m/mod.py",
        """
        if __name__ == "__main__":
            from remora.agent.diagnostics import Diagnostics
            from remora.agent.modules import ModuleStore
            store = ModuleStore(Diagnostics("stderr"))
            store.start()
            assert store.find("run_m.mod") is store.find("__main__")
            import run_m.mod
            main, real = store.find("__main__"), store.find("run_m.mod")
            assert main is not real
            assert main.file == real.file
            assert main.real_name == real.name == "run_m.mod"
            print("apart")
        """,
    )
    assert child("", "-m", "run_m.mod") == "apart"


def test_main_replaced_by_runpy_is_noticed(child, write):
    write("ran.py", "ask()\ndef late(): pass\nask()\n")
    out = child("""
        import runpy
        store.start()
        store.subscribe(lambda m: news.append((m.name, "late" in m.namespace)))
        runpy.run_path("ran.py", {"ask": store.look}, run_name="__main__")
        print([n for n in news if n[0] == "__main__"])
    """)
    assert out == "[('__main__', False), ('__main__', True)]"


def test_a_stopped_store_leaves_nothing_behind(diagnostics, write):
    store = ModuleStore(diagnostics)
    store.start()
    write("after_stop.py")
    spec = importlib.util.find_spec("after_stop")
    importlib.import_module("after_stop")
    store.stop()
    trace = weakref.ref(store)
    del store
    gc.collect()
    assert trace() is None
    assert "exec_module" not in vars(spec.loader)
