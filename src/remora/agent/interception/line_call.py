"""The function that injected bytecode calls: the steps of a line, contained.

Written out for the steps there are, so that a line costs one call and what its steps
cost. A step whose slot is empty is switched off, also in frames that run old code.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.agent.runtime import frame_locals

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from remora.agent.interception.plan import AppValue, Step


def make_call(
    code: CodeType,
    steps: tuple[Step, ...],
    slots: list[list[bool]],
    names: tuple[str, ...],
    unbound: AppValue,
) -> Callable[..., None]:
    """A function of the values of `names`; what else a step wants is read."""
    parameters = ", ".join(f"v{number}" for number in range(len(names)))
    lines = [f"def line({parameters}):"]
    bound: dict[str, object] = {
        "__builtins__": {},
        "FRAME": sys._getframe,  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the one way to the frame
        "BASE": BaseException,
    }
    for number, (step, slot) in enumerate(zip(steps, slots, strict=True)):
        bound[f"CALL{number}"], bound[f"FAULT{number}"] = step.call, step.fault
        bound[f"SLOT{number}"] = slot
        values = f"*READ{number}(FRAME(1))"
        if set(step.wants) <= set(names):
            values = ", ".join(f"v{names.index(name)}" for name in step.wants)
        else:
            read = frame_locals.reader(code, step.wants, unbound)
            bound[f"READ{number}"] = read
        lines += [
            f"    if SLOT{number}:",
            "        try:",
            f"            CALL{number}({values})",
            "        except BASE as error:",
            f"            FAULT{number}(error)",
        ]
    made: dict[str, Callable[..., None]] = {}
    exec(compile("\n".join(lines), "<remora line>", "exec"), bound, made)  # noqa: S102 - our own text
    return made["line"]
