"""Stacks and locals without our own frames."""

import sys
import weakref

from remora.agent.capture import capture_locals, capture_stack
from remora.agent.targets import TRAMPOLINE_MARK


def outer():
    return inner()


def inner():
    return capture_stack(sys._getframe())[0]


def test_the_innermost_frame_comes_first():
    frames = outer()
    assert [frame["function"] for frame in frames[:2]] == ["inner", "outer"]
    assert frames[0]["file"] == __file__
    assert frames[0]["line"] == inner.__code__.co_firstlineno + 1


def test_trampolines_and_code_of_ours_are_left_out():
    source = "def target(f):\n    return f()\n"
    spaces: dict[str, object] = {}
    exec(compile(source, "<remora value>", "exec"), spaces)
    frames = spaces["target"](outer)
    assert [frame["function"] for frame in frames[:2]] == ["inner", "outer"]
    assert "target" not in [frame["function"] for frame in frames]

    def trampoline(f):
        return f()

    code = trampoline.__code__
    trampoline.__code__ = code.replace(co_consts=(*code.co_consts, TRAMPOLINE_MARK))
    frames = trampoline(outer)
    names = [frame["function"].rpartition(".")[2] for frame in frames]
    assert names[:2] == ["inner", "outer"]
    assert "trampoline" not in names


def test_a_deep_stack_is_cut():
    def down(depth):
        return down(depth - 1) if depth else capture_stack(sys._getframe(), 32)[0]

    assert len(down(200)) == 32


def test_locals_are_captured_and_redacted():
    def function(amount, password):
        both = [amount, password]
        return capture_locals(sys._getframe()), both

    (values, size), _ = function(5, "x")
    assert values["amount"] == 5
    assert values["password"] == {"$": "redacted", "reason": "name"}
    assert size > 0


def middle(depth, secret_token="hunter2"):
    big = "x" * 300
    del big
    if depth:
        return middle(depth - 1)
    return capture_stack(sys._getframe(), chosen=("nowhere", f"{__name__}:mid*"))


def test_chosen_frames_show_their_locals_within_the_bounds_of_one_capture():
    frames, size = middle(8)
    shown = [frame for frame in frames if "locals" in frame]
    assert [frame["locals"]["depth"] for frame in shown] == [0, 1, 2, 3, 4]
    assert all(frame["function"] == "middle" for frame in shown)
    assert "hunter2" not in str(frames)
    assert size >= 100 * len(frames)


def test_locals_of_chosen_frames_are_cut_together():
    def deep(depth, large):
        if depth:
            return deep(depth - 1, large)
        return capture_stack(sys._getframe(), chosen=("*deep",))

    frames, size = deep(10, {str(n): "x" * 250 for n in range(1000)})
    assert sum("locals" in frame for frame in frames) == 5
    assert size < 40_000 + 100 * len(frames)
    assert len(str(frames)) < 120_000


def test_reading_a_caller_s_locals_leaves_it_as_it_was():
    def reader():
        return capture_stack(sys._getframe(), chosen=("*keeper",))[0]

    class Thing:
        pass

    def keeper():
        thing = Thing()
        gone = weakref.ref(thing)
        frames = reader()
        del thing
        return frames, gone()

    frames, gone = keeper()
    assert any("thing" in frame.get("locals", {}) for frame in frames)
    assert gone is None
