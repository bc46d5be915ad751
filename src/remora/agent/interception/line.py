"""Which mechanism diverts a line, and which lines none may divert."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.interception.line_events import try_line_event
from remora.agent.runtime import facts
from remora.agent.runtime.frame_locals import CO_OPTIMIZED
from remora.errors import CannotInterceptError

if TYPE_CHECKING:
    from types import CodeType

    from remora.agent.interception.plan import Driver, Interception, Step
    from remora.agent.targets import Site


def intercept_line(site: Site, steps: tuple[Step, ...], driver: Driver) -> Interception:
    """Divert a line of a function. Raises CannotInterceptError with the reason."""
    code = site.code
    assert code is not None
    if not code.co_flags & CO_OPTIMIZED:
        raise CannotInterceptError(_runs_once(site, code))
    if any(step.phase != "line" for step in steps):
        raise CannotInterceptError(
            f"{site.target} is a line, which has no pre, post or fail: add a probe "
            "with log, snapshot or count, or hook the function"
        )
    event = try_line_event(code, site.line, steps, driver)
    if event is not None:
        return event
    if not facts.CAN_EDIT_CODE:
        raise CannotInterceptError(_refusal(site))
    return _inject(site, code, steps, driver)


def _inject(
    site: Site, code: CodeType, steps: tuple[Step, ...], driver: Driver
) -> Interception:
    # Of use where lines cannot be reported. As in choose.py, nothing but modules of
    # ours may be imported by these.
    from remora.agent.interception.line_code import LineInjection, why_not_reported
    from remora.agent.interception.line_trial import failure

    problem = failure()
    if problem:
        raise CannotInterceptError(
            f"{site.target}: lines cannot be probed {why_not_reported()}, and a trial "
            f"of injected bytecode failed ({problem}): give the function as the target"
        )
    try:
        return LineInjection(code, site.line, site.owner, site.function, steps, driver)
    except ValueError as error:
        raise CannotInterceptError(
            f"{site.target}: no call can be put into the bytecode of "
            f"{code.co_qualname} ({error}): give the function as the target"
        ) from error


def _runs_once(site: Site, code: CodeType) -> str:
    if code.co_name == "<module>":
        return (
            f"{site.target} is outside of all functions, where a module runs when it "
            "is imported or started: give a line inside one of its functions"
        )
    return (
        f"{site.target} is in the body of class {code.co_name}, which runs when the "
        "class is made: give a line inside one of its methods"
    )


def _refusal(site: Site) -> str:
    return (
        f"{site.target}: lines cannot be probed in this interpreter "
        f"({facts.PYTHON}{', free-threaded' if facts.IS_FREE_THREADED else ''}): "
        "remora has been tested on CPython 3.11 to 3.13 with the GIL; give the "
        "function as the target"
    )
