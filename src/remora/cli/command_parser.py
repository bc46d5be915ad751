"""What every command's parser has: its function, `--json`, and a server to ask.

What cannot be understood is an error like any other: one sentence, or JSON.
"""

from __future__ import annotations

import argparse
from difflib import get_close_matches
from typing import TYPE_CHECKING

from remora.errors import UsageError

if TYPE_CHECKING:
    from typing import NoReturn, TypeAlias

    Subparsers: TypeAlias = "argparse._SubParsersAction[CommandParser]"  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001 - argparse has no public name for it


class CommandParser(argparse.ArgumentParser):
    """A parser that says in one sentence what is wrong, and where to read more."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        command = self.prog.removeprefix("remora").strip()
        said = f"{command}: {message}" if command else message
        raise UsageError(f"{said}; see `{self.prog} --help`")

    def refuse(self, unknown: list[str]) -> NoReturn:
        """There are words that belong to nothing. Raises UsageError."""
        word = next((each for each in unknown if each.startswith("-")), unknown[0])
        # What belongs to an option that is not there may be a secret.
        unknown = [each for each in unknown if each.startswith("-")] or unknown
        unknown = [each.partition("=")[0] for each in unknown]
        known = [name.lstrip("-") for name in self._option_string_actions]
        near = get_close_matches(word.partition("=")[0].lstrip("-"), known, 1)
        hint = f", did you mean --{near[0]}?" if near else ""
        self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")


def add_command(
    commands: Subparsers,
    name: str,
    handler: str,
    text: str,
    *,
    operator: bool = False,
    defaults: str | None = None,
) -> CommandParser:
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
