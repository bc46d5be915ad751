"""`remora key new|show|policy` and `remora probe sign`."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from remora.agent.control import read_probe_file
from remora.cli.connection import open_client
from remora.cli.output import print_json
from remora.cli.places import data_folder
from remora.cli.signing import (
    make_private_key,
    public_text,
    read_key,
    read_validity,
    sign_all,
    sign_one_policy,
)
from remora.cli.toml import format_probes, format_table
from remora.errors import ConfigError
from remora.protocol.policy import Policy, parse_policy

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping


def make_key(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora key new`: the public key alone goes to standard output."""
    path = _place(arguments.out, environ)
    public = make_private_key(path)
    if arguments.json:
        print_json(sys.stdout, {"file": str(path), "public_key": public})
        return 0
    print(
        f"the private key is in {path}: keep it away from the server; apps need this "
        "as REMORA_PUBLIC_KEY:",
        file=sys.stderr,
    )
    print(public)
    return 0


def show_key(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora key show`."""
    path = _place(arguments.key, environ)
    public = public_text(read_key(path))
    if arguments.json:
        print_json(sys.stdout, {"file": str(path), "public_key": public})
    else:
        print(public)
    return 0


def sign_file(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora probe sign`."""
    probes = read_probe_file(arguments.file)
    key = read_key(_place(arguments.key, environ))
    signed = sign_all(probes, key, read_validity(arguments.valid))
    tables = [probe.to_source() for probe in signed]
    if arguments.json:
        print_json(sys.stdout, {"probes": tables})
    else:
        print(format_probes(tables), end="")
    return 0


def sign_policy(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora key policy`."""
    policy = _read_policy(arguments.file)
    if policy.signature is None:
        key = read_key(_place(arguments.key, environ))
        policy = sign_one_policy(policy, key, read_validity(arguments.valid))
    table = policy.to_json()
    if arguments.send:
        with open_client(arguments, environ) as client:
            client.set_policy(table)
    if arguments.json:
        print_json(sys.stdout, {"policy": table, "sent": arguments.send})
    elif arguments.send:
        granted = ", ".join(policy.unsigned) or "nothing"
        print(f"set: the server may ask for {granted} unsigned")
    else:
        print(format_table(table), end="")
    return 0


def _read_policy(path: str) -> Policy:
    try:
        return parse_policy(tomllib.loads(Path(path).read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"the policy file {path!r} cannot be read: {error}") from None


def _place(given: str | None, environ: Mapping[str, str]) -> Path:
    return Path(given) if given else data_folder(environ) / "signing.pem"
