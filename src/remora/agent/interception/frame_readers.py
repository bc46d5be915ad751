"""C functions that read the frame of their caller, which a trampoline stands between.

`eval`, `exec` and `compile` have a shim that gives them what they would have read. The
others are refused. Rule of this file: no `from __future__` import. A shim's own code
would carry its flag, and so would the app's text that the shim hands to `eval`.
"""

import builtins
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from remora.agent.runtime import facts
from remora.agent.runtime.builtin_object import clone
from remora.agent.runtime.frame_locals import CO_OPTIMIZED

AppValue = Any

_FUTURE_FLAGS = 0x1FE0000
"""Flags of `from __future__` that code compiled at a place inherits (PyCF_MASK)."""
_TO_CALLER = 2
"""From a shim: its own frame, the trampoline's, the caller's."""

_get_frame = clone(sys._getframe)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - frames are what this is about
_compile: AppValue = clone(compile)
_dict = dict
_is_text = (str, bytes)

_REFUSED = {
    "builtins": (
        *("locals", "vars", "dir", "globals", "breakpoint", "__build_class__"),
    ),
    "sys": (
        *("_getframe", "_getframemodulename", "_current_frames", "call_tracing"),
        *("settrace", "setprofile", "_settraceallthreads", "_setprofileallthreads"),
    ),
    "_warnings": ("warn",),
}
"""By the name of their module. `dir`, `vars` and the like answer for the caller's frame
when they are called with nothing; `warn` counts frames to find the line to blame."""


def refusal(builtin: AppValue) -> str:
    """Why a builtin may not have a frame between its caller and itself, or ""."""
    home = getattr(builtin, "__self__", None)
    name = builtin.__name__
    if name in _REFUSED.get(getattr(home, "__name__", ""), ()):
        return "it reads the frame of its caller, and a probe would stand between"
    return ""


def shim(builtin: AppValue, original: AppValue) -> AppValue:
    """What to run instead of `original`, the clone of a builtin; mostly itself."""
    if builtin is builtins.eval:
        return _evaluating(original, "eval")
    if builtin is builtins.exec:
        return _evaluating(original, "exec")
    if builtin is builtins.compile:
        return _compiling(original)
    return original


def _evaluating(original: Callable[..., AppValue], mode: str) -> AppValue:
    def evaluate(*args: AppValue, **kwargs: AppValue) -> AppValue:
        if not args or args[3:]:
            return original(*args, **kwargs)
        frame = _get_frame(_TO_CALLER)
        values: list[AppValue] = [*args, None, None]
        source, space, local = values[:3]
        space = kwargs.pop("globals", space) if facts.EVAL_TAKES_NAMES else space
        local = kwargs.pop("locals", local) if facts.EVAL_TAKES_NAMES else local
        if space is None:
            space = frame.f_globals
            if local is None:
                local = _locals(frame)
        flags = frame.f_code.co_flags & _FUTURE_FLAGS
        if flags and type(source) in _is_text:
            if mode == "eval":
                source = source.lstrip(" \t" if type(source) is str else b" \t")
            source = _compile(source, "<string>", mode, flags, True)
        return original(source, space, local, **kwargs)

    return evaluate


def _locals(frame: FrameType) -> AppValue:
    """What `eval` would have taken for the locals of a frame."""
    if facts.LOCALS_ARE_A_VIEW and frame.f_code.co_flags & CO_OPTIMIZED:
        return _dict(frame.f_locals)
    return frame.f_locals


def _compiling(original: Callable[..., AppValue]) -> AppValue:
    def compile_(
        source: AppValue,
        filename: AppValue,
        mode: AppValue,
        flags: AppValue = 0,
        dont_inherit: AppValue = False,  # noqa: FBT002
        optimize: AppValue = -1,
        **others: AppValue,
    ) -> AppValue:
        if not dont_inherit and type(flags) is int:
            flags |= _get_frame(_TO_CALLER).f_code.co_flags & _FUTURE_FLAGS
            dont_inherit = True
        return original(source, filename, mode, flags, dont_inherit, optimize, **others)

    return compile_
