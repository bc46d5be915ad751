"""The hook that uWSGI calls in each worker, with a stand-in for its module."""

import sys
from types import ModuleType

import pytest

from remora.agent.runtime.uwsgi import PostForkHook


@pytest.fixture
def server(monkeypatch):
    module = ModuleType("uwsgi")
    module.worker_id = lambda: 1
    monkeypatch.setitem(sys.modules, "uwsgi", module)
    return module


def test_without_the_server_nothing_happens():
    hook = PostForkHook(lambda: None)
    hook.chain()
    hook.remove()
    assert "uwsgi" not in sys.modules


def test_both_hooks_run_and_the_former_comes_back(server):
    calls = []
    former = server.post_fork_hook = lambda: calls.append("app")
    hook = PostForkHook(lambda: calls.append("agent"))
    hook.chain()
    hook.chain()
    server.post_fork_hook()
    assert calls == ["agent", "app"]
    hook.remove()
    assert server.post_fork_hook is former


def test_a_hook_that_the_app_sets_later_is_chained_and_where_none_was_none_is_left(
    server,
):
    calls = []
    hook = PostForkHook(lambda: calls.append("agent"))
    hook.chain()
    hook.remove()
    assert not hasattr(server, "post_fork_hook")
    hook = PostForkHook(lambda: calls.append("agent"))
    hook.chain()
    server.post_fork_hook = lambda: calls.append("app")
    hook.chain()
    server.post_fork_hook()
    assert calls == ["agent", "app"]


def test_under_a_hook_of_another_it_is_silent_after_removal(server):
    calls = []
    hook = PostForkHook(lambda: calls.append("agent"))
    hook.chain()
    server.post_fork_hook = above = lambda: hook()
    hook.remove()
    assert server.post_fork_hook is above
    server.post_fork_hook()
    assert calls == []


def test_a_module_that_only_has_the_name_is_left_alone(server):
    del server.worker_id
    PostForkHook(lambda: None).chain()
    assert not hasattr(server, "post_fork_hook")
