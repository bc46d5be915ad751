"""Private keys in files, and what they sign. Needs the extra `signing`."""

from __future__ import annotations

import os
import time
from binascii import b2a_base64
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from remora.errors import ConfigError
from remora.protocol import (
    PREFIX,
    Signature,
    parse_duration,
    parse_probe,
    signed_bytes,
)
from remora.protocol.policy import policy_bytes
from remora.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from remora.protocol import Probe
    from remora.protocol.policy import Policy

VALID_S = 3600.0
"""As long as a probe made by hand lives on a server: a signature that is found later
cannot be used."""


POLICY_VALID_S = 30 * 86400.0
"""A month: what is granted for longer is forgotten to have been granted."""


def make_private_key(path: Path) -> str:
    """Write a new key to a file that only its owner reads; give the public one.

    Raises ConfigError, also where there is such a file: a key is never replaced.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(pem)
    except FileExistsError:
        raise ConfigError(
            f"there is a file {str(path)!r} already: move it away, or give another "
            "with --out"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the key file {str(path)!r} cannot be written: {error.strerror}"
        ) from None
    return public_text(key)


def read_key(path: Path) -> Ed25519PrivateKey:
    """The private key of a file. Raises ConfigError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(
            f"the key file {str(path)!r} cannot be read: {error.strerror}; "
            "`remora key new` makes one"
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _no_key(path) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path)
    return key


def _no_key(path: Path) -> ConfigError:
    return ConfigError(
        f"the file {str(path)!r} holds no Ed25519 private key in PEM without a "
        "password: `remora key new` makes one"
    )


def public_text(key: Ed25519PrivateKey) -> str:
    """The public key as apps are given it."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return PREFIX + _base64(raw)


def read_validity(text: str | None) -> float | None:
    """What `--valid` says, in seconds. Raises ProbeError."""
    return None if text is None else parse_duration(text, "--valid")


def sign_all(
    probes: Iterable[Probe], key: Ed25519PrivateKey, valid_s: float | None
) -> list[Probe]:
    """The probes, each with a signature of this moment."""
    return [_sign(probe, key, valid_s) for probe in probes]


def sign_one_policy(
    policy: Policy, key: Ed25519PrivateKey, valid_s: float | None
) -> Policy:
    """The policy with a signature of this moment."""
    draft = _draft(key, POLICY_VALID_S if valid_s is None else valid_s)
    signed = replace(policy, signature=draft)
    proof = _base64(key.sign(policy_bytes(signed)))
    return replace(signed, signature=replace(draft, proof=proof))


def _draft(key: Ed25519PrivateKey, valid_s: float) -> Signature:
    """A signature of this moment that proves nothing yet."""
    now = time.time_ns()
    return Signature(
        key=public_text(key),
        sequence=now // 1000,
        expires_at=now + int(valid_s * 1e9),
    )


def _sign(probe: Probe, key: Ed25519PrivateKey, valid_s: float | None) -> Probe:
    if valid_s is None:
        valid_s = probe.limit.expires_s or VALID_S
    draft = _draft(key, valid_s)
    # as the agent will read it, after a server has kept it as text
    kept = parse_probe(replace(probe, signature=None).to_source())
    signed = replace(kept, signature=draft)
    proof = _base64(key.sign(signed_bytes(signed)))
    return replace(signed, signature=replace(draft, proof=proof))


def _base64(value: bytes) -> str:
    return b2a_base64(value, newline=False).decode("ascii")
