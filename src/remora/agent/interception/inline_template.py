"""Trampolines into which the original itself is put: there is one frame, as before.

Like those of `template`, but with a place for the body where the others call a clone.
The body may change or delete its parameters, so what later phases want of them is taken
at entry. While the body runs no variable of ours has a value, for `locals()` would show
it: those that are needed later are named in `kept`, and wait on the stack.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from remora.agent.interception import plan
from remora.agent.interception.template import (
    ASYNC_GENERATOR,
    GENERATOR,
    Shape,
    StepShape,
    Writer,
    code_of,
    placed,
    placeholder,
)

if TYPE_CHECKING:
    from types import CodeType

BODY = placeholder("BODY")
"""The constant in the place of the body: what it gives is there when it has run."""

SILENT_LINE, DEF_LINE = 1, 2
"""Lines in a template: of what a debugger is not shown, and of what shows as the `def`,
because an exception may come from there."""


class InlineTemplate(NamedTuple):
    """The code of a shape, and its variables that wait on the stack meanwhile."""

    code: CodeType
    kept: tuple[str, ...]


_templates: dict[Shape, InlineTemplate] = {}

_TEMPLATES_LIMIT = 200
"""As for trampolines, of which these are the rare ones."""


def inline_template(shape: Shape) -> InlineTemplate:
    """The compiled template of a shape, made once."""
    found = _templates.get(shape)
    if found is None:
        if len(_templates) >= _TEMPLATES_LIMIT:
            _templates.clear()
        writer = _InlineWriter(shape)
        tree = placed(writer.text())
        _show_outcomes(tree)
        found = _templates[shape] = InlineTemplate(code_of(tree), writer.kept)
    return found


def _show_outcomes(tree: ast.Module) -> None:
    """Give the calls that carry an outcome out, and may raise, the `def` line."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.IfExp)
            and isinstance(node.func.body, ast.Constant)
            and node.func.body.value == placeholder("GIVE")
        ):
            node.lineno = node.end_lineno = DEF_LINE


class _InlineWriter(Writer):
    """Writes one trampoline with a place for the body."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.is_left = False
        later = [step for _, step in (*self.post, *self.fail)]
        self.saved = self._parameters_for(later)
        wants = {want for step in later for want in step.wants}
        self.kept = (
            *(["s"] if plan.DURATION_MS in wants else []),
            *(["c"] if plan.CALL in wants else []),
            *(["n"] if plan.STATE in wants else []),
            *(f"w{number}" for number in self.saved),
        )
        self.clock = ["s"] if self.timed else []
        self.shared = ["c"] if self.shares else []
        self.shared += ["n"] if self.hands_on else []

    def _parameters_for(self, steps: list[StepShape]) -> list[int]:
        """Numbers of the parameters that steps behind the body look at."""
        count, keywords = len(self.positional), len(self.keywords)
        total = count + keywords + len(self.stars())
        star = [count + keywords] if self.shape.varargs else []
        wanted: set[int] = set()
        for step in steps:
            wanted.update(want for want in step.wants if isinstance(want, int))
            if plan.ARGS in step.wants:
                wanted.update([*range(count), *star])
            if plan.KWARGS in step.wants:
                wanted.update(set(range(count, total)) - set(star))
            if step.filtered:
                wanted.update([0] if count else star)
        return sorted(wanted)

    def begin(self) -> None:
        """What every phase needs; what later ones want of the arguments."""
        if self.shape.nature == GENERATOR:
            self.put(1, "if 0: yield")
        super().begin()
        for number in self.saved:
            name = self.name(number)
            # the body may change that dictionary, as it could not change a clone's
            value = "{**vk}" if name == "vk" else name
            self.put(1, f"w{number} = {value}")

    def name(self, number: int) -> str:
        """The variable of a parameter; behind the body that of its value at entry."""
        if not self.is_left:
            return super().name(number)
        total = len(self.positional) + len(self.keywords) + len(self.stars())
        return f"w{number % total}"

    def run(self, depth: int, then: str) -> None:
        """The body, unless the pre phase decided otherwise."""
        if not self.pre_decides:
            self.body(depth, then)
        else:
            self.put(depth, "if d is None or d.__class__ is ARGUMENTS:")
            names = [*self.positional, *self.keywords, *self.stars()]
            if names:
                given = f"(d, NAMES, STARS, {self.args()}, {self.kwargs()})"
                self.put(depth + 1, "if d is not None:")
                self.put(depth + 2, f"{', '.join(names)}, = REBIND{given}")
            self.body(depth + 1, then)
            self.put(depth, "else:")
            self.put(depth + 1, f"{then}GIVE(d)")
        self.is_left = True

    def body(self, depth: int, then: str) -> None:
        """The place of the body, with no variable of ours in it."""
        present = [*self.clock, *self.shared, *self.scratch(self.pre)]
        gone = [name for name in present if name not in self.kept]
        if gone:
            self.put(depth, f"del {', '.join(gone)}")
        self.put(depth, f"{then}BODY")

    def body_alone(self) -> None:
        """The body, where nothing follows it."""
        if self.shape.nature != ASYNC_GENERATOR:
            self.run(1, "return ")
        else:
            self.run(1, "r = ")
            self.put(1, "return")

    def scratch(self, steps: list[tuple[int, StepShape]]) -> list[str]:
        """The variables that steps of one phase have surely used when they are done."""
        return [
            *(["d"] if any(step.decides for _, step in steps) else []),
            *(["m"] if any(plan.DURATION_MS in s.wants for _, s in steps) else []),
            *(["o"] if any(step.slotted for _, step in steps) else []),
            *(["i"] if any(step.guard for _, step in steps) else []),
        ]

    def reraise(self, depth: int) -> None:
        """Let the exception go on; who reads its frames finds no variable of ours."""
        names = dict.fromkeys([*self.kept, *self.scratch([*self.pre, *self.fail])])
        for name in names:
            self.put(depth, f"{name} = None")
        if names:
            self.put(depth, f"del {', '.join(names)}")
        super().reraise(depth)
