"""The interpreter's own tests, with steps inside every function that they define.

    PYTHONPATH=src python tests/explore/inlined_behaviour.py [TEST]…

Each test module of CPython (`test.test_generators` and the like) is run twice: as it
is, and with every function, lambda and comprehension in it made as an inlined probe
would make it, with local hooks in every phase that do nothing. The second run must fail
nowhere where the first did not.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import sys
import unittest
import warnings
from types import CodeType, ModuleType

from remora.agent.hooks.outcomes import Driver
from remora.agent.interception import Step
from remora.agent.interception.inline import inline
from remora.agent.runtime import guard

CO_OPTIMIZED = 0x1

TESTS = (
    *(
        "asyncgen",
        "contextlib",
        "contextlib_async",
        "coroutines",
        "copy",
        "dataclasses",
    ),
    *("enum", "exceptions", "except_star", "extcall", "functools", "generators"),
    *("genexps", "heapq", "inspect", "iter", "json", "keywordonlyarg", "listcomps"),
    *(
        "pep479",
        "property",
        "raise",
        "scope",
        "super",
        "textwrap",
        "traceback",
        "types",
    ),
    *("unpack_ex", "warnings", "weakref", "with", "yield_from", "string_literals"),
    *("sys_settrace", "named_expressions", "patma", "setcomps", "dictcomps", "bdb"),
)

faults: list[BaseException] = []


def nothing(*_: object) -> None:
    """Stand for a hook that asks for nothing."""


def transformed(code: CodeType) -> CodeType:
    """The code with steps inside it, and inside all code within it."""
    consts = tuple(
        transformed(constant) if type(constant) is CodeType else constant
        for constant in code.co_consts
    )
    code = code.replace(co_consts=consts)
    if not code.co_flags & CO_OPTIMIZED:
        return code
    steps = tuple(
        Step(phase, nothing, wants, faults.append, lambda _: None, [True], True)
        for phase, wants in (
            ("pre", ()),
            ("post", ("@result", "@duration_ms")),
            ("fail", ("@error",)),
        )
    )
    return inline(code, "site", steps, Driver())


def load(name: str, *, inlined: bool) -> ModuleType:
    """Execute a test module, as it is or with steps inside."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    assert spec.origin is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    code = spec.loader.get_code(name)  # pyright: ignore[reportAttributeAccessIssue] - of source files
    exec(transformed(code) if inlined else code, module.__dict__)
    return module


def failures(name: str, *, inlined: bool) -> tuple[int, dict[str, str]]:
    """How many tests ran, and which failed with what."""
    try:
        module = load(name, inlined=inlined)
    except unittest.SkipTest:
        return 0, {}
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        output = io.StringIO()
        result = unittest.TextTestRunner(stream=output, verbosity=0).run(suite)
    bad = {str(test): text for test, text in (*result.failures, *result.errors)}
    return result.testsRun, bad


def main(names: list[str]) -> int:
    """Run all; returns how many tests fail with steps inside alone."""
    worse = 0
    for short in names or TESTS:
        name = f"test.test_{short}"
        if importlib.util.find_spec(name) is None:
            continue
        count, before = failures(name, inlined=False)
        guard.busy.clear()
        _, after = failures(name, inlined=True)
        new = {test: text for test, text in after.items() if test not in before}
        worse += len(new)
        print(f"{name}: {count} tests, {len(before)} fail anyway, {len(new)} more")
        for test, text in new.items():
            print(f"  {test}\n{text}")
    return worse


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
