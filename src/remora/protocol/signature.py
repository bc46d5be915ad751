"""The signature of a probe: who vouches for it, its number, and until when.

It covers the whole probe as it is read, so what is verified is what would run: the
scope, the condition's tree, the override, the limits. Left out is `expires_at`, which a
server sets; the signature's own end bounds the probe's life instead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remora.errors import ProbeError
from remora.protocol.reading import read_table
from remora.values import frozen, replace

if TYPE_CHECKING:
    from remora.protocol.probe import Probe

PREFIX = "ed25519:"
"""What the text of a public key begins with; 32 bytes in base64 follow."""

_KEY = re.compile(r"ed25519:[A-Za-z0-9+/]{43}=\Z")
_VALUE = re.compile(r"[A-Za-z0-9+/]{86}==\Z")

_SEQUENCE_LIMIT = 2**53
"""What every runtime can read as a number: microseconds since the epoch fit."""

_DOMAIN = b"remora probe 1\n"
"""No other thing that the key may ever sign begins like this."""


@frozen
class Signature:
    """`key` is the public key's text, `proof` the signature in base64.

    A higher `sequence` is a later word on the probe of that id. `expires_at` is in
    nanoseconds since the epoch.
    """

    key: str
    sequence: int
    expires_at: int
    proof: str = ""

    def to_json(self) -> dict[str, object]:
        """The table under `signature`."""
        return {
            "key": self.key,
            "sequence": self.sequence,
            "expires_at": self.expires_at,
            "value": self.proof,
        }


def read_signature(value: object) -> Signature:
    """Read what stands under `signature`. Raises ProbeError."""
    known = ("key", "sequence", "expires_at", "value")
    table = read_table(value, "signature", known, "key = …, as `probe sign` writes it")
    key, text = table.get("key"), table.get("value")
    if not isinstance(key, str) or not _KEY.match(key):
        raise ProbeError(
            f"signature.key = {key!r} is no public key: sign with `remora probe sign`"
        )
    if not isinstance(text, str) or not _VALUE.match(text):
        raise ProbeError(
            f"signature.value = {text!r} is no signature: sign with `remora probe sign`"
        )
    sequence = _read_count(table, "sequence", _SEQUENCE_LIMIT)
    return Signature(key, sequence, _read_count(table, "expires_at", 2**63), text)


def _read_count(table: object, key: str, limit: int) -> int:
    assert isinstance(table, dict)
    number = table.get(key)
    if not isinstance(number, int) or number is True or not 0 < number < limit:
        raise ProbeError(f"signature.{key} = {number!r} is no number below {limit}")
    return number


def signed_bytes(probe: Probe) -> bytes:
    """What the signature of this probe is made over: its canonical JSON."""
    signature = probe.signature
    assert signature is not None
    table = replace(probe, expires_at=0).to_json()
    table["signature"] = replace(signature, proof="").to_json()
    return canonical_bytes(_DOMAIN, table)


def canonical_bytes(domain: bytes, table: dict[str, object]) -> bytes:
    """A message as signatures are made over it; `domain` says of what kind it is."""
    # Late, because only processes that are asked to verify need it.
    import json

    text = json.dumps(table, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return domain + text.encode("ascii")
