"""A policy: what a server may ask for unsigned, said once and signed by the operator.

It widens what an app with public keys accepts and never narrows it, so a server that
keeps a policy back gains nothing. It is imported where a policy arrives, by few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.errors import ProbeError
from remora.protocol.reading import read_table
from remora.protocol.scope import EVERYWHERE, Scope, parse_scope
from remora.protocol.signature import Signature, canonical_bytes, read_signature
from remora.protocol.target import TargetSet, parse_targets
from remora.values import frozen, replace

if TYPE_CHECKING:
    from remora.protocol.probe import Probe

GRANTS: dict[str, str] = {
    "raise": "overrides that raise: a refusal, such as a list of accounts",
    "return": "overrides that return a value",
    "arguments": "overrides that go on with other arguments",
    "propagate": "spans that hand their trace on",
    "block": "protect probes in mode block",
    "request": "probes that open a request context, or add to one",
    "refuse": "block lists: the users and addresses whose requests are refused",
    "modes": "modes of protection upwards: rules that block what was not blocked",
}
"""What can be granted, and what each means."""

_PLACELESS = frozenset(("refuse", "modes"))
"""Grants that hold for the app as a whole: a policy of these alone needs no target."""

NOWHERE = TargetSet(())
"""The target of a policy that needs none."""

_DOMAIN = b"remora policy 1\n"
"""A signature of a probe is none of a policy."""

_KEYS = ("unsigned", "target", "scope", "signature")


@frozen
class Policy:
    """`unsigned` are the grants, `target` the only places where they hold."""

    unsigned: tuple[str, ...]
    target: TargetSet
    scope: Scope = EVERYWHERE
    signature: Signature | None = None

    def to_json(self) -> dict[str, object]:
        """The table of a policy file, and the message of docs/protocol.md."""
        table: dict[str, object] = {"unsigned": list(self.unsigned)}
        if self.target.texts:
            table["target"] = list(self.target.texts)
        if scope := self.scope.to_json():
            table["scope"] = scope
        if self.signature is not None:
            table["signature"] = self.signature.to_json()
        return table

    def ungranted(self, probe: Probe) -> str:
        """What the probe does and the policy does not grant; empty where it grants."""
        done = deeds(probe)
        if probe.needs_trust and not done:
            return "what this probe does"  # a deed that no grant has a word for
        return next((deed for deed in done if deed not in self.unsigned), "")


def parse_policy(value: object) -> Policy:
    """Read a policy. Raises ProbeError, TargetError, UnknownKeyError."""
    table = read_table(value, "policy", _KEYS, "unsigned = ['raise'], target = 'm:f'")
    granted = table.get("unsigned")
    if not isinstance(granted, list) or not all(
        isinstance(each, str) and each in GRANTS for each in granted
    ):
        raise ProbeError(
            f"policy.unsigned = {granted!r} is no list of what can be granted: "
            + ", ".join(GRANTS)
        )
    if "target" not in table and not (granted and _PLACELESS.issuperset(granted)):
        raise ProbeError(
            "policy has no target: write the places where unsigned probes may act, "
            "such as target = ['shop.identity:*']"
        )
    return Policy(
        tuple(sorted(set(granted))),
        parse_targets(table["target"]) if "target" in table else NOWHERE,
        parse_scope(table["scope"]) if "scope" in table else EVERYWHERE,
        read_signature(table["signature"]) if "signature" in table else None,
    )


def policy_bytes(policy: Policy) -> bytes:
    """What the signature of this policy is made over."""
    assert policy.signature is not None
    unproven = replace(policy, signature=replace(policy.signature, proof=""))
    return canonical_bytes(_DOMAIN, unproven.to_json())


def deeds(probe: Probe) -> tuple[str, ...]:
    """What a probe does that needs trust, in the words of GRANTS."""
    done: list[str] = []
    if probe.override is not None and probe.override.acts:
        done.append(probe.override.kind)
    if probe.span is not None and probe.span.propagate:
        done.append("propagate")
    if probe.protect is not None and probe.protect.acts:
        done.append("block")
    if probe.request is not None:
        done.append("request")
    return tuple(done)
