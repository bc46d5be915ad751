"""Trampolines: one code object for each shape of signature and steps.

Rules of this file
- The trampoline has the target's own signature and hands the arguments on one by one:
  nothing is packed unless a step asks for it.
- It looks no name up. Hooks, the clone of the original and everything else stand as
  placeholders among the constants and are put in by `code.replace`, once a function.
- Its statements are all on one line, so that in a stack it shows as the `def` line of
  the function it stands for; in the traceback of an exception it does not show at all.
- A loose trampoline stands for what has no code of Python: it takes any arguments,
  hands them on as they came, and finds what a step wants by position or by name.
- A placeholder is written as a conditional expression with a constant test: the
  compiler folds it to a plain LOAD_CONST, while a call of a bare constant would warn.
- The writers are one file: each line of a trampoline counts on the variables that the
  other lines set.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from remora.agent.interception import plan
from remora.agent.interception.plan import GUARDED, SHIELDED
from remora.agent.targets.code import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from remora.expression.source_text import parse_source

if TYPE_CHECKING:
    from types import CodeType

PLAIN, GENERATOR, COROUTINE, ASYNC_GENERATOR = (
    "plain",
    "generator",
    "coroutine",
    "async generator",
)


def nature_of(code: CodeType) -> str:
    """What a call of this code makes."""
    if code.co_flags & CO_ASYNC_GENERATOR:
        return ASYNC_GENERATOR
    if code.co_flags & CO_COROUTINE:
        return COROUTINE
    if code.co_flags & CO_GENERATOR:
        return GENERATOR
    return PLAIN


# Tuples: they are made and hashed once a function, and a glob may have ten thousand.
class StepShape(NamedTuple):
    """What of a step decides the code: its wants with parameters by position."""

    phase: str
    wants: tuple[int | str, ...]
    slotted: bool
    guard: str
    awaits: bool
    closing: bool
    decides: bool
    filtered: bool


class Shape(NamedTuple):
    """What of a function and its steps decides the code of the trampoline.

    A `loose` one has the parameters that the counts describe, but takes them as they
    come: "positional" without keywords, or "keywords" too. One with `cells` makes the
    clone at each call, of code that has so many free variables, from its own cells.
    """

    nature: str
    positional: int
    positional_only: int
    keyword_only: int
    varargs: bool
    varkeywords: bool
    steps: tuple[StepShape, ...]
    loose: str = ""
    cells: int | None = None


_templates: dict[Shape, CodeType] = {}

_TEMPLATES_LIMIT = 1000
"""Shapes in real programs: a few dozen. The bound is for programs that make them up."""


def template(shape: Shape) -> CodeType:
    """The compiled template of a shape, made once."""
    code = _templates.get(shape)
    if code is None:
        if len(_templates) >= _TEMPLATES_LIMIT:
            _templates.clear()
        code = _templates[shape] = code_of(placed(_source(shape)))
    return code


def placeholder(name: str) -> str:
    """The constant that stands for `name` until the trampoline is made."""
    return "\0" + name


class _Placeholders(ast.NodeTransformer):
    """Turn each name in capitals into a load of its placeholder constant."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if not node.id.isupper():
            return node
        return ast.IfExp(
            test=ast.Constant(value=1),
            body=ast.Constant(value=placeholder(node.id)),
            orelse=ast.Constant(value=0),
        )


def placed(source: str) -> ast.Module:
    """The tree of a trampoline's text: placeholders for capitals, all on one line."""
    tree = _Placeholders().visit(parse_source(source))
    for node in ast.walk(tree):
        if isinstance(
            node, (ast.expr, ast.stmt, ast.excepthandler, ast.arg)
        ) or hasattr(node, "lineno"):
            node.lineno = node.end_lineno = 1  # pyright: ignore[reportAttributeAccessIssue]
            node.col_offset = node.end_col_offset = 0  # pyright: ignore[reportAttributeAccessIssue]
    return tree


def code_of(tree: ast.Module) -> CodeType:
    """The code of the one function in a tree."""
    module = compile(tree, "<remora>", "exec", optimize=0)
    code = next(c for c in module.co_consts if hasattr(c, "co_code"))
    if code.co_name == "around":
        code = next(c for c in code.co_consts if hasattr(c, "co_code"))
    return code


def _source(shape: Shape) -> str:
    """The text of the trampoline. Names in capitals are placeholders."""
    writer = _LooseWriter if shape.loose else Writer
    return writer(shape).text()


_MARKS = {GUARDED: ("ADD", "DISCARD"), SHIELDED: ("RAISE", "LOWER")}
"""How a guard is taken and given back."""


class Writer:
    """Writes one trampoline, phase by phase."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.positional = [f"p{i}" for i in range(shape.positional)]
        self.keywords = [f"k{i}" for i in range(shape.keyword_only)]
        self.lines: list[str] = []
        steps = list(enumerate(shape.steps))
        self.pre = [(n, s) for n, s in steps if s.phase == "pre"]
        # post and fail run in reverse: who came first to the call leaves it last
        self.post = [(n, s) for n, s in reversed(steps) if s.phase == "post"]
        self.fail = [(n, s) for n, s in reversed(steps) if s.phase == "fail"]
        self.replacing = [(n, s) for n, s in steps if s.phase == "body"]
        self.clone = "CLONE" if shape.cells is None else "z"
        self.pre_decides = any(step.decides for _, step in self.pre)
        wants = {want for step in shape.steps for want in step.wants}
        self.timed = plan.DURATION_MS in wants or plan.CALL in wants
        self.shares = plan.CALL in wants
        self.hands_on = plan.STATE in wants

    def text(self) -> str:
        """The whole function."""
        asynchronous = self.shape.nature in {COROUTINE, ASYNC_GENERATOR}
        word = "async def" if asynchronous else "def"
        self.put(0, f"{word} t({self.signature()}):")
        self.begin()
        self.phase(1, self.pre)
        if self.post or self.fail:
            self.body_with_phases()
        else:
            self.body_alone()
        return "\n".join(self.around()) + "\n"

    def make_clone(self) -> None:
        """A function whose code is put in later; what it names are its cells.

        Functions are made of this very code, so it has the text that describes them.
        """
        self.put(1, r"'\0DOC'")
        self.put(1, f"def {self.clone}():")
        self.put(2, "; ".join(self.cells()) or "pass")

    def cells(self) -> list[str]:
        """Names that sort as they count, as the compiler sorts them."""
        return [f"f{number:04}" for number in range(self.shape.cells or 0)]

    def around(self) -> list[str]:
        """The lines, within a function that has the cells where there are any."""
        if not self.shape.cells:
            return self.lines
        variables = " = ".join(self.cells())
        return ["def around():", f"  {variables} = 0", *("  " + t for t in self.lines)]

    def begin(self) -> None:
        """What every phase needs, before the first."""
        if self.shape.cells is not None:
            self.make_clone()
        if self.timed:
            self.put(1, "s = NOW()")
        if self.shares:
            self.put(1, f"c = CALL(SITE, s, ALL, {self.values()})")
        if self.hands_on:
            self.put(1, "n = {}")

    def put(self, depth: int, text: str) -> None:
        """Write one line."""
        self.lines.append("  " * depth + text)

    def signature(self) -> str:
        """The parameters."""
        parts: list[str] = []
        for position, name in enumerate(self.positional):
            parts.append(name)
            if position + 1 == self.shape.positional_only:
                parts.append("/")
        if self.shape.varargs:
            parts.append("*va")
        elif self.keywords:
            parts.append("*")
        parts += self.keywords
        if self.shape.varkeywords:
            parts.append("**vk")
        return ", ".join(parts)

    def forward(self) -> str:
        """The arguments as the original is given them."""
        parts = list(self.positional)
        if self.shape.varargs:
            parts.append("*va")
        parts += [f"{name}={name}" for name in self.keywords]
        if self.shape.varkeywords:
            parts.append("**vk")
        return ", ".join(parts)

    def name(self, number: int) -> str:
        """The variable of a parameter: positional ones, keywords, `*` and `**`."""
        return [*self.positional, *self.keywords, *self.stars()][number]

    def stars(self) -> list[str]:
        """The variables of the `*` and `**` parameters."""
        stars = ["va"] if self.shape.varargs else []
        return [*stars, "vk"] if self.shape.varkeywords else stars

    def args(self) -> str:
        """The positional arguments as a tuple."""
        count, keywords = len(self.positional), len(self.keywords)
        parts = [self.name(number) for number in range(count)]
        if self.shape.varargs:
            parts.append(f"*{self.name(count + keywords)}")
        return "(" + "".join(part + ", " for part in parts) + ")"

    def kwargs(self) -> str:
        """The keyword arguments as a dictionary."""
        count = len(self.positional)
        parts = [f"'{k}': {self.name(count + n)}" for n, k in enumerate(self.keywords)]
        if self.shape.varkeywords:
            parts.append(f"**{self.name(-1)}")
        return "{" + ", ".join(parts) + "}"

    def values(self) -> str:
        """All parameters in the order of the code's variable names."""
        parts = [*self.positional, *self.keywords, *self.stars()]
        return "(" + "".join(part + ", " for part in parts) + ")"

    def first(self) -> str:
        """The first argument, which for methods is the object."""
        if self.positional:
            return self.name(0)
        rest = self.name(len(self.keywords))
        return f"{rest} and {rest}[0]"

    def want(self, want: int | str) -> str:
        """The expression of what a step wants."""
        if isinstance(want, int):
            return self.name(want)
        return {
            plan.RESULT: "r",
            plan.ERROR: "e",
            plan.DURATION_MS: "m",
            plan.CALL: "c",
            plan.STATE: "n",
            plan.ARGS: self.args(),
            plan.KWARGS: self.kwargs(),
        }[want]

    def phase(self, depth: int, steps: list[tuple[int, StepShape]]) -> bool:
        """Run all steps of a phase; whether any may have put an outcome in `d`."""
        decides = any(step.decides for _, step in steps)
        if decides:
            self.put(depth, "d = None")
        self.stop_clock(depth, steps)
        decided = False
        for number, step in steps:
            self.step(depth, number, step, chained=decided)
            decided = decided or step.decides
        return decides

    def step(self, depth: int, number: int, step: StepShape, *, chained: bool) -> None:
        """Call one hook, contained; `d` is its outcome."""
        tests = ["d is None"] if chained and step.decides else []
        if step.slotted:
            # through a variable: a constant in a test is judged by the compiler
            self.put(depth, f"o = SLOT{number}")
            tests.append("o")
        if step.filtered:
            tests.append(f"{self.first()} is ONLY{number}")
        if step.guard:
            self.put(depth, "i = IDENT()")
            tests.append("i not in GUARD.busy")
            if step.guard == SHIELDED:
                tests.append("i not in GUARD.shielded")
        if tests:
            self.put(depth, f"if {' and '.join(tests)}:")
            depth += 1
        wanted = ", ".join(self.want(want) for want in step.wants)
        call = f"{'await ' if step.awaits else ''}HOOK{number}({wanted})"
        result = "d = " if step.decides else ""
        taken, given_back = _MARKS.get(step.guard, ("", ""))
        self.put(depth, "try:")
        if taken:
            # inside: a Ctrl-C that arrives at this very call must not leave the mark
            self.put(depth + 1, f"{taken}(i)")
        self.put(depth + 1, f"{result}{call}")
        self.put(depth, "except BASE as x:")
        self.put(depth + 1, f"{result}FAULT{number}(x)")
        if taken:
            self.put(depth, "finally:")
            self.put(depth + 1, f"{given_back}(i)")
        if step.decides:
            self.put(depth, "if d is not None:")
            self.put(depth + 1, f"d = CHECK{number}(d)")

    def enter(self, arguments: str) -> str:
        """The expression that runs the original to its end."""
        call = f"{self.clone}({arguments})"
        if self.shape.nature == COROUTINE:
            return f"await {call}"
        if self.shape.nature == GENERATOR:
            for number, step in self.replacing:
                wanted = "".join(f"{self.want(want)}, " for want in step.wants)
                call = f"HOOK{number}({wanted}{call})"
            return f"(yield from {call})"
        return call

    def run(self, depth: int, then: str) -> None:
        """Run the original as the pre phase decided; `then` takes what it gives."""
        if not self.pre_decides:
            self.original(depth, self.forward(), then)
        else:
            self.put(depth, "if d is None:")
            self.original(depth + 1, self.forward(), then)
            self.put(depth, "elif d.__class__ is ARGUMENTS:")
            self.put(
                depth + 1,
                f"a, k = REBIND(d, NAMES, STARS, {self.args()}, {self.kwargs()})",
            )
            self.original(depth + 1, "*a, **k", then)
            self.put(depth, "else:")
            if self.shape.nature == ASYNC_GENERATOR:
                self.put(depth + 1, "r = GIVE(d)")
                if then == "return ":
                    self.put(depth + 1, "return")
            else:
                self.put(depth + 1, f"{then}GIVE(d)")

    def original(self, depth: int, arguments: str, then: str) -> None:
        """Run the original with these arguments."""
        if self.shape.nature != ASYNC_GENERATOR:
            self.put(depth, "try:")
            self.put(depth + 1, f"{then}{self.enter(arguments)}")
            self.leave_no_trace(depth)
            return
        # There is no `yield from` in an async generator: hand on asend, athrow and
        # aclose by hand (PEP 525; what PEP 380 spells out for generators).
        self.put(depth, "r = None")
        self.put(depth, f"g = {self.clone}({arguments})")
        self.put(depth, "try:")
        self.put(depth + 1, "y = await FIRST(g)")
        self.put(depth + 1, "while 1:")
        self.put(depth + 2, "try:")
        self.put(depth + 3, "v = yield y")
        self.put(depth + 2, "except CLOSING:")
        self.put(depth + 3, "await g.aclose()")
        self.put(depth + 3, "raise")
        self.put(depth + 2, "except BASE as x:")
        self.put(depth + 3, "y = await g.athrow(x)")
        self.put(depth + 2, "else:")
        self.put(depth + 3, "y = await g.asend(v)")
        self.put(depth, "except ENDED:")
        self.put(depth + 1, "pass")
        self.leave_no_trace(depth)

    def leave_no_trace(self, depth: int) -> None:
        """Take our frame out of the traceback of what the original raised.

        Ours is the first entry, because the exception has come no further yet, and a
        bare `raise` adds none. At the limit of recursion even these calls may fail.
        """
        self.put(depth, "except BASE as x:")
        self.put(depth + 1, "try:")
        self.put(depth + 2, "SETTRACE(x, TRACE(x).tb_next)")
        self.put(depth + 1, "except BASE:")
        self.put(depth + 2, "pass")
        self.put(depth + 1, "raise")

    def body_alone(self) -> None:
        """The original, where nothing follows it."""
        self.run(1, "return ")

    def body_with_phases(self) -> None:
        """The original, with what follows its end or its failure."""
        if not self.fail:
            self.run(1, "r = ")
        else:
            self.put(1, "try:")
            self.run(2, "r = ")
            if self.shape.nature != PLAIN:
                # close() is no failure, and an outcome must not swallow it
                self.put(1, "except CLOSING:")
                for number, step in self.fail:
                    if step.closing:
                        self.step(2, number, step, chained=False)
                self.reraise(2)
            self.put(1, "except BASE as e:")
            if self.phase(2, self.fail):
                self.put(2, "if d is None:")
                self.reraise(3)
                self.leave(2)
            else:
                self.reraise(2)
        if self.post and self.phase(1, self.post):
            self.put(1, "if d is not None:")
            self.leave(2)
        self.put(1, "return" if self.shape.nature == ASYNC_GENERATOR else "return r")

    def reraise(self, depth: int) -> None:
        """Let the exception of the original go on."""
        self.put(depth, "raise")

    def stop_clock(self, depth: int, steps: list[tuple[int, StepShape]]) -> None:
        """The duration is the call's own: no hook's time is in it."""
        if any(plan.DURATION_MS in step.wants for _, step in steps):
            self.put(depth, "m = (NOW() - s) / 1000000")

    def leave(self, depth: int) -> None:
        """End the call as the outcome says."""
        if self.shape.nature == ASYNC_GENERATOR:
            self.put(depth, "GIVE(d)")
            self.put(depth, "return")
        else:
            self.put(depth, "return GIVE(d)")


class _LooseWriter(Writer):
    """Writes a trampoline for what has no code of Python."""

    @property
    def takes_keywords(self) -> bool:
        return self.shape.loose == "keywords"

    def signature(self) -> str:
        return "*va, **vk" if self.takes_keywords else "*va"

    def forward(self) -> str:
        return self.signature()

    def enter(self, arguments: str) -> str:
        if arguments != "*va, **vk":
            return super().enter(arguments)
        # most calls have no keywords, and merging an empty dictionary costs as much
        # as the hook
        return "(CLONE(*va, **vk) if vk else CLONE(*va))"

    def args(self) -> str:
        return "va"

    def kwargs(self) -> str:
        return "vk" if self.takes_keywords else "{}"

    def first(self) -> str:
        return "va and va[0]"

    def values(self) -> str:
        count = len(self.positional) + len(self.keywords)
        count += self.shape.varargs + self.shape.varkeywords
        return "(" + "".join(self.want(n) + ", " for n in range(count)) + ")"

    def want(self, want: int | str) -> str:
        if isinstance(want, str):
            return super().want(want)
        count = len(self.positional)
        by_name = f"GET(vk, NAME{want}, DEFAULT{want})"
        if not self.takes_keywords:
            by_name = f"DEFAULT{want}"
        if want < count:
            named = want >= self.shape.positional_only
            absent = by_name if named else f"DEFAULT{want}"
            return f"(va[{want}] if LENGTH(va) > {want} else {absent})"
        if want < count + len(self.keywords):
            return by_name
        rest = want - count - len(self.keywords)
        if self.shape.varargs and rest == 0:
            return f"va[{count}:]" if count else "va"
        return self.kwargs()
