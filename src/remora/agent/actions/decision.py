"""override: what a firing puts in place of what the call would have done.

An override has to hold for every call that its condition means, so only the limits
that were written bound it; the default rate and the share of time bound its records
alone. Nothing is done by halves: where a value is missing, the call goes on as it
would have and the failure is counted.
"""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING

from remora.agent.actions.limiter import DEFAULT_LOG_RATE, Limiter
from remora.agent.capture import SecretNames, capture
from remora.agent.hooks import Arguments, Outcome, Raise, Return, refusal
from remora.agent.runtime import guard, originals
from remora.errors import ProbeError
from remora.expression import Missing
from remora.protocol import Limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from remora.agent.actions.firing import Firings
    from remora.agent.actions.observe import Report
    from remora.agent.interception import AppValue
    from remora.agent.targets import Site
    from remora.expression import Code
    from remora.protocol import Override, Probe


class Decision:
    """The override of one probe at one site. Makes outcomes, and reports them.

    The values that `fire` is called with are those of `report`.
    """

    __slots__ = (
        "_collect",
        "_describe",
        "_firings",
        "_is_secret",
        "_names",
        "_override",
        "_pace",
        "_phase",
        "_report",
        "_stars",
    )

    def __init__(
        self, probe: Probe, code: Code, report: Report, firings: Firings, site: Site
    ) -> None:
        assert probe.override is not None
        self._override = probe.override
        self._phase = probe.phase.value
        self._report = report
        self._firings = firings
        self._is_secret = report.is_secret
        self._pace = Limiter(Limit(time=probe.limit.time), DEFAULT_LOG_RATE)
        self._collect = _compile(probe.override, code)
        self._describe = _compile_text(probe.override, code, report.is_secret)
        self._aim(site)

    def at(self, site: Site) -> Decision:
        """The same for another site whose calls give the same values."""
        other = Decision.__new__(Decision)
        for name in Decision.__slots__:
            setattr(other, name, getattr(self, name))
        other._report = self._report.at(site)  # noqa: SLF001 - of the same class
        other._aim(site)  # noqa: SLF001 - of the same class
        return other

    def _aim(self, site: Site) -> None:
        """Check that the site has the arguments that are to be replaced."""
        self._names = frozenset(site.parameters)
        self._stars = (site.var_positional, site.var_keyword)
        known = sorted({*self._names, *self._stars} - {""})
        for name, _ in self._override.arguments:
            if name not in known and not site.var_keyword:
                raise ProbeError(
                    f"override.arguments names {name!r}, which is no parameter of "
                    f"{site.target}: it has {', '.join(known) or 'none that is known'}"
                )

    def fire(self, *values: AppValue) -> Outcome | None:
        """The outcome for this call; None where it goes on as it would have."""
        ident = originals.get_ident()
        if ident in guard.busy:
            return None
        firings = self._firings
        try:
            # inside: a Ctrl-C that arrives at this very call must not leave the mark
            guard.busy.add(ident)
            firings.count += 1
            if not firings.limiter.use():
                return None
            outcome = self._decide(self._collect(*values))
            if outcome is not None and originals.monotonic() >= self._pace.open_at:
                self._tell(outcome, values)
        except BaseException as error:  # noqa: BLE001 - the boundary: nothing of ours reaches the app
            firings.fault(error)
            return None
        else:
            return outcome if self._override.acts else None
        finally:
            guard.busy.discard(ident)

    def _decide(self, collected: tuple[AppValue, ...]) -> Outcome | None:
        """The outcome; None where a value is missing or does not fit."""
        override = self._override
        for value in collected:
            if type(value) is Missing:
                self._firings.refuse(f"override: a value is missing ({value.reason})")
                return None
        if override.returns is not None:
            return Return(collected[0])
        if override.raises is not None:
            return Raise(getattr(builtins, override.raised[0])(collected[0]))
        names = [name for name, _ in override.arguments]
        outcome = Arguments(**dict(zip(names, collected, strict=True)))
        if reason := refusal(outcome, self._phase, self._names, self._stars):
            self._firings.refuse(f"override: {reason}")
            return None
        return outcome

    def _tell(self, outcome: Outcome, values: tuple[AppValue, ...]) -> None:
        """Report what is done, at the pace of a log."""
        started = originals.thread_time_ns()
        self._pace.use()
        shown: dict[str, object] = {
            "kind": self._override.kind,
            "value": self._shown(outcome, values),
            "mode": self._override.mode,
        }
        self._report.put(values, shown)
        cost = originals.thread_time_ns() - started
        self._pace.spend(cost)
        self._firings.cpu_ns += cost

    def _shown(self, outcome: Outcome, values: tuple[AppValue, ...]) -> object:
        """The outcome as a record has it, without what is secret."""
        override = self._override
        if self._describe is not None:
            return f"{override.raised[0]}: {self._describe(*values)}"
        if isinstance(outcome, Return) and override.returns is not None:
            return self._captured(outcome.value, override.returns.shown)
        assert isinstance(outcome, Arguments)
        return {
            name: self._captured(outcome.values[name], {name, *expression.shown})
            for name, expression in override.arguments
        }

    def _captured(self, value: AppValue, names: Iterable[str]) -> object:
        return capture(value, names=names, is_secret=self._is_secret)[0]


def _compile(override: Override, code: Code) -> Callable[..., tuple[AppValue, ...]]:
    """A function of the gate's parameters: what the outcome is made of."""
    if override.raises is not None:
        elements = [code.text(override.raised[1])]
    elif override.returns is not None:
        elements = [code.value(override.returns)]
    else:
        elements = [code.value(expression) for _, expression in override.arguments]
    values = ast.Tuple(elts=elements, ctx=ast.Load())
    return code.function("decide", [ast.Return(value=values)])


def _compile_text(
    override: Override, code: Code, is_secret: SecretNames
) -> Callable[..., str] | None:
    """The text of what is raised as a record shows it."""
    if override.raises is None:
        return None
    text = code.text(override.raised[1], is_secret)
    return code.function("describe", [ast.Return(value=text)])
