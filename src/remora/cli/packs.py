"""`remora pack list|show|apply`: sets of probes, from the wheel or from a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from remora import packs
from remora.agent.control import read_probe_file
from remora.cli.output import Span, Table, open_output, print_json
from remora.errors import CommandError
from remora.values import replace

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from remora.protocol import Probe

_NAMES = (packs.FRAMEWORKS, *packs.PROTECTION, packs.THREADS, packs.STORED)


def list_packs(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora pack list`."""
    rows: list[dict[str, object]] = []
    for name in _NAMES:
        probes = read_probe_file(packs.pack_file(name))
        targets = sum(len(probe.target.texts) for probe in probes)
        rows.append({"name": name, "probes": len(probes), "targets": targets})
    if arguments.json:
        print_json(sys.stdout, {"packs": rows})
        return 0
    table = Table(("name", "probes", "targets"), right=frozenset({"probes", "targets"}))
    for row in rows:
        shown = (str(row["name"]), str(row["probes"]), str(row["targets"]))
        table.rows.append((Span(shown[0], "magenta"), Span(shown[1]), Span(shown[2])))
    open_output(sys.stdout, environ).table(table)
    return 0


def show_pack(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora pack show`."""
    del environ
    file = _file_of(arguments.pack)
    if arguments.json:
        probes = [probe.to_source() for probe in read_probe_file(file)]
        print_json(sys.stdout, {"pack": arguments.pack, "probes": probes})
    else:
        print(Path(file).read_text("utf-8"), end="")
    return 0


def apply_pack(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora pack apply`."""
    # Late, because the other two need no server and no extra.
    from remora.cli.answers import get_object, get_objects, get_text
    from remora.cli.connection import open_client

    probes = _turned(arguments, read_probe_file(_file_of(arguments.pack)))
    if arguments.key is not None:
        from remora.cli.signing import read_key, read_validity, sign_all

        key = read_key(Path(arguments.key))
        probes = sign_all(probes, key, read_validity(arguments.valid))
    elif arguments.valid is not None:
        arguments.parser.error("--valid belongs to --key FILE, which signs")
    with open_client(arguments, environ) as client:
        known = {
            get_text(get_object(row, "probe"), "id")
            for row in get_objects(client.probes(), "probes")
        }
        output = open_output(sys.stdout, environ)
        for probe in probes:
            is_new = probe.id not in known
            put = client.add_probe if is_new else client.replace_probe
            stored = put(probe.to_source())
            if arguments.json:
                print_json(sys.stdout, {"applied": stored["probe"], "new": is_new})
                continue
            done = "added " if is_new else "replaced "
            reach = f" in {stored['instances']} instances"
            output.line(done, Span(probe.id, "magenta"), reach)
    return 0


def _file_of(pack: str) -> str:
    """The file of a pack of the wheel by its name, or a file by its path."""
    if pack in _NAMES:
        return packs.pack_file(pack)
    if Path(pack).is_file():
        return pack
    raise CommandError(
        f"there is no pack and no file {pack!r}: write one of {', '.join(_NAMES)}, or "
        "the path of a file of probes"
    )


def _turned(arguments: Namespace, probes: list[Probe]) -> list[Probe]:
    """The probes for the scope and in the mode that were asked for."""
    named = {"app": arguments.app, "env": arguments.env}
    scope = {key: value for key, value in named.items() if value is not None}
    prefix = f"{arguments.pack}." if arguments.pack in _NAMES else ""
    turned: list[Probe] = []
    for probe in probes:
        changes: dict[str, object] = {"id": f"{prefix}{probe.id}"}
        if scope:
            changes["scope"] = replace(probe.scope, **scope)
        if arguments.mode is not None and probe.protect is not None:
            changes["protect"] = replace(probe.protect, mode=arguments.mode)
        turned.append(replace(probe, **changes))
    return turned
