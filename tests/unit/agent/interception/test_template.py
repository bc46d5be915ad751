from __future__ import annotations

import inspect
import itertools
from types import FunctionType

import pytest

from remora.agent.interception import template as module
from remora.agent.interception.plan import CHECKED, GUARDED, SHIELDED, UNGUARDED
from remora.agent.interception.template import (
    ASYNC_GENERATOR,
    COROUTINE,
    GENERATOR,
    PLAIN,
    Shape,
    StepShape,
    nature_of,
    template,
)

NATURES = [PLAIN, COROUTINE, GENERATOR, ASYNC_GENERATOR]

EXTRAS = ("@call", "@args", "@kwargs")
BY_PHASE = {"pre": EXTRAS, "post": ("@result", "@duration_ms"), "fail": ("@error",)}


def step(phase: str, *, guard: str = UNGUARDED, **flags: bool) -> StepShape:
    defaults = dict.fromkeys(
        ("slotted", "awaits", "closing", "decides", "filtered"), False
    )
    wants = (0, *BY_PHASE[phase])
    return StepShape(phase, wants, guard=guard, **{**defaults, **flags})


LOCAL = {"slotted": True, "guard": GUARDED, "decides": True}
STEPS = [
    (),
    *[(step(phase, **flags),) for phase in BY_PHASE for flags in ({}, LOCAL)],
    tuple(step(phase, **LOCAL) for phase in BY_PHASE),
    tuple(step(phase) for phase in BY_PHASE),
    (step("pre"), step("pre", **LOCAL), step("pre"), step("post"), step("fail")),
    (step("pre", guard=CHECKED), step("post", guard=SHIELDED)),
    (step("pre", filtered=True), step("post", filtered=True)),
    (step("fail", closing=True), step("fail", **LOCAL), step("post", **LOCAL)),
]

SIGNATURES = [
    {"positional": 1},
    {"positional": 3, "positional_only": 2},
    {"positional": 1, "keyword_only": 2},
    {"positional": 1, "varargs": True},
    {"positional": 2, "positional_only": 2, "keyword_only": 1, "varargs": True},
    {"positional": 1, "varkeywords": True, "keyword_only": 1},
]


def shape(nature: str, steps: tuple[StepShape, ...], **signature: object) -> Shape:
    defaults: dict[str, object] = {
        "positional": 0,
        "positional_only": 0,
        "keyword_only": 0,
        "varargs": False,
        "varkeywords": False,
    }
    return Shape(nature=nature, steps=steps, **{**defaults, **signature})


@pytest.mark.parametrize("nature", NATURES)
@pytest.mark.parametrize("number", range(len(STEPS)))
def test_every_shape_compiles_to_code_of_its_signature_and_nature(
    nature: str, number: int
) -> None:
    for signature in SIGNATURES:
        code = template(shape(nature, STEPS[number], **signature))
        assert nature_of(code) == nature
        assert code.co_argcount == signature["positional"]
        assert code.co_posonlyargcount == signature.get("positional_only", 0)
        assert code.co_kwonlyargcount == signature.get("keyword_only", 0)
        assert bool(code.co_flags & 4) == signature.get("varargs", False)
        assert bool(code.co_flags & 8) == signature.get("varkeywords", False)
        assert code.co_names == () or set(code.co_names) <= {
            "busy",
            "shielded",
            *("__class__", "tb_next", "aclose", "athrow", "asend"),
        }


@pytest.mark.parametrize("nature", [COROUTINE, ASYNC_GENERATOR])
@pytest.mark.parametrize("phase", list(BY_PHASE))
def test_a_step_that_awaits_compiles_where_that_is_possible(
    nature: str, phase: str
) -> None:
    awaits = step(phase, slotted=True, awaits=True, decides=True)
    assert nature_of(template(shape(nature, (awaits,), positional=1))) == nature


def test_a_trampoline_shows_as_one_line() -> None:
    for nature, steps in itertools.product(NATURES, STEPS):
        code = template(shape(nature, steps, positional=1))
        lines = {line for _, _, line in code.co_lines() if line is not None}
        assert lines == {1}


def test_a_trampoline_looks_no_global_name_up() -> None:
    code = template(shape(PLAIN, STEPS[-2], positional=1))
    assert inspect.getclosurevars(FunctionType(code, {})).unbound <= {
        "__class__",
        "tb_next",
    }


def test_templates_are_made_once_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_templates", {})
    monkeypatch.setattr(module, "_TEMPLATES_LIMIT", 3)
    first = template(shape(PLAIN, (), positional=1))
    assert template(shape(PLAIN, (), positional=1)) is first
    for count in range(10):
        template(shape(PLAIN, (), positional=count))
        assert len(module._templates) <= 3
