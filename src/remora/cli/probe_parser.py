"""What can be typed after `remora probe`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from remora.cli.command_parser import add_command
from remora.cli.probe_options import PROBE_OPTIONS, ProbeOption, Takes

if TYPE_CHECKING:
    from remora.cli.command_parser import Subparsers

DEFAULT_WAIT = "60s"
"""How long a bare `--wait` waits: longer than any import, shorter than patience."""

DEFAULT_RECORDS = 10_000
"""Records that `probe test` fetches: ten requests, a few seconds."""


_EXAMPLES = """\
examples:
  remora probe add shop.billing:charge --app shop --when 'amount > 1000' \\
      --log 'charged {amount} to {account.name}' --tail
  remora probe add 'shop.**:*' --app shop --env staging --count --by target --tail
  remora probe add shop/billing.py:42 --app shop --snapshot locals,stack --hits 3
"""


def add_probe(commands: Subparsers) -> None:
    """`remora probe …`."""
    text = "Add, sign, test, list, show and remove probes."
    parser = commands.add_parser("probe", help=text, description=text)
    actions = parser.add_subparsers(metavar="ACTION", required=True, title="actions")
    _add_probe_add(actions)
    _add_probe_sign(actions)
    _add_probe_test(actions)
    add_command(
        actions,
        "schema",
        "schema:show_schema",
        "Print the JSON schema of probe files, for editors.",
    )
    add_command(actions, "list", "probes:list_probes", "List probes.", operator=True)
    show = add_command(
        actions,
        "show",
        "probes:show_probe",
        "Show one probe and what became of it in each instance.",
        operator=True,
    )
    show.add_argument("probe", metavar="PROBE", help="id of the probe")
    _add_probe_remove(actions)


def _add_probe_add(actions: Subparsers) -> None:
    parser = add_command(
        actions, "add", "probe_add:add_probes", "Add a probe.", operator=True
    )
    parser.usage = "remora probe add TARGET… [options]"
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    option = parser.add_argument
    option(
        "target",
        metavar="TARGET",
        nargs="*",
        help="module:function, module:Class.method, file.py:LINE, a glob; ! excludes",
    )
    option("--file", metavar="FILE", help="add all probes of a TOML file instead")
    option("--id", metavar="ID", help="name of the probe (default: made of the target)")
    for group, rows in PROBE_OPTIONS.items():
        section = parser.add_argument_group(group)
        for each in rows:
            _add_option(section, each)
    option("--key", metavar="FILE", help="sign with the private key of this file")
    add_validity(parser)
    option(
        "--tail",
        action="store_true",
        help="show its records live; remove it again at Ctrl-C",
    )
    option(
        "--wait",
        metavar="DURATION",
        nargs="?",
        const=DEFAULT_WAIT,
        help="wait until it is installed in all matching instances, else exit 1",
    )


def _add_option(section: argparse._ArgumentGroup, each: ProbeOption) -> None:  # pyright: ignore[reportPrivateUsage] - argparse has no public name for it
    flag = f"--{each.name}"
    if each.takes is Takes.NOTHING:
        section.add_argument(flag, action="store_true", help=each.text)
    elif each.takes is Takes.PERHAPS:
        section.add_argument(
            flag, metavar=each.metavar, nargs="?", const="", help=each.text
        )
    else:
        action = "append" if each.takes is Takes.SEVERAL else "store"
        section.add_argument(flag, metavar=each.metavar, action=action, help=each.text)


def _add_probe_remove(actions: Subparsers) -> None:
    parser = add_command(
        actions, "remove", "probe_remove:remove_probes", "Remove probes.", operator=True
    )
    option = parser.add_argument
    option("probe", metavar="PROBE", nargs="+", help="id of the probe")
    option(
        "--key",
        metavar="FILE",
        help="sign the removal with the private key of this file, for apps that keep "
        "signed protection",
    )
    option("--valid", metavar="DURATION", help="how long the signature holds (1h)")


def _add_probe_sign(actions: Subparsers) -> None:
    parser = add_command(
        actions,
        "sign",
        "keys:sign_file",
        "Sign the probes of a file, and print the file that `probe add --file` takes.",
    )
    parser.add_argument("file", metavar="FILE", help="file of probes, TOML")
    parser.add_argument(
        "--key", metavar="FILE", help="file of the private key (default: signing.pem)"
    )
    add_validity(parser)


def _add_probe_test(actions: Subparsers) -> None:
    parser = add_command(
        actions,
        "test",
        "probe_test:test_probes",
        "Say what the probes of a file would have done, from what was recorded.",
        operator=True,
    )
    option = parser.add_argument
    option("file", metavar="FILE", help="file of probes, TOML")
    option(
        "--records",
        metavar="FILE",
        action="append",
        help="file of records, JSON lines, instead of the server's; - is standard "
        "input; repeatable",
    )
    option(
        "--limit",
        metavar="N",
        type=int,
        default=DEFAULT_RECORDS,
        help=f"newest records of the server to look at ({DEFAULT_RECORDS})",
    )


def add_validity(parser: argparse.ArgumentParser) -> None:
    """The option of every command that signs."""
    parser.add_argument(
        "--valid",
        metavar="DURATION",
        help="how long the signature holds, and the probe with it (limit.expires, 1h)",
    )
