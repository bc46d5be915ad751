"""Every function of the standard library: a call at each line, steps around each body.

    PYTHONPATH=src python tests/explore/bytecode_sweep.py [PART]…

makes the code for each line probe and each inlined probe there could be, runs none of
it, and checks what a running interpreter relies on: what is read back is what was
wanted, the stack has one depth wherever two ways meet and is as deep as declared, and
the lines are those of the source. PART limits it to files whose path contains it.
"""

from __future__ import annotations

import dis
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import CodeType

from remora.agent.hooks.outcomes import Driver
from remora.agent.interception import Step
from remora.agent.interception.bytecode import take_apart
from remora.agent.interception.inline import inline
from remora.agent.interception.line_injection import Gate, inject
from remora.agent.targets.code import all_code, lines_of

CO_OPTIMIZED = 0x1


def steps(code: CodeType) -> tuple[Step, ...]:
    """A local hook in every phase that wants the first parameter."""
    wants = code.co_varnames[:1] if code.co_argcount else ()
    return tuple(
        Step(phase, print, (*extra, *wants), print, print, [True], True)
        for phase, extra in (
            ("pre", ()),
            ("post", ("@result", "@duration_ms", "@args")),
            ("fail", ("@error",)),
        )
    )


def check_stack(code: CodeType) -> None:
    """Raise AssertionError unless the stack is the same on every way to a place."""
    parts = take_apart(code)
    following = {id(a): b for a, b in pairwise(parts)}
    begun = next(part for part in parts if dis.opname[part.op] == "RESUME")
    known: dict[int, int] = {}
    work = [(begun, 0)]
    while work:
        part, depth = work.pop()
        if id(part) in known:
            assert known[id(part)] == depth, (code, part.start, depth)
            continue
        known[id(part)] = depth
        assert 0 <= depth <= code.co_stacksize, (code, part.start, depth)
        argument = part.arg if part.op >= dis.HAVE_ARGUMENT else None
        if part.handler is not None:
            target, about = part.handler
            assert about >> 1 <= depth, (code, part.start, depth)
            work.append((target, (about >> 1) + 1 + (about & 1)))
        if part.target is not None:
            effect = dis.stack_effect(part.op, argument, jump=True)
            work.append((part.target, depth + effect))
        if part.falls_through:
            effect = dis.stack_effect(part.op, argument, jump=False)
            work.append((following[id(part)], depth + effect))


def check(code: CodeType) -> tuple[int, int]:
    """Check one function; returns its lines and its instructions with steps inside."""
    lines = lines_of(code)
    with_calls = inject(code, {n: Gate(print, ()) for n in lines}, code.co_consts)
    assert lines_of(with_calls) == lines, code
    inside = inline(code, "site", steps(code), Driver())
    assert lines_of(inside) - {code.co_firstlineno} == lines - {code.co_firstlineno}
    assert inside.co_varnames[: len(code.co_varnames)] == code.co_varnames
    both = inline(with_calls, "site", steps(code), Driver())
    for made in (code, with_calls, inside, both):
        check_stack(made)
    return len(lines), len(inside.co_code) // 2


def functions_of(path: Path) -> Iterator[CodeType]:
    """All code of functions in a file, lambdas and comprehensions too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    return (code for code in all_code(whole) if code.co_flags & CO_OPTIMIZED)


def sweep(parts: list[str]) -> int:
    """Check all files; returns how many functions failed."""
    folder = Path(sysconfig.get_path("stdlib"))
    functions = lines = units = failed = 0
    for path in sorted(folder.rglob("*.py")):
        name = str(path.relative_to(folder))
        if "site-packages" in name or not all(part in name for part in parts):
            continue
        try:
            found = list(functions_of(path))
        except (SyntaxError, ValueError, UnicodeDecodeError):
            continue  # files that the standard library tests its compiler with
        for code in found:
            functions += 1
            try:
                more = check(code)
            except (AssertionError, ValueError, KeyError) as error:
                failed += 1
                print(f"{path}:{code.co_firstlineno} {code.co_qualname}: {error!r}")
                continue
            lines += more[0]
            units += more[1]
    print(f"{functions:,} functions, {lines:,} lines, {units:,} units, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(bool(sweep(sys.argv[1:])))
