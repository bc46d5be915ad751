"""Local hooks as their owner holds them: one handle for up to three phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.hooks import FAULTS_ALLOWED, LocalHook
from remora.agent.probes.placement import Placement
from remora.errors import HookError
from remora.protocol import State, parse_targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.agent.interception import PhaseName, Step
    from remora.agent.probes.registry import Probes
    from remora.agent.targets import Site


class Handle:
    """A local hook that was installed, or waits for its module.

    Made by `remora.hook`. May be used as a context manager.
    """

    __slots__ = ("_hooks", "_placement", "_probes", "_removed", "target")

    def __init__(
        self,
        target: str | list[str],
        phases: dict[PhaseName, Callable[..., object] | None],
        probes: Probes,
    ) -> None:
        self.target = target
        self._hooks = [
            LocalHook(function, phase)
            for phase, function in phases.items()
            if function is not None
        ]
        if not self._hooks:
            raise HookError(f"hook on {target!r} has no pre, post or fail function")
        self._probes = probes
        self._removed = False
        self._placement = Placement(
            parse_targets(target), None, self._steps, probes.store, probes.hooks
        )
        probes.attach_local(self._placement)
        state, reason = self._placement.state()
        if state is State.FAILED and not probes.off:
            probes.detach_local(self._placement)
            raise HookError(reason)

    def _steps(self, site: Site) -> tuple[Step, ...]:
        return tuple(hook.step(site) for hook in self._hooks)

    @property
    def state(self) -> str:
        """`installed`, `partly`, `waiting`, `failed`, `tripped` or `removed`."""
        return self._state()[0].value

    @property
    def reason(self) -> str:
        """A sentence that says why it is in this state."""
        return self._state()[1]

    def _state(self) -> tuple[State, str]:
        if self._removed:
            return State.REMOVED, "removed"
        if self._probes.off:
            return State.FAILED, self._probes.off
        off = [hook for hook in self._hooks if not hook.slot]
        if off:
            return State.TRIPPED, (
                f"{off[0].phase} hook {off[0].name} was switched off after "
                f"{FAULTS_ALLOWED} failures; the last: {off[0].last_error}"
            )
        return self._placement.state()

    @property
    def sites(self) -> list[str]:
        """The places it is installed at."""
        return [site.site for site in self._placement.sites() if site.kind]

    @property
    def errors(self) -> int:
        """Failures of the hooks, all contained."""
        return sum(hook.errors for hook in self._hooks)

    def describe(self) -> dict[str, object]:
        """What `remora.status()` says of it."""
        return {
            "target": self.target,
            "state": self.state,
            "reason": self.reason,
            "sites": [site.to_json() for site in self._placement.sites()],
            "errors": self.errors,
        }

    def remove(self) -> None:
        """Put everything back as it was. May be called twice."""
        if not self._removed:
            self._removed = True
            self._probes.detach_local(self._placement)

    def __enter__(self) -> Handle:  # noqa: PYI034 - Self is only in typing
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def __repr__(self) -> str:
        return f"<remora hook on {self.target!r}: {self.state}>"
