"""What a detector answers: an attack that it found, or a check that was not made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.values import frozen

if TYPE_CHECKING:
    from remora.detection.inputs import Input


@frozen
class Finding:
    """Input that left its place in a sink's argument.

    `start` and `end` are where the input stands in the argument, `broke_from` is where
    it leaves its place: `argument[broke_from:end]` is the part that broke out. `before`
    is the structure with the input as one value, `after` the structure that came about.
    """

    detector: str
    input: Input
    start: int
    end: int
    broke_from: int
    sentence: str
    before: str
    after: str


@frozen
class NotMade:
    """A check that outgrew its bounds.

    `occurs` says whether input may be in the argument: it is False only where that is
    known, so that a caller that blocks on it lets nothing through by a full bound.
    """

    reason: str
    occurs: bool = True


Verdict = Finding | NotMade | None
"""None: no input left its place."""
