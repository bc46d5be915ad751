"""The parsers of `remora token` and `remora key`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.cli.command_parser import add_command

if TYPE_CHECKING:
    from remora.cli.command_parser import Subparsers


def add_key(commands: Subparsers) -> None:
    """`remora key`."""
    text = "Make and show the key that signs probes; sign a policy."
    parser = commands.add_parser("key", help=text, description=text)
    actions = parser.add_subparsers(metavar="ACTION", required=True, title="actions")
    new = add_command(
        actions,
        "new",
        "keys:make_key",
        "Make a key, and print the text that apps need to trust it.",
    )
    new.add_argument(
        "--out", metavar="FILE", help="file for the private key (default: signing.pem)"
    )
    show = add_command(
        actions, "show", "keys:show_key", "Print the public key of a private one."
    )
    show.add_argument(
        "--key", metavar="FILE", help="file of the private key (default: signing.pem)"
    )
    _add_policy(actions)


def _add_policy(actions: Subparsers) -> None:
    policy = add_command(
        actions,
        "policy",
        "keys:sign_policy",
        "Sign what a server may ask for unsigned, and print it or send it.",
        operator=True,
    )
    option = policy.add_argument
    option("file", metavar="FILE", help="file of the policy, TOML")
    option("--key", metavar="FILE", help="private key (default: signing.pem)")
    option("--valid", metavar="DURATION", help="how long it holds (30d)")
    option(
        "--send",
        action="store_true",
        help="send it to the server; signed, if it is not",
    )


def add_token(commands: Subparsers) -> None:
    """`remora token`."""
    text = "List, create and revoke tokens."
    parser = commands.add_parser("token", help=text, description=text)
    actions = parser.add_subparsers(metavar="ACTION", required=True, title="actions")
    add_command(actions, "list", "tokens:list_tokens", "List tokens.", operator=True)
    create = add_command(
        actions,
        "create",
        "tokens:create_token",
        "Create a token and print it, once.",
        operator=True,
    )
    option = create.add_argument
    option("kind", choices=("agent", "operator"), help="agent or operator")
    option("--name", metavar="NAME", required=True, help="whose it is")
    option("--app", metavar="NAME", help="agent token: bind it to this app")
    option(
        "--access",
        choices=("read", "full"),
        help="operator token: read or full (default)",
    )
    revoke = add_command(
        actions, "revoke", "tokens:revoke_token", "Revoke a token.", operator=True
    )
    revoke.add_argument("token", metavar="ID", help="id of the token, see token list")
