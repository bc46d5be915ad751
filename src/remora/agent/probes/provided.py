"""What the expressions of a probe may name besides what the call itself gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.request import current_state, current_user, expanded_request
from remora.agent.runtime import originals

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.agent.targets import Site
    from remora.expression import Expression, Template
    from remora.protocol import Probe

PROVIDED = ("request", "user", "state", "now_ms", "target")
"""Names that no call has: looked up when an expression reaches them."""


def providers(site: Site) -> dict[str, Callable[[], object]]:
    """What stands behind the names of PROVIDED at a site."""
    target = site.target
    own: dict[str, Callable[[], object]] = {
        "request": expanded_request,
        "user": current_user,
        "state": current_state,
        "now_ms": _now_ms,
        "target": lambda: target,
    }
    return own | {f"remora.{name}": provider for name, provider in own.items()}


def _now_ms() -> float:
    """Milliseconds of a clock that never goes back, for differences."""
    return originals.perf_counter_ns() / 1e6


def expressions_of(probe: Probe) -> list[Expression | Template]:
    """All expressions of a probe but those of its request."""
    counted = [] if probe.count is None else probe.count.expressions()
    replaced = [] if probe.override is None else probe.override.expressions()
    noted = [expression for _, expression in probe.notes]
    spanned = [] if probe.span is None else probe.span.expressions()
    wanted = (
        *(probe.when, probe.log, *probe.snapshot),
        *(*counted, *replaced, *noted, *spanned),
    )
    return [expression for expression in wanted if expression is not None]
