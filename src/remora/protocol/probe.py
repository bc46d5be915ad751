"""Probes as values: what a person asked for, whole and in order.

A probe is accepted or refused in probe_reading.py, at the edge; after that nothing is a
dictionary. The same keys stand in TOML files, in the API and on the wire. In files and
in the API an expression is its text; on the wire it carries its tree as well, because a
runtime that is not Python has no parser for the text.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from remora.protocol.scope import EVERYWHERE, Scope
from remora.protocol.target import TargetKind
from remora.values import frozen

if TYPE_CHECKING:
    from remora.expression import Expression, Template
    from remora.protocol.count import Count
    from remora.protocol.override import Override
    from remora.protocol.protect import Protect
    from remora.protocol.reading import Write
    from remora.protocol.signature import Signature
    from remora.protocol.span import Span
    from remora.protocol.target import TargetSet


class Phase(Enum):
    """When in a call a probe fires."""

    PRE = "pre"
    POST = "post"
    FAIL = "fail"
    LINE = "line"


@frozen
class Limit:
    """How much a probe may do: firings a second, share of time, hits, life time.

    None leaves the default of the action in force (docs/reference/probes.md).
    """

    rate: float | None = None
    time: float | None = None
    hits: int | None = None
    expires_s: float | None = None


@frozen
class Logger:
    """Where in the app's own log the message goes as well."""

    name: str
    level: str = "info"


@frozen
class RequestAction:
    """Opens a request context for the time of the call, or adds details to one.

    `callable` is where the call finds what it will call: a parameter, or attributes of
    one; a server's app, or with `carry` the work of a thread.
    """

    kind: str
    values: tuple[tuple[str, Expression], ...] = ()
    callable: str = ""


@frozen
class Probe:
    """What a person asked for: target, scope, phase, condition, actions, limits.

    `frames` are globs of `module:function`: frames of the stack whose locals are taken.
    `notes` stands under the key `set`. `expires_at` is set by a server when the life
    of the probe begins, in nanoseconds since the epoch; 0 where the agent counts from
    installation.
    """

    id: str
    target: TargetSet
    phase: Phase = Phase.PRE
    scope: Scope = EVERYWHERE
    when: Expression | None = None
    log: Template | None = None
    logger: Logger | None = None
    snapshot: tuple[Expression, ...] = ()
    snapshot_special: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    count: Count | None = None
    notes: tuple[tuple[str, Expression], ...] = ()
    keep: Expression | None = None
    span: Span | None = None
    override: Override | None = None
    protect: Protect | None = None
    request: RequestAction | None = None
    limit: Limit = Limit()
    requires: str | None = None
    expect: str | None = None
    enabled: bool = True
    expires_at: int = 0
    signature: Signature | None = None

    @property
    def is_line(self) -> bool:
        """Whether it sits at a line, not at a function."""
        return any(target.kind is TargetKind.LINE for target in self.target.include)

    @property
    def has_snapshot(self) -> bool:
        """Whether values are captured."""
        return bool(self.snapshot or self.snapshot_special)

    @property
    def reports(self) -> bool:
        """Whether a firing makes a record of what it sees."""
        return self.log is not None or self.has_snapshot

    @property
    def acts(self) -> bool:
        """Whether it changes the run of the app."""
        if self.protect is not None:
            return self.protect.acts
        overrides = self.override is not None and self.override.acts
        return overrides or bool(self.span and self.span.propagate)

    @property
    def needs_trust(self) -> bool:
        """Whether an app with public keys takes it only from who has one of them.

        What opens a request context acts on nothing, but says what the inputs of a
        request are: an empty one would take protection away from all that it is around.
        """
        return self.acts or self.request is not None

    @property
    def may_be_held(self) -> bool:
        """Whether a process that died may have died of it (`operations/acting.py`).

        No input may take protection away, not even by a death that it causes.
        """
        return self.acts and self.protect is None

    def to_source(self) -> dict[str, object]:
        """The keys as a person writes them, expressions as text."""
        return self._to_table(lambda expression: expression.text)

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Probe: expressions with trees."""
        return self._to_table(lambda expression: expression.to_json())

    def _to_table(self, write: Write) -> dict[str, object]:
        # Late, because an agent only reads probes.
        from remora.protocol.probe_writing import write_probe

        return write_probe(self, write)
