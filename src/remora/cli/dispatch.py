"""From the words of a command to the function that carries it out.

Functions are named as text and imported when their command is given, so that
`remora run` starts fast and needs no extra.
"""

from __future__ import annotations

from importlib import import_module

from remora.cli.run_options import RUN_HANDLER, read_run
from remora.errors import MissingExtraError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Command = Callable[[Any, Mapping[str, str]], int]

_SERVER_EXTRA = frozenset(
    {
        "httpx",
        "rich",
        "starlette",
        "uvicorn",
        "msgspec",
        "sqlalchemy",
        "jinja2",
        "pygments",
        "multipart",
        "python_multipart",
    }
)
_DEMO_EXTRA = frozenset({"flask", "gunicorn"})
_SIGNING_EXTRA = frozenset({"cryptography"})


def run_command(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Carry out one command and return its exit status. Raises RemoraError."""
    words, rest = split_at_dashes(argv)
    arguments = (read_run(words) if rest else None) or _parse(words, rest)
    arguments.rest = rest
    try:
        return find_handler(arguments.handler)(arguments, environ)
    except ModuleNotFoundError as error:
        raise _missing_extra(error) from error


def _parse(words: list[str], rest: list[str]) -> Namespace:
    # Late, because argparse and the tree of all commands take longer than `remora run`.
    from remora.cli.parser import build_parser

    arguments, unknown = build_parser().parse_known_args(words)
    if unknown:
        arguments.parser.refuse(unknown)
    is_run = arguments.handler == RUN_HANDLER
    if is_run and not rest:
        arguments.parser.error(
            "no command: write -- and the command, for example "
            "remora run -- python app.py"
        )
    if rest and not is_run:
        arguments.parser.error(f"unexpected words after --: {' '.join(rest)}")
    return arguments


def split_at_dashes(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands before and after the first `--`; argparse would mix them."""
    words = list(argv)
    if "--" not in words:
        return words, []
    position = words.index("--")
    return words[:position], words[position + 1 :]


def find_handler(name: str) -> Command:
    """The function that `module:function` names."""
    module, _, function = name.partition(":")
    command: Command = getattr(import_module(module), function)
    return command


def _missing_extra(error: ModuleNotFoundError) -> Exception:
    top = (error.name or "").partition(".")[0]
    extras = {
        "server": _SERVER_EXTRA,
        "demo": _DEMO_EXTRA,
        "signing": _SIGNING_EXTRA,
    }
    extra = next((name for name, tops in extras.items() if top in tops), "")
    if not extra:
        return error
    return MissingExtraError(
        f"this command needs {top}, which is not installed: "
        f"pip install 'remora[{extra}]'"
    )
