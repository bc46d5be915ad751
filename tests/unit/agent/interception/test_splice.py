"""Code with steps inside: what the interpreter relies on, for a sample of functions.

`tests/explore/bytecode_sweep.py` does the same for the whole standard library.
"""

from __future__ import annotations

import contextlib
import json.decoder
import reprlib
import runpy
from pathlib import Path
from types import ModuleType

import pytest

from remora.agent.hooks.outcomes import Driver
from remora.agent.interception import splice
from remora.agent.interception.choose import need_of
from remora.agent.interception.inline import inline
from remora.agent.runtime import facts
from remora.agent.targets import is_spliced, without_injection

if not facts.CAN_EDIT_CODE:
    pytest.skip("bytecode of another interpreter", allow_module_level=True)

EXPLORE = Path(__file__).parents[3] / "explore"


@pytest.mark.parametrize("module", [json.decoder, reprlib], ids=lambda m: m.__name__)
def test_the_stack_and_the_tables_of_what_is_made_are_sound(module: ModuleType) -> None:
    sweep = runpy.run_path(str(EXPLORE / "bytecode_sweep.py"))
    assert module.__file__ is not None
    for code in sweep["functions_of"](Path(module.__file__)):
        sweep["check"](code)


def test_what_is_made_knows_the_code_that_it_was_made_of() -> None:
    code = contextlib.suppress.__exit__.__code__
    made = inline(code, "site", (), Driver())
    assert is_spliced(made)
    assert not is_spliced(code)
    assert without_injection(inline(made, "site", (), Driver())) is code


def test_code_that_would_become_too_long_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(splice, "_INSTRUCTIONS_LIMIT", 3)
    with pytest.raises(ValueError, match="it would have"):
        inline(json.decoder.JSONDecoder.decode.__code__, "site", (), Driver())


@pytest.mark.parametrize(
    ("text", "need"),
    [
        ("def f(a): return a", ""),
        ("def f(a): return sys._getframe(1)", "_getframe"),
        ("def f(a): return inspect.stack()", "inspect.stack"),
        ("def f(a): return a.stack()", ""),
        ("def f(a): log(a, stacklevel=3)", "stacklevel"),
        ("def f(a): warnings.warn(a)", "warn"),
        ("def f(a): return f(a - 1)", "calls itself"),
        ("def f(a): return a.f()", "calls itself"),
        ("def f(a): return [f(b) for b in a]", "calls itself"),
        ("def f(a): return super().f()", ""),
        ("def __init__(a): Other.__init__(a)", ""),
        ("def f(a):\n  def g(): return traceback.walk_stack()", "walk_stack"),
    ],
)
def test_what_needs_its_frame(text: str, need: str) -> None:
    space: dict[str, object] = {}
    exec(text, space)
    function = next(value for name, value in space.items() if name != "__builtins__")
    found = need_of(function.__code__)
    assert need in found
    assert bool(found) == bool(need)
