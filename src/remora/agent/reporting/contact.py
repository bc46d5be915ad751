"""Whether the server answers, said in the log once for each change."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remora.agent.diagnostics import Diagnostics

TOKEN_HOLD_S = 60.0
"""A refused token is mended by a person: asking more often only fills two logs."""

PROTOCOL_HOLD_S = 600.0
"""Ten minutes, as docs/protocol.md says: a server that is too old is mended slower."""


class Contact:
    """The state of the conversation with one server, shared by all who talk to it."""

    def __init__(self, server: str, diagnostics: Diagnostics) -> None:
        self._server = server
        self._diagnostics = diagnostics
        self.trouble = ""
        self.hold_until = 0.0

    def worked(self) -> None:
        """The server answered as it should."""
        if self.trouble:
            self._diagnostics.say(f"the server {self._server} answers again")
        self.trouble = ""
        self.hold_until = 0.0

    def failed(self, sentence: str) -> None:
        """It did not, for this reason."""
        self._diagnostics.count("server-failures")
        if sentence != self.trouble:
            self.trouble = sentence
            self._diagnostics.say(
                f"server {self._server}: {sentence}; the app goes on, the agent retries"
            )

    def hold(self, sentence: str, until: float) -> None:
        """Ask nothing more before this time."""
        self.failed(sentence)
        self.hold_until = until

    def forget(self) -> None:
        """In a forked child: nothing is known yet."""
        self.trouble = ""
        self.hold_until = 0.0
