"""What every command's parser has: its function, `--json`, and a server to ask."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001 - argparse has no public name for it


def add_command(
    commands: Subparsers,
    name: str,
    handler: str,
    text: str,
    *,
    operator: bool = False,
    defaults: str | None = None,
) -> argparse.ArgumentParser:
    """The parser of one command, carried out by `handler` of remora.cli."""
    parser = commands.add_parser(
        name,
        help=text,
        description=text,
        allow_abbrev=False,
        argument_default=defaults,
    )
    parser.set_defaults(handler=f"remora.cli.{handler}", parser=parser)
    parser.add_argument(
        "--json", action="store_true", help="print JSON, for programs to read"
    )
    if operator:
        parser.add_argument(
            "--server",
            metavar="URL",
            help="address of the server (REMORA_SERVER, http://127.0.0.1:7878)",
        )
        parser.add_argument(
            "--ca-file", metavar="FILE", help="certificate authorities in PEM"
        )
    return parser
