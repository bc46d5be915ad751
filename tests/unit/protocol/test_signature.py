"""Signatures as values: what is accepted, and that they travel whole."""

import pytest

from remora.errors import ProbeError
from remora.protocol import parse_probe

SIGNATURE = {
    "key": "ed25519:" + "A" * 43 + "=",
    "sequence": 17,
    "expires_at": 10**18,
    "value": "A" * 86 + "==",
}
PROBE = {"id": "p", "target": "m:f", "override": {"return": "0"}}


def test_a_signature_travels_whole() -> None:
    probe = parse_probe({**PROBE, "signature": SIGNATURE})
    assert parse_probe(probe.to_json()) == probe
    assert parse_probe(probe.to_source()) == probe
    assert probe.to_source()["signature"] == SIGNATURE


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("key", None),
        ("key", "ed25519:short"),
        ("key", "A" * 52),
        ("sequence", True),
        ("sequence", 0),
        ("sequence", 2**53),
        ("sequence", 1.5),
        ("expires_at", -1),
        ("expires_at", 2**63),
        ("expires_at", "soon"),
        ("value", "A" * 88),
        ("value", ["A"]),
        ("more", 1),
    ],
)
def test_anything_else_is_refused_with_its_key(key: str, value: object) -> None:
    with pytest.raises(ProbeError, match=f"signature.*{key}"):
        parse_probe({**PROBE, "signature": {**SIGNATURE, key: value}})


@pytest.mark.parametrize("value", [None, "text", [], 1, {}])
def test_a_signature_is_a_whole_table(value: object) -> None:
    with pytest.raises(ProbeError, match="signature"):
        parse_probe({**PROBE, "signature": value})
