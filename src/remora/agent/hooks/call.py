"""The call as its hooks may see it: one object that the phases of a call share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remora.agent.interception import AppValue


class Call:
    """One call: `site`, `arguments` by name, `started` (a perf_counter in ns), `state`.

    `state` is a dictionary for the hooks of this call to hand things on.
    """

    __slots__ = ("_names", "_state", "_values", "site", "started")

    def __init__(
        self,
        site: str,
        started: int,
        names: tuple[str, ...],
        values: tuple[AppValue, ...],
    ) -> None:
        self.site = site
        self.started = started
        self._names = names
        self._values = values
        self._state: dict[str, AppValue] | None = None

    @property
    def arguments(self) -> dict[str, AppValue]:
        """The arguments of the call, as they came in, by the parameters' names."""
        return dict(zip(self._names, self._values, strict=True))

    @property
    def state(self) -> dict[str, AppValue]:
        """A dictionary that lives as long as this call."""
        if self._state is None:
            self._state = {}
        return self._state

    def __repr__(self) -> str:
        return f"<call of {self.site}>"
