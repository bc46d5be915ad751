"""Probes as the server keeps them: their life, and which instance is to have them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from remora.errors import ProbeError
from remora.protocol import format_duration
from remora.server.domain.clock import to_ns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remora.protocol import Instance, Probe
    from remora.protocol.policy import Policy

DEFAULT_EXPIRY_S = 3600.0
"""An hour for probes made by hand: what was forgotten in the evening is gone in the
morning."""

LONGEST_EXPIRY_S = 366 * 86400.0
"""A year: what is to stay for longer belongs in a probe file."""


@dataclass(frozen=True, slots=True)
class StoredProbe:
    """A probe with its history. `sequence` grows with every change of any probe."""

    probe: Probe
    sequence: int
    created: int
    created_by: str

    @property
    def expires_at(self) -> int:
        """When it is taken out, in nanoseconds since the epoch; 0 is never."""
        return self.probe.expires_at


def begin_life(probe: Probe, *, sequence: int, now: int, who: str) -> StoredProbe:
    """A probe made by hand, from now until it expires. Raises ProbeError.

    Protection does not expire: only an operator takes it away.
    """
    if probe.protect is not None:
        return StoredProbe(replace(probe, expires_at=0), sequence, now, who)
    expires_s = probe.limit.expires_s
    life_s = DEFAULT_EXPIRY_S if expires_s is None else expires_s
    if life_s > LONGEST_EXPIRY_S:
        raise ProbeError(
            f"limit.expires = {format_duration(life_s)!r} is longer than "
            f"{format_duration(LONGEST_EXPIRY_S)!r}: keep such a probe in a probe file"
        )
    return StoredProbe(
        probe=replace(probe, expires_at=now + to_ns(life_s)),
        sequence=sequence,
        created=now,
        created_by=who,
    )


def wanted_in(
    instance: Instance, probes: Iterable[StoredProbe]
) -> tuple[StoredProbe, ...]:
    """The probes that `instance` is to have, in the order they were made."""
    if instance.role != "serving":
        return ()
    return tuple(
        stored
        for stored in probes
        if stored.probe.enabled
        and stored.probe.scope.refusal(instance, stored.probe.id) is None
    )


def set_name(
    probes: Iterable[StoredProbe],
    held: Iterable[tuple[str, str]] = (),
    policy: Policy | None = None,
    blocked: str = "",
    rules: str = "",
) -> str:
    """A name for probes, those held back and a policy, that no other such set has.

    `blocked` is the name of the list of actors that comes with them, `rules` that of
    the rules.
    """
    lines = [f"{stored.sequence} {stored.probe.id}" for stored in probes]
    lines += [f"held {probe_id} {reason}" for probe_id, reason in held]
    if policy is not None and policy.signature is not None:
        lines.append(f"policy {policy.signature.proof}")
    if blocked:
        lines.append(f"blocked {blocked}")
    if rules:
        lines.append(f"rules {rules}")
    text = "\n".join(lines)
    return hashlib.sha256(text.encode()).hexdigest()[:32] if text else "empty"
