"""How far requests are protected in this process, and what was seen of them.

Only the state, which every process has: turning.py brings what protection is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from remora.agent.request.refused import RefusedActors
    from remora.agent.request.rules import RuleBook
    from remora.agent.request.stored import StoredTexts

OUTSIDE_FEW = 50
"""Guarded sinks that a process may call for itself before anybody asks why."""


class Protection:
    """How far requests are protected in this process, and what was seen of them.

    While nothing `watches`, no body is observed; while nothing `blocks`, no response is
    held back. `rules` change the modes of single attacks. `undo` takes back what was
    put before apps. With `keeps_stored` there is a table of what requests have
    `stored`. `edge` and `sources` are the rooms that are imported when protection
    begins.
    """

    __slots__ = (
        "blocks",
        "cut",
        "edge",
        "keeps_stored",
        "listed",
        "outside",
        "refused",
        "requests",
        "rules",
        "sources",
        "stored",
        "undo",
        "watches",
    )

    def __init__(self) -> None:
        self.watches = False
        self.blocks = False
        self.listed: RefusedActors | None = None
        self.rules: RuleBook | None = None
        self.sources: ModuleType | None = None
        self.edge: Any = None
        self.keeps_stored = False
        self.stored: StoredTexts | None = None
        self.requests = 0
        self.outside = 0
        self.refused = 0
        self.cut = 0
        self.undo: list[Callable[[], None]] = []

    def end(self) -> None:
        """Protect nothing any more. For any moment: nothing is imported."""
        self.stored = None
        self.watches = self.blocks = False
        while self.undo:
            self.undo.pop()()
        if self.sources is not None:
            self.sources.forget()

    def begin_anew(self) -> None:
        """In a forked child: what its parent saw says nothing about this process."""
        self.requests = self.outside = self.refused = self.cut = 0

    @property
    def complaint(self) -> str:
        """Why this app is unprotected though protection is on, or empty.

        Programs call guarded sinks as they start, so that alone means nothing; but a
        process that did so often and has seen no request has a gateway we do not know.
        """
        if not self.watches or self.requests or self.outside < OUTSIDE_FEW:
            return ""
        # Late, because most processes see their requests.
        from remora.agent.request.unseen import explain_unseen

        return explain_unseen(self.outside, OUTSIDE_FEW)


protection = Protection()
"""One for the process, as there is one current request for each of its tasks."""
