"""Which statuses the server has to hear of: those it has not acknowledged yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.protocol import State, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

POST_STATUSES = 200
"""Of one request: a glob's twenty sites make a status 2 KiB long."""


class StatusBook:
    """Remembers what was acknowledged, and at which revision."""

    def __init__(self) -> None:
        self._known: dict[str, Status] = {}
        # What stayed against the server's will: when it goes no push says so.
        self._kept: set[str] = set()
        self._asked = -1
        self._revision = -1

    def news(self, statuses: Sequence[Status], revision: int) -> list[list[Status]]:
        """What to post, in parts; one empty part where only the revision is new.

        With a new revision all is news: the server forgets what it knew of a probe that
        was written anew, and what is said of the new one may be the very same.
        """
        if revision != self._asked:
            self._asked = revision
            self._known.clear()
        fresh = [
            status for status in statuses if self._known.get(status.probe) != status
        ]
        current = {status.probe for status in statuses}
        fresh += [Status(n, State.REMOVED, "") for n in sorted(self._kept - current)]
        for name in self._known.keys() - current:
            del self._known[name]
        if not fresh:
            return [[]] if revision != self._revision else []
        return [
            fresh[start : start + POST_STATUSES]
            for start in range(0, len(fresh), POST_STATUSES)
        ]

    def acknowledged(self, statuses: Iterable[Status], revision: int) -> None:
        """The server has these."""
        for status in statuses:
            self._known[status.probe] = status
            if status.kept:
                self._kept.add(status.probe)
            else:
                self._kept.discard(status.probe)
        self._revision = revision

    def forget(self) -> None:
        """A new registration: the server has nothing."""
        self._known.clear()
        self._revision = -1
