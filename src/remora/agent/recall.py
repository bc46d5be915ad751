"""What a process starts with before a server has answered: words that were signed.

Where REMORA_STATE names a file, it has the signed probes that were in force before
(probes/ledger.py). They are obeyed as a push would be: signature, scope, number, end
and REMORA_ALLOW are asked about each. The server's first push comes in their place.

What killed a process at its start must not do so for ever. So the start is marked until
it has lived for a while or ended in order. After a death under the mark a start leaves
the words out, once; when two in a row have died, the words are gone from the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.control import parse_probes
from remora.agent.probes.ledger import DEATHS_LIMIT
from remora.agent.probes.start_mark import StartMark
from remora.agent.reporting import Routine, Wait
from remora.agent.runtime import originals
from remora.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remora.agent.orders import Orders
    from remora.agent.parts import Parts
    from remora.agent.probes.ledger import Ledger

_SOURCE = "REMORA_STATE has it, and no server has answered so far"

SETTLED_S = 10.0
"""A start is over after this: by then an app has imported what it is made of, and with
that what waited for its modules has been placed."""


def recall(parts: Parts, orders: Orders) -> Recall | None:
    """Let this process start with what it remembers; None where it trusts no key."""
    trust = orders.find_trust()
    if trust is None:
        return None
    made = Recall(trust.ledger, parts)
    made.begin(orders)
    parts.worker.add(made)
    return made


class Recall:
    """The start of this process with remembered words. A task of the worker."""

    is_settled = True

    def __init__(self, ledger: Ledger, parts: Parts) -> None:
        self._ledger = ledger
        self._parts = parts
        self._mark = StartMark(f"{parts.settings.text('state')}.start")

    def begin(self, orders: Orders) -> None:
        """Obey what is remembered, unless the last start with it has died."""
        ledger = self._ledger
        self._parts.left_out = ledger.complaint
        words = ledger.found.words
        if ledger.complaint or not words:
            return
        try:
            if self._mark.was_left():
                self._leave_out(len(words))
                return
            self._mark.set()
        except (OSError, ConfigError) as error:
            why = getattr(error, "strerror", None) or error
            self._complain(
                f"the signed probes of REMORA_STATE are left out, because their start "
                f"cannot be marked ({why}): let the app write to its folder"
            )
            return
        probes, refused = parse_probes([word.table for word in words.values()])
        orders.recall(probes, refused, _SOURCE)

    def _leave_out(self, count: int) -> None:
        deaths = self._ledger.note_death()
        what = f"{count} signed probe{'' if count == 1 else 's'} of REMORA_STATE"
        if deaths < DEATHS_LIMIT:
            next_time = "this start goes without, the next one tries those that protect"
        else:
            next_time = f"that is {deaths} starts in a row, and the file drops them"
        self._complain(
            f"a process died while it started with the {what}: {next_time}; what a "
            "server wants is installed as always"
        )

    def _complain(self, complaint: str) -> None:
        self._parts.left_out = complaint
        self._parts.diagnostics.say(complaint)

    @property
    def is_starting(self) -> bool:
        """Whether the start is not over, so that the thread is needed to end it."""
        return self._mark.is_set

    def routines(self) -> Sequence[Callable[[], Routine[None]]]:
        """One, which ends the start."""
        return (self._settle,)

    def _settle(self) -> Routine[None]:
        yield Wait(until=originals.monotonic() + SETTLED_S)
        if self._mark.is_set:
            self._ledger.note_life()
            self._mark.clear()

    def hurry(self, is_urgent: bool) -> None:  # noqa: FBT001 - a setter
        """Nothing here waits for company."""

    def end(self) -> None:
        """There is nobody to say goodbye to."""

    def close(self) -> None:
        """The process ends in order, or the agent leaves: nobody died."""
        self._mark.clear(is_over=False)

    def after_fork_in_child(self) -> None:
        """The start goes on here as well."""
